/** One row for each strategy: what the contract suite may expect of it. A new strategy adds its row here. */
import type { StrategyName } from "../../src/layers/strategies/index.ts"

export interface Traits {
  /** Shares follow the weights. Otherwise all shares are equal. */
  readonly honoursWeights: boolean
  /** The order of picks is the same whatever the random numbers are. */
  readonly isDeterministic: boolean
  /** Who has fewer requests in flight gets more. */
  readonly readsLoad: boolean
}

export const traits: Readonly<Record<StrategyName, Traits>> = {
  "round-robin": { honoursWeights: false, isDeterministic: true, readsLoad: false },
  "weighted-round-robin": { honoursWeights: true, isDeterministic: true, readsLoad: false },
  random: { honoursWeights: false, isDeterministic: false, readsLoad: false },
  "least-requests": { honoursWeights: true, isDeterministic: false, readsLoad: true }
}
