/**
 * The limit of each endpoint: the highest that there may be, less where it is adaptive, or that of a trial.
 *
 * Owns when a limit changes, and the place of a trial beside what is still open from before it. How an adaptive limit
 * behaves is in `services/AdaptiveLimit`, which knows of no trials: it goes on from where it was when one is over.
 */
import * as AdaptiveLimit from "../../services/AdaptiveLimit.ts"
import type { Options } from "../../services/Balancer.ts"
import type { Load, Stage } from "../../services/Load.ts"
import type { Outcome } from "../../services/Outcome.ts"
import type { Member } from "../../services/Pool.ts"

/**
 * One try more than are in flight, which is the trial. What was there before may have no end for hours, such as
 * tunnels, and must not keep it from beginning.
 */
const beginTrial = (load: Load, now: number): void => {
  load.ceiling = load.inFlight + 1
  load.trialFrom = now
}

/** Whether a try that began then is from before the trial that there is. */
const isOlder = ({ isOnTrial, trialFrom }: Load, beganAt: number): boolean => isOnTrial && beganAt < trialFrom

/** The limits of all endpoints of a balancer. Times are milliseconds of the same clock. */
export class Limits {
  private readonly maxInFlight: number
  private readonly isAdaptive: boolean
  private readonly random: () => number

  /** `random` gives numbers from 0 to below 1. */
  constructor({ adaptive, maxInFlight }: Pick<Options, "adaptive" | "maxInFlight">, random: () => number) {
    this.maxInFlight = maxInFlight
    this.isAdaptive = adaptive
    this.random = random
  }

  private apply(load: Load): void {
    load.limit = load.isOnTrial ? Math.min(this.maxInFlight, load.ceiling) : this.withoutTrial(load)
  }

  /** The limit that there is, or would be if there were no trial. */
  withoutTrial({ adaptive, tunnels }: Load): number {
    return adaptive === undefined
      ? this.maxInFlight
      // Tunnels are no work that latencies could say anything about, and would fill the limit for as long as they last.
      : Math.min(this.maxInFlight, AdaptiveLimit.current(adaptive) + tunnels)
  }

  /** The pool has changed: the endpoint may have `maxInFlight` in flight, or is on trial. */
  follow(load: Load, isOnTrial: boolean, now: number): void {
    if (isOnTrial && !load.isOnTrial) beginTrial(load, now)
    load.isOnTrial = isOnTrial
    if (this.isAdaptive) load.adaptive ??= AdaptiveLimit.make(this.maxInFlight, now, this.random)
    this.apply(load)
  }

  /**
   * The head of a good answer has come to a try that is in flight. Its latency is learned now: at the end of a download
   * it would tell of a queue that is long gone, and a measurement would leave out what had begun before it.
   */
  answered(load: Load, latencyMs: number, now: number): void {
    if (load.adaptive === undefined) return
    const inFlight = load.inFlight - load.tunnels
    AdaptiveLimit.end(load.adaptive, this.maxInFlight, "success", latencyMs, inFlight, now, this.random)
    this.apply(load)
  }

  /** A try on the endpoint waits for its client: if it is the trial, another one need not wait for its end. */
  bypass(load: Load, beganAt: number, now: number): void {
    if (!load.isOnTrial || isOlder(load, beganAt)) return
    beginTrial(load, now)
    this.apply(load)
  }

  /** A try that had ended goes on: it is from before the trial, if there is one, and has a place beside it. */
  resume(load: Load): void {
    if (!load.isOnTrial) return
    load.ceiling++
    this.apply(load)
  }

  /** A try has ended and is not in flight any more. `millis` is as `Balancer.end` is told. */
  end(load: Load, outcome: Outcome, millis: number, stage: Stage, beganAt: number, now: number): void {
    if (isOlder(load, beganAt)) {
      load.ceiling = Math.max(1, load.ceiling - 1)
      this.apply(load)
    }
    if (load.adaptive === undefined) return
    // A success was learned at its head already, unless there was nothing to learn. Old failures are as in `Load`.
    const isForgiven = outcome === "failure" && beganAt < load.forgivenAt
    const counted = !isForgiven && (stage === "sent" || outcome === "failure") ? outcome : "aborted"
    const inFlight = load.inFlight - load.tunnels + (stage === "tunnel" ? 0 : 1)
    AdaptiveLimit.end(load.adaptive, this.maxInFlight, counted, millis, inFlight, now, this.random)
    this.apply(load)
  }

  /** Ends measurements that take too long. To be called from time to time, because perhaps nothing else happens there. */
  expire(members: ReadonlyArray<Member>, now: number): void {
    for (const { endpoint: { load } } of members) {
      if (load.adaptive !== undefined) AdaptiveLimit.expire(load.adaptive, now, this.random)
      this.apply(load)
    }
  }
}
