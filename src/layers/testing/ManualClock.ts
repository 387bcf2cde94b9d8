/**
 * A clock that shows what it is told, for simulations that know the time of everything beforehand.
 * Nobody can sleep by it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** A clock whose time is set by hand, in milliseconds. */
export interface ManualClock extends Clock.Clock {
  now: number
}

/** A clock that stands at 0. */
export const make = (): ManualClock => {
  const nanos = () => BigInt(Math.round(clock.now * 1e6))
  const clock: ManualClock = {
    now: 0,
    currentTimeMillisUnsafe: () => clock.now,
    currentTimeMillis: Effect.sync(() => clock.now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: () => Effect.never
  }
  return clock
}
