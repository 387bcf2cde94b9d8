/**
 * First: the first backend in the order of the configuration, as long as it is eligible; then the
 * next. Ignores weights.
 *
 * For one that works and others that stand by. Groups of them are tiers, which go with any strategy.
 */
import * as Layer from "effect/Layer"
import { Strategy } from "../../services/Strategy.ts"

/** `first`: the first one of the list that can be taken. Ignores weights. */
export const layer: Layer.Layer<Strategy> = Layer.succeed(Strategy, {
  name: "first",
  ignoresWeights: true,
  make: (endpoints) => ({
    pick: () => endpoints[0],
    pickWhere: (_, accepts) => endpoints.find(accepts)
  })
})
