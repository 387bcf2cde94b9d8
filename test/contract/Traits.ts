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
}

export const traits: Readonly<Record<StrategyName, Traits>> = {
  "round-robin": { isDeterministic: true, readsLoad: false },
  "weighted-round-robin": { isDeterministic: true, readsLoad: false },
  random: { isDeterministic: false, readsLoad: false },
  "weighted-random": { isDeterministic: false, readsLoad: false },
  "least-requests": { isDeterministic: false, readsLoad: true },
  "peak-ewma": { isDeterministic: false, readsLoad: true },
  first: { bounds: { shares: "other" }, isDeterministic: true, readsLoad: false }
}
