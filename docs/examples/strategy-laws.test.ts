// The laws that any strategy must keep, on one of your own: of three backends drawn at random, the least busy.
import { it } from "@effect/vitest"
import { Effect, Layer, Random } from "effect"
import * as StrategyLaws from "evenkeel/layers/testing/StrategyLaws"
import { Strategy } from "evenkeel/services/Strategy"

const LeastOfThree = Layer.effect(
  Strategy,
  Effect.map(Random.Random, (random) => ({
    name: "least-of-three",
    ignoresWeights: true,
    make: (endpoints) => ({
      pick: () => {
        let best = endpoints[Math.floor(random.nextDoubleUnsafe() * endpoints.length)]
        for (let i = 1; i < 3; i++) {
          const other = endpoints[Math.floor(random.nextDoubleUnsafe() * endpoints.length)]
          if (best !== undefined && other !== undefined && other.load.inFlight < best.load.inFlight) best = other
        }
        return best
      }
    })
  }))
)

for (const law of StrategyLaws.laws) {
  it.effect(`a strategy of one's own ${law.name}`, () => StrategyLaws.check(law, { layer: LeastOfThree }), 60_000)
}
