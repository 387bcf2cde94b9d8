/**
 * The limit of each endpoint: its ceiling, or less where the limit is adaptive. How that one behaves is in
 * `services/AdaptiveLimit`; it knows of no trials, and goes on from where it was when one is over.
 */
import * as AdaptiveLimit from "../../services/AdaptiveLimit.ts"
import type { Options } from "../../services/Balancer.ts"
import type { Load, Stage } from "../../services/Load.ts"
import type { Outcome } from "../../services/Outcome.ts"
import type { PoolState } from "../../services/Pool.ts"

const apply = (load: Load, { adaptive, maxInFlight }: Pick<Options, "adaptive" | "maxInFlight">): void => {
  const ceiling = Math.min(maxInFlight, load.ceiling)
  load.limit = adaptive === undefined || load.adaptive === undefined || load.isOnTrial
    ? ceiling
    // Tunnels are no work that latencies could say anything of, and would fill it for as long as they last.
    : Math.min(ceiling, AdaptiveLimit.current(load.adaptive, adaptive) + load.tunnels)
}

/**
 * One try more than are in flight, which is the trial. What was there before may have no end for hours, such as
 * tunnels, and must not keep it from beginning.
 */
const beginTrial = (load: Load, now: number): void => {
  load.ceiling = load.inFlight + 1
  load.trialFrom = now
}

/** The pool has changed: the endpoint may have `maxInFlight` in flight, or is on trial. */
export const follow = (load: Load, isOnTrial: boolean, options: Options, now: number): void => {
  const { adaptive, maxInFlight } = options
  if (!isOnTrial) load.ceiling = maxInFlight
  else if (!load.isOnTrial) beginTrial(load, now)
  load.isOnTrial = isOnTrial
  if (adaptive !== undefined) load.adaptive ??= AdaptiveLimit.make(adaptive, now)
  apply(load, options)
}

/**
 * The head of a good answer has come, after so many milliseconds, to a try that is in flight. They are learned
 * now and not at its end: by then a download tells of a queue a minute ago, and in a measurement it counts only
 * if it began within it.
 */
export const answered = (
  load: Load,
  options: Options,
  latencyMs: number,
  now: number,
  random: () => number
): void => {
  const { adaptive } = options
  if (adaptive === undefined || load.adaptive === undefined) return
  const { inFlight, tunnels } = load
  AdaptiveLimit.end(load.adaptive, adaptive, "success", latencyMs, inFlight - tunnels, now, random)
  apply(load, options)
}

/** A try on the endpoint takes its client's time, so that a trial need not wait for its end. */
export const bypass = (load: Load, options: Options, now: number): void => {
  if (!load.isOnTrial) return
  beginTrial(load, now)
  apply(load, options)
}

/** A try that had ended goes on: it is from before the trial, if there is one, and beside it. */
export const resume = (load: Load, options: Options): void => {
  if (!load.isOnTrial) return
  load.ceiling++
  apply(load, options)
}

/** A try has ended that is not in flight any more. `millis` is what `Balancer.end` is told. */
export const end = (
  load: Load,
  options: Options,
  outcome: Outcome,
  millis: number,
  now: number,
  random: () => number,
  stage: Stage,
  beganAt: number
): void => {
  // The clock may have been set back.
  if (load.isOnTrial && now >= load.trialFrom && beganAt < load.trialFrom) {
    load.ceiling = Math.max(1, load.ceiling - 1)
    apply(load, options)
  }
  const { adaptive } = options
  if (adaptive === undefined || load.adaptive === undefined) return
  // A success was counted at its head, or is none to learn from.
  const counted = stage === "sent" || outcome === "failure" ? outcome : "aborted"
  const inFlight = load.inFlight - load.tunnels + (stage === "tunnel" ? 0 : 1)
  AdaptiveLimit.end(load.adaptive, adaptive, counted, millis, inFlight, now, random)
  apply(load, options)
}

/** To be called from time to time, because nothing may end where a measurement takes too long. */
export const expire = ({ members }: PoolState, options: Options, now: number, random: () => number): void => {
  for (const { endpoint: { load } } of members) {
    if (load.adaptive !== undefined) AdaptiveLimit.expire(load.adaptive, now, random)
    apply(load, options)
  }
}
