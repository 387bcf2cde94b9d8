/** Every strategy, by the name that the configuration uses. A new one is a file beside this one and a line here. */
import * as Layer from "effect/Layer"
import type { Strategy } from "../../services/Strategy.ts"
import * as BoundedLoad from "./BoundedLoad.ts"
import * as LeastRequests from "./LeastRequests.ts"
import * as Maglev from "./Maglev.ts"
import * as Random from "./Random.ts"
import * as Rendezvous from "./Rendezvous.ts"
import * as RingHash from "./RingHash.ts"
import * as RoundRobin from "./RoundRobin.ts"
import * as Subset from "./Subset.ts"
import * as WeightedRoundRobin from "./WeightedRoundRobin.ts"

export const strategies = {
  "round-robin": RoundRobin.layer,
  "weighted-round-robin": WeightedRoundRobin.layer,
  random: Random.layer,
  "least-requests": LeastRequests.layer,
  "ring-hash": RingHash.layer,
  maglev: Maglev.layer,
  rendezvous: Rendezvous.layer
}

/** What goes around a strategy. */
export const decorators = { boundedLoad: BoundedLoad.layer, subset: Subset.layer }

export type StrategyName = keyof typeof strategies

/** The strategy of the settings, with the bound that they set, if they do. */
export const strategyOf = ({ hash: { balanceFactor }, strategy }: {
  readonly strategy: StrategyName
  readonly hash: { readonly balanceFactor?: number | undefined }
}): Layer.Layer<Strategy> =>
  balanceFactor === undefined
    ? strategies[strategy]
    : Layer.provide(decorators.boundedLoad(balanceFactor), strategies[strategy])
