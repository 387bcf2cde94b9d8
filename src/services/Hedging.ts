/**
 * When a request that takes long is sent to a second backend as well: after as long as most of the others have taken.
 *
 * Owns the quantile of what was observed. How many such requests there may be is a `RetryBudget` of its own, and racing
 * the two is the work of `layers/Forwarder`. All times are milliseconds.
 */

/** When to hedge. */
export interface Policy {
  /** The share of answers that have usually come by then, such as 0.95. */
  readonly after: number
  /** How many of the requests may be hedged, such as 0.02. */
  readonly budget: number
}

/** Buckets for each doubling: what is read from them is at most 9 % too high. */
const perDoubling = 8

/** From a millisecond to 65 s, which is longer than anybody waits. */
const buckets = 16 * perDoubling + 1

/** Before there are so many observations, nobody knows what takes long. */
const enough = 100

/** After so many, each of them counts half, so that the last few thousand decide. */
const many = 4_000

/** How long answers took lately, in buckets that grow with the time. */
export interface Latencies {
  readonly counts: Array<number>
  total: number
}

/** Nothing was observed yet. */
export const make = (): Latencies => ({ counts: Array<number>(buckets).fill(0), total: 0 })

/** Notes how long an answer took. */
export const observe = (latencies: Latencies, millis: number): void => {
  const bucket = Math.ceil(Math.log2(Math.max(millis, 1)) * perDoubling)
  latencies.counts[Math.min(bucket, buckets - 1)]!++
  if (++latencies.total < many) return
  latencies.total = 0
  for (let i = 0; i < buckets; i++) latencies.total += latencies.counts[i] = Math.floor(latencies.counts[i]! / 2)
}

/** How long it takes until this share of the answers is there; `undefined` as long as there are too few to say. */
export const quantile = (latencies: Latencies, share: number): number | undefined => {
  if (latencies.total < enough) return undefined
  const wanted = share * latencies.total
  let seen = 0
  let bucket = 0
  for (; bucket < buckets - 1; bucket++) {
    seen += latencies.counts[bucket]!
    if (seen >= wanted) break
  }
  return 2 ** (bucket / perDoubling)
}
