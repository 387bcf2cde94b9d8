/** Least requests: of two backends drawn at random, the one with fewer requests in flight for its weight. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Strategy } from "../../services/Strategy.ts"
import * as PowerOfTwoChoices from "./PowerOfTwoChoices.ts"
import * as RandomBits from "./RandomBits.ts"

export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(RandomBits.make, (random) => ({
    name: "least-requests",
    make: (endpoints) => {
      const pick = PowerOfTwoChoices.make(endpoints, random, (i) => {
        const { backend, load } = endpoints[i]!
        return load.inFlight / backend.weight
      })
      return { pick: () => endpoints[pick()] }
    }
  }))
)
