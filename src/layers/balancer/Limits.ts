/**
 * The limit of each endpoint: its ceiling, or less where the limit is adaptive. How that one behaves is in
 * `services/AdaptiveLimit`; it knows of no trials, and goes on from where it was when one is over.
 */
import * as AdaptiveLimit from "../../services/AdaptiveLimit.ts"
import type { Options } from "../../services/Balancer.ts"
import type { Load, Outcome, Stage } from "../../services/Load.ts"
import type { PoolState } from "../../services/Pool.ts"

const apply = (load: Load, adaptive: AdaptiveLimit.Options | undefined): void => {
  load.limit = adaptive === undefined || load.adaptive === undefined
    ? load.ceiling
    // Tunnels are no work that latencies could say anything of, and would fill it for as long as they last.
    : Math.min(load.ceiling, AdaptiveLimit.current(load.adaptive, adaptive) + load.tunnels)
}

/** Tries in flight on an endpoint that has to show whether it is well. */
const trialLimit = 1

/**
 * What is in flight from before may have no end for hours, such as tunnels, and must not keep the trial from beginning.
 */
const trialCeiling = ({ inFlight }: Load, most: number): number => Math.min(most, inFlight + trialLimit)

/** The pool has changed: the endpoint may have `maxInFlight` in flight, or is on trial. */
export const follow = (load: Load, isOnTrial: boolean, { adaptive, maxInFlight }: Options, now: number): void => {
  if (!isOnTrial) load.ceiling = maxInFlight
  else if (!load.isOnTrial) load.ceiling = trialCeiling(load, maxInFlight)
  load.isOnTrial = isOnTrial
  if (adaptive !== undefined) load.adaptive ??= AdaptiveLimit.make(adaptive, now)
  apply(load, adaptive)
}

/**
 * The head of a good answer has come, after so many milliseconds, to a try that is in flight. They are learned
 * now and not at its end: by then a download tells of a queue a minute ago, and in a measurement it counts only
 * if it began within it.
 */
export const answered = (
  load: Load,
  { adaptive }: Options,
  latencyMs: number,
  now: number,
  random: () => number
): void => {
  if (adaptive === undefined || load.adaptive === undefined) return
  const { inFlight, tunnels } = load
  AdaptiveLimit.end(load.adaptive, adaptive, "success", latencyMs, inFlight - tunnels, now, random)
  apply(load, adaptive)
}

/** A try on the endpoint takes its client's time, so that a trial need not wait for its end. */
export const bypass = (load: Load, { adaptive, maxInFlight }: Options): void => {
  if (!load.isOnTrial) return
  load.ceiling = Math.max(load.ceiling, trialCeiling(load, maxInFlight))
  apply(load, adaptive)
}

/** A try has ended that is not in flight any more. `millis` is what `Balancer.end` is told. */
export const end = (
  load: Load,
  { adaptive }: Options,
  outcome: Outcome,
  millis: number,
  now: number,
  random: () => number,
  stage: Stage
): void => {
  if (load.isOnTrial) {
    load.ceiling = trialCeiling(load, load.ceiling)
    apply(load, adaptive)
  }
  if (adaptive === undefined || load.adaptive === undefined) return
  // A success was counted at its head, or is none to learn from.
  const counted = stage === "sent" || outcome === "failure" ? outcome : "aborted"
  const inFlight = load.inFlight - load.tunnels + (stage === "tunnel" ? 0 : 1)
  AdaptiveLimit.end(load.adaptive, adaptive, counted, millis, inFlight, now, random)
  apply(load, adaptive)
}

/** To be called from time to time, because nothing may end where a measurement takes too long. */
export const expire = ({ members }: PoolState, { adaptive }: Options, now: number, random: () => number): void => {
  for (const { endpoint: { load } } of members) {
    if (load.adaptive !== undefined) AdaptiveLimit.expire(load.adaptive, now, random)
    apply(load, adaptive)
  }
}
