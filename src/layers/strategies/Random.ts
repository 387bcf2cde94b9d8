/** Random: any backend, with equal chances. Ignores weights. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Strategy } from "../../services/Strategy.ts"
import * as RandomBits from "./RandomBits.ts"

/** `random`: any, from `Random`. Ignores weights. */
export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(RandomBits.make, (random) => ({
    name: "random",
    ignoresWeights: true,
    make: (endpoints) => ({
      pick: () => endpoints[RandomBits.position(random(), endpoints.length)]
    })
  }))
)
