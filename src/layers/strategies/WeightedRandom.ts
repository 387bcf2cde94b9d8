/** Weighted random: any backend, with chances by weight. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Strategy } from "../../services/Strategy.ts"
import * as RandomBits from "./RandomBits.ts"
import * as WeightedDraw from "./WeightedDraw.ts"

/** `weighted-random`: any, with chances by weight, from `Random`. */
export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(RandomBits.make, (random) => ({
    name: "weighted-random",
    make: (endpoints) => {
      if (endpoints.length === 0) return { pick: () => undefined }
      const draw = WeightedDraw.make(endpoints)
      return { pick: () => endpoints[draw.first(random())] }
    }
  }))
)
