/** Every strategy, by the name that the configuration uses. A new one is a file beside this one and a line here. */
import * as Layer from "effect/Layer"
import type { Backend } from "../../services/Backend.ts"
import type { Strategy } from "../../services/Strategy.ts"
import * as First from "./First.ts"
import * as LeastRequests from "./LeastRequests.ts"
import * as Maglev from "./Maglev.ts"
import * as PeakEwma from "./PeakEwma.ts"
import * as Random from "./Random.ts"
import * as Rendezvous from "./Rendezvous.ts"
import * as RingHash from "./RingHash.ts"
import * as RoundRobin from "./RoundRobin.ts"
import * as WeightedRandom from "./WeightedRandom.ts"
import * as WeightedRoundRobin from "./WeightedRoundRobin.ts"
import * as Zones from "./Zones.ts"

export const strategies = {
  "round-robin": RoundRobin.layer,
  "weighted-round-robin": WeightedRoundRobin.layer,
  random: Random.layer,
  "weighted-random": WeightedRandom.layer,
  "least-requests": LeastRequests.layer,
  "peak-ewma": PeakEwma.layer,
  "ring-hash": RingHash.layer,
  maglev: Maglev.layer,
  rendezvous: Rendezvous.layer,
  first: First.layer
}

export type StrategyName = keyof typeof strategies

/**
 * The strategy where the configuration names none: in turn over the backends of the quickstart, by load over one's own.
 */
export const defaultFor = (backends: ReadonlyArray<Backend> | undefined): StrategyName =>
  backends === undefined ? "round-robin" : backends.length < 3 ? "least-requests" : "peak-ewma"

/** The same in words. */
export const defaultText = "peak-ewma; least-requests for fewer than three backends; round-robin without to"

/** The strategy of the settings, with bounded load, zones and a subset around it where they are set. */
export const strategyOf = ({ hash: { balanceFactor }, strategy, subset: { id, size }, zone }: {
  readonly strategy: StrategyName
  readonly hash: { readonly balanceFactor?: number | undefined }
  readonly subset: { readonly id: string; readonly size?: number | undefined }
  readonly zone?: string | undefined
}): Layer.Layer<Strategy> =>
  // The other two are in here as well, because a zone has its share of them.
  Layer.provide(Zones.layer(zone, size === undefined ? undefined : { id, size }, balanceFactor), strategies[strategy])
