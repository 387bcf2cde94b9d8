/** Limits how often the same thing is said, where there could be a line in the log for each request. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Monotonic from "./Monotonic.ts"

/** Calls at most one of the functions that it is given within so many milliseconds. */
export const make = (millis: number, clock: Clock.Clock): (say: () => void) => void => {
  let saidAt = -Infinity
  return (say) => {
    const now = Monotonic.millisUnsafe(clock)
    if (now - saidAt < millis) return
    saidAt = now
    say()
  }
}

/** The same for effects, such as a line of the log, to be called from where nothing can be yielded. */
export const runner = Effect.fnUntraced(function*(millis: number) {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const occasionally = make(millis, yield* Clock.Clock)
  return (say: Effect.Effect<void>): void => occasionally(() => void fork(say))
})
