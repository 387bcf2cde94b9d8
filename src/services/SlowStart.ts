/**
 * Slow start: a backend that has come back gets its share little by little, because caches, pools
 * and compilers are cold.
 *
 * Owns the rule, which is pure and the same for every strategy: the balancer passes over a backend that is still
 * warming with the probability that is left. Who begins to warm, and when, is decided by the balancer.
 */
import * as Duration from "effect/Duration"

/** How the share grows. */
export interface SlowStart {
  /** How long it takes to the whole share; nothing is off. */
  readonly duration: Duration.Duration
  /** The share at the begin, above 0 and at most 1. */
  readonly from: number
  /** 1 is linear; above it the share grows faster at first, below it slower (Envoy's `aggression`). */
  readonly aggression: number
}

/** Off, as with all peers; from 10 % and linear for whoever sets a duration, as with Envoy. */
export const off: SlowStart = { duration: Duration.zero, from: 0.1, aggression: 1 }

/**
 * The part of its share that a backend gets now that it has been warming for so many milliseconds, from `from` to 1.
 */
export const factor = (elapsed: number, { aggression, duration, from }: SlowStart): number => {
  const progress = elapsed / Duration.toMillis(duration)
  return progress < 1 ? Math.max(from, progress ** (1 / aggression)) : 1
}
