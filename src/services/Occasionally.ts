/** Says once in a while what there could be a line about for each request. */
import type * as Clock from "effect/Clock"

/** Lets one of those through that come within so many milliseconds. */
export const make = (millis: number, clock: Clock.Clock): (say: () => void) => void => {
  let saidAt = -Infinity
  return (say) => {
    const now = clock.currentTimeMillisUnsafe()
    // The clock may have been set back.
    if (now >= saidAt && now - saidAt < millis) return
    saidAt = now
    say()
  }
}
