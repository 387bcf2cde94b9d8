/**
 * Requests for a strategy to choose for: with a key each, some in flight at a time, and an end that the strategy is told.
 *
 * Owns how they come and end. What follows from who was picked is in the verdicts.
 */
import * as Load from "../../services/Load.ts"
import type { Outcome } from "../../services/Outcome.ts"
import { anonymous, type PickContext, type Picker } from "../../services/Strategy.ts"
import type { ManualClock } from "./ManualClock.ts"

/** A request with this key. */
export const withKey = (key: string): PickContext => ({ ...anonymous, key: () => key })

/** Keys that are all different. */
export const keyOf = (n: number): PickContext => withKey(`client-${n}`)

/** Milliseconds from one request to the next. */
export const pause = 10

/** How a request ends, and after how many milliseconds. */
export interface End {
  readonly outcome: Outcome
  readonly latency: number
}

/** As it should be. */
export const good: End = { outcome: "success", latency: 1 }

/**
 * Sends requests, each with a key of its own, of which so many are in flight, and counts who got how many. `endOf` says
 * how each ends: well after a millisecond, unless it is given. `onPick` is told of each.
 */
export const serve = (
  picker: Picker,
  clock: ManualClock,
  options: {
    readonly requests: number
    readonly concurrency: number
    readonly endOf?: ((endpoint: Load.Endpoint) => End) | undefined
    readonly onPick?: ((endpoint: Load.Endpoint, n: number) => void) | undefined
  }
): ReadonlyMap<Load.Endpoint, number> => {
  const { concurrency, endOf = () => good, onPick, requests } = options
  const counts = new Map<Load.Endpoint, number>()
  const inFlight: Array<Load.Endpoint> = []
  for (let n = 0; n < requests; n++) {
    clock.now += pause
    const endpoint = picker.pick(keyOf(n))
    if (endpoint === undefined) throw new Error("picked nobody")
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1)
    onPick?.(endpoint, n)
    Load.begin(endpoint.load)
    inFlight.push(endpoint)
    if (inFlight.length < concurrency) continue
    // Ends in an order that is neither first in first out nor the opposite, and always the same.
    const at = (n * 7919) % inFlight.length
    const ended = inFlight[at]!
    inFlight[at] = inFlight.at(-1)!
    inFlight.pop()
    const { latency, outcome } = endOf(ended)
    Load.end(ended.load, outcome, latency, clock.now)
    picker.observe?.(ended, outcome, latency)
    picker.ended?.(ended)
  }
  return counts
}
