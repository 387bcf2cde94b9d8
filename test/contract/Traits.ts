/** One row for each strategy: what the contract suite may expect of it. A new strategy adds its row here. */
import type { StrategyName } from "../../src/layers/strategies/index.ts"

export interface Traits {
  /** What shares follow: the weights, nothing, so that all are equal, or something else altogether. */
  readonly shares: "weights" | "equal" | "other"
  /** The order of picks is the same whatever the random numbers are. */
  readonly isDeterministic: boolean
  /** Who has fewer requests in flight gets more. */
  readonly readsLoad: boolean
}

export const traits: Readonly<Record<StrategyName, Traits>> = {
  "round-robin": { shares: "equal", isDeterministic: true, readsLoad: false },
  "weighted-round-robin": { shares: "weights", isDeterministic: true, readsLoad: false },
  random: { shares: "equal", isDeterministic: false, readsLoad: false },
  "weighted-random": { shares: "weights", isDeterministic: false, readsLoad: false },
  "least-requests": { shares: "weights", isDeterministic: false, readsLoad: true },
  "peak-ewma": { shares: "weights", isDeterministic: false, readsLoad: true },
  first: { shares: "other", isDeterministic: true, readsLoad: false }
}
