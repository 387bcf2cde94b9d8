/**
 * The limit of each endpoint: its ceiling, or less where the limit is adaptive. How that one behaves is in
 * `services/AdaptiveLimit`; it knows of no trials, and goes on from where it was when one is over.
 */
import * as AdaptiveLimit from "../../services/AdaptiveLimit.ts"
import type { Options } from "../../services/Balancer.ts"
import type { Load, Outcome } from "../../services/Load.ts"
import type { PoolState } from "../../services/Pool.ts"

const apply = (load: Load, adaptive: AdaptiveLimit.Options | undefined): void => {
  load.limit = adaptive === undefined || load.adaptive === undefined
    ? load.ceiling
    : Math.min(load.ceiling, AdaptiveLimit.current(load.adaptive, adaptive))
}

/** Tries in flight on an endpoint that has to show whether it is well. */
const trialLimit = 1

/** What is in flight from before may have no end for hours, such as tunnels, and must not keep the trial from beginning. */
const trialCeiling = ({ inFlight }: Load, most: number): number => Math.min(most, inFlight + trialLimit)

/** The pool has changed: the endpoint may have `maxInFlight` in flight, or is on trial. */
export const follow = (load: Load, isOnTrial: boolean, { adaptive, maxInFlight }: Options, now: number): void => {
  if (!isOnTrial) load.ceiling = maxInFlight
  else if (!load.isOnTrial) load.ceiling = trialCeiling(load, maxInFlight)
  load.isOnTrial = isOnTrial
  if (adaptive !== undefined) load.adaptive ??= AdaptiveLimit.make(adaptive, now)
  apply(load, adaptive)
}

/** A try has ended that is not in flight any more. */
export const end = (
  load: Load,
  { adaptive }: Options,
  outcome: Outcome,
  latencyMs: number,
  now: number,
  random: () => number
): void => {
  if (load.isOnTrial) {
    load.ceiling = trialCeiling(load, load.ceiling)
    apply(load, adaptive)
  }
  if (adaptive === undefined || load.adaptive === undefined) return
  AdaptiveLimit.end(load.adaptive, adaptive, outcome, latencyMs, load.inFlight + 1, now, random)
  apply(load, adaptive)
}

/** To be called from time to time, because nothing may end where a measurement takes too long. */
export const expire = ({ members }: PoolState, { adaptive }: Options, now: number, random: () => number): void => {
  for (const { endpoint: { load } } of members) {
    if (load.adaptive !== undefined) AdaptiveLimit.expire(load.adaptive, now, random)
    apply(load, adaptive)
  }
}
