/** Round-robin: each backend in turn, in the order of the configuration. Ignores weights. */
import * as Layer from "effect/Layer"
import { Strategy } from "../../services/Strategy.ts"

export const layer: Layer.Layer<Strategy> = Layer.sync(Strategy, () => {
  // Kept across rebuilds, so that a backend that comes or goes does not send the turn back to the first one.
  let lastTurn = 0
  return {
    name: "round-robin",
    ignoresWeights: true,
    make: (endpoints) => {
      // Each list has its own: two of them are in use at once where zones are.
      let turn = lastTurn
      return {
        pick: () => {
          if (endpoints.length === 0) return undefined
          const endpoint = endpoints[turn %= endpoints.length]
          lastTurn = ++turn
          return endpoint
        }
      }
    }
  }
})
