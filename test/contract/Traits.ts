/** One row for each strategy: what the contract suite may expect of it. A new strategy adds its row here. */
import type { StrategyName } from "../../src/layers/strategies/index.ts"

export interface Traits {
  /** Shares follow the weights. Otherwise all shares are equal. */
  readonly honoursWeights: boolean
  /** The order of picks is the same whatever the random numbers are. */
  readonly isDeterministic: boolean
  /** Who has fewer requests in flight gets more. */
  readonly readsLoad: boolean
  /** Requests with the same key go to the same backend. */
  readonly usesKey: boolean
}

export const traits: Readonly<Record<StrategyName, Traits>> = {
  "round-robin": { honoursWeights: false, isDeterministic: true, readsLoad: false, usesKey: false },
  "weighted-round-robin": { honoursWeights: true, isDeterministic: true, readsLoad: false, usesKey: false },
  random: { honoursWeights: false, isDeterministic: false, readsLoad: false, usesKey: false },
  "least-requests": { honoursWeights: true, isDeterministic: false, readsLoad: true, usesKey: false },
  "ring-hash": { honoursWeights: true, isDeterministic: false, readsLoad: false, usesKey: true },
  maglev: { honoursWeights: true, isDeterministic: false, readsLoad: false, usesKey: true },
  rendezvous: { honoursWeights: true, isDeterministic: false, readsLoad: false, usesKey: true }
}
