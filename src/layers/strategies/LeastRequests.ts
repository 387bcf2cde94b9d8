/** Least requests: of two backends drawn at random, the one with fewer requests in flight for its weight. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { Strategy } from "../../services/Strategy.ts"
import * as PowerOfTwoChoices from "./PowerOfTwoChoices.ts"

export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(Random.Random, (random) => ({
    name: "least-requests",
    make: (endpoints) => {
      const pick = PowerOfTwoChoices.make(endpoints, () => random.nextDoubleUnsafe(), (i) => {
        const { backend, load } = endpoints[i]!
        return load.inFlight / backend.weight
      })
      return { pick: () => endpoints[pick()] }
    }
  }))
)
