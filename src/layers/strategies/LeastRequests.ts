/**
 * Least requests: of two backends drawn at random, the one with fewer requests in flight for its weight.
 *
 * Two draws are enough: the longest queue shrinks from about log n / log log n to log log n, and a third gains little
 * (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996). Unlike a scan for the minimum, it costs the
 * same for any number of backends, and many balancers do not all run to the same idle one.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { Endpoint } from "../../services/Load.ts"
import { Strategy } from "../../services/Strategy.ts"

/** What a backend's load would be with one request more. */
const score = (endpoint: Endpoint): number => (endpoint.load.inFlight + 1) / endpoint.backend.weight

export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(Random.Random, (random) => ({
    name: "least-requests",
    make: (endpoints) => ({
      pick: () => {
        const n = endpoints.length
        if (n < 2) return endpoints[0]
        const i = Math.floor(random.nextDoubleUnsafe() * n)
        // A draw from the others: those from i on move up by one.
        const j = Math.floor(random.nextDoubleUnsafe() * (n - 1))
        const first = endpoints[i]!
        const second = endpoints[j < i ? j : j + 1]!
        return score(second) < score(first) ? second : first
      }
    })
  }))
)
