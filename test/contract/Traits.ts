/** One row for each strategy: what the contract suite may expect of it. A new strategy adds its row here. */
import type { StrategyName } from "../../src/layers/strategies/index.ts"

export interface Traits {
  /** What shares follow: the weights, nothing, so that all are equal, or something else altogether. */
  readonly shares: "weights" | "equal" | "other"
  /** The order of picks is the same whatever the random numbers are. */
  readonly isDeterministic: boolean
  /** Who has fewer requests in flight gets more. */
  readonly readsLoad: boolean
  /** Requests with the same key go to the same backend. */
  readonly usesKey: boolean
}

export const traits: Readonly<Record<StrategyName, Traits>> = {
  "round-robin": { shares: "equal", isDeterministic: true, readsLoad: false, usesKey: false },
  "weighted-round-robin": { shares: "weights", isDeterministic: true, readsLoad: false, usesKey: false },
  random: { shares: "equal", isDeterministic: false, readsLoad: false, usesKey: false },
  "weighted-random": { shares: "weights", isDeterministic: false, readsLoad: false, usesKey: false },
  "least-requests": { shares: "weights", isDeterministic: false, readsLoad: true, usesKey: false },
  "peak-ewma": { shares: "weights", isDeterministic: false, readsLoad: true, usesKey: false },
  "ring-hash": { shares: "weights", isDeterministic: false, readsLoad: false, usesKey: true },
  maglev: { shares: "weights", isDeterministic: false, readsLoad: false, usesKey: true },
  rendezvous: { shares: "weights", isDeterministic: false, readsLoad: false, usesKey: true },
  first: { shares: "other", isDeterministic: true, readsLoad: false, usesKey: false }
}
