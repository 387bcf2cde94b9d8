/** One row for each strategy: what the contract suite may expect of it. A new strategy adds its row here. */
import type { StrategyName } from "../../src/layers/strategies/index.ts"
import type { Bounds } from "../../src/layers/testing/StrategyVerdicts.ts"

export interface Traits {
  /** Where the laws have to allow for more. */
  readonly bounds?: Bounds
  /** The order of picks is the same whatever the random numbers are. */
  readonly isDeterministic: boolean
  /** Who has fewer requests in flight gets more. */
  readonly readsLoad: boolean
  /** Requests with the same key go to the same backend. */
  readonly usesKey: boolean
}

/**
 * How far the shares of a ring may be off. Points cut a ring into arcs as chance has it: a backend with the part p of
 * N points has a share whose standard deviation is the square root of p (1 - p) / (N + 1). Of all pools it is the
 * largest for two backends of weight 1, with 160 points each: 2.8 % of all requests. Three times that is allowed.
 */
const ringTolerance = 3 * Math.sqrt(0.25 / (2 * 160 + 1))

/** Beyond this weight the points of all are halved, and a third of the keys moves (docs/hash-strategies.md). */
const ringMaxWeight = 10

export const traits: Readonly<Record<StrategyName, Traits>> = {
  "round-robin": { isDeterministic: true, readsLoad: false, usesKey: false },
  "weighted-round-robin": { isDeterministic: true, readsLoad: false, usesKey: false },
  random: { isDeterministic: false, readsLoad: false, usesKey: false },
  "weighted-random": { isDeterministic: false, readsLoad: false, usesKey: false },
  "least-requests": { isDeterministic: false, readsLoad: true, usesKey: false },
  "peak-ewma": { isDeterministic: false, readsLoad: true, usesKey: false },
  "ring-hash": {
    bounds: { shareTolerance: ringTolerance, moveMaxWeight: ringMaxWeight },
    isDeterministic: false,
    readsLoad: false,
    usesKey: true
  },
  maglev: { isDeterministic: false, readsLoad: false, usesKey: true },
  rendezvous: { isDeterministic: false, readsLoad: false, usesKey: true },
  first: { bounds: { shares: "other" }, isDeterministic: true, readsLoad: false, usesKey: false }
}
