/**
 * The time that everything is measured by: milliseconds of a clock that nobody sets, and that begins anywhere. NTP or an
 * operator moves the time of day, and then no latency, deadline or ejection must be longer or shorter for it.
 *
 * Not for what others read as a time of day: the log, `Date`, and the date of a `Retry-After`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const inMillis = (nanos: bigint): number => Math.floor(Number(nanos) / 1e6)

/** The time now, in whole milliseconds. */
export const millisUnsafe = (clock: Clock.Clock): number => inMillis(clock.monotonicTimeNanosUnsafe())

/** The same as an effect. */
export const millis: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, inMillis)
