/** Random: any backend, with equal chances. Ignores weights. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { Strategy } from "../../services/Strategy.ts"

export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(Random.Random, (random) => ({
    name: "random",
    ignoresWeights: true,
    make: (endpoints) => ({
      pick: () => endpoints[Math.floor(random.nextDoubleUnsafe() * endpoints.length)]
    })
  }))
)
