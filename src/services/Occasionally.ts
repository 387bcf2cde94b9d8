/** Limits how often the same thing is said, where there could be a line in the log for each request. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Monotonic from "./Monotonic.ts"

/** Milliseconds between two lines about the same thing. */
const pause = 10_000

/** Calls at most one of the functions that it is given within 10 s. */
export const make = (clock: Clock.Clock): (say: () => void) => void => {
  let saidAt = -Infinity
  return (say) => {
    const now = Monotonic.millisUnsafe(clock)
    if (now - saidAt < pause) return
    saidAt = now
    say()
  }
}

/** The same for effects, such as a line of the log, to be called from where nothing can be yielded. */
export const runner: Effect.Effect<(say: Effect.Effect<void>) => void> = Effect.gen(function*() {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const occasionally = make(yield* Clock.Clock)
  return (say) => occasionally(() => void fork(say))
})
