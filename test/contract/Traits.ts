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

export const traits: Readonly<Record<StrategyName, Traits>> = {
  "round-robin": { isDeterministic: true, readsLoad: false, usesKey: false },
  "weighted-round-robin": { isDeterministic: true, readsLoad: false, usesKey: false },
  random: { isDeterministic: false, readsLoad: false, usesKey: false },
  "weighted-random": { isDeterministic: false, readsLoad: false, usesKey: false },
  "least-requests": { isDeterministic: false, readsLoad: true, usesKey: false },
  "peak-ewma": { isDeterministic: false, readsLoad: true, usesKey: false },
  "ring-hash": { isDeterministic: false, readsLoad: false, usesKey: true },
  maglev: { isDeterministic: false, readsLoad: false, usesKey: true },
  rendezvous: { isDeterministic: false, readsLoad: false, usesKey: true },
  first: { bounds: { shares: "other" }, isDeterministic: true, readsLoad: false, usesKey: false }
}
