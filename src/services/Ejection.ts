/**
 * When real traffic says that a backend is ill, and who is told.
 *
 * Owns the rule, which is pure, and the seam between the balancer, which sees how tries end, and the pool, which keeps
 * health. How long an ejection lasts is in `Health`, and how many there may be at once in `Pool`. Only failures of the
 * backend's making count: see `Outcome`.
 */
import * as Context from "effect/Context"
import * as Load from "./Load.ts"
import type { Outcome } from "./Outcome.ts"
import * as Validate from "./Validate.ts"

/** Thresholds. */
export interface Policy {
  /** So many failures in a row eject. */
  readonly consecutiveFailures: number
  /** A smaller share of successes than this ejects, from 0 to 1, over the window of `Load`. */
  readonly successRate: number
  /** Tries that the window must hold before the share means anything. */
  readonly minimumVolume: number
}

/**
 * 5 failures in a row as in Envoy and Finagle, or less than 80 % of at least 20 tries in 30 s (Finagle:
 * 80 % over 30 s, of 5).
 */
export const defaultPolicy: Policy = { consecutiveFailures: 5, successRate: 0.8, minimumVolume: 20 }

/** The same policy if it is valid. Throws otherwise. */
export const checked = (policy: Policy): Policy => {
  Validate.number("consecutiveFailures", policy.consecutiveFailures, Validate.count)
  Validate.number("successRate", policy.successRate, Validate.share)
  Validate.number("minimumVolume", policy.minimumVolume, Validate.wholeNumber)
  return policy
}

/** Why the backend should be ejected, in words, now that a try has failed; `undefined` if it should not. */
export const verdict = (load: Load.Load, now: number, policy: Policy): string | undefined => {
  if (load.consecutiveFailures >= policy.consecutiveFailures) return `${load.consecutiveFailures} failures in a row`
  const { succeeded, total } = Load.recent(load, now)
  if (total < policy.minimumVolume || succeeded >= total * policy.successRate) return undefined
  return `only ${Math.floor((100 * succeeded) / total)}% of ${total} requests succeeded`
}

/** Judges backends by real traffic. */
export class Ejection extends Context.Service<Ejection, {
  /**
   * A try that began so many milliseconds ago has ended, and is counted in the endpoint's load already; or it
   * goes on and is as good as a success. `why` is its failure in a word. Returns at once; what follows for
   * the pool follows soon.
   */
  readonly observe: (
    endpoint: Load.Endpoint,
    outcome: Outcome,
    millis: number,
    why: string | undefined
  ) => void
}>()("evenkeel/services/Ejection") {}
