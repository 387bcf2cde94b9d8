/**
 * Least requests: of two backends drawn at random, the one with fewer requests in flight for its weight.
 *
 * Two draws are enough: the longest queue shrinks from about log n / log log n to log log n, and a third gains little
 * (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996). Unlike a scan for the minimum, it costs
 * next to nothing for any number of backends, and many balancers do not all run to the same idle one.
 *
 * Draws are weighted, because with equal chances one heavy backend among many light ones would hardly ever be drawn. The
 * first draw wins a tie, so an idle pool is used in proportion to the weights and nobody is left out.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { Endpoint } from "../../services/Load.ts"
import { type Picker, Strategy } from "../../services/Strategy.ts"

const isLessBusy = (a: Endpoint, b: Endpoint): boolean =>
  a.load.inFlight * b.backend.weight < b.load.inFlight * a.backend.weight

const pickerFor = (endpoints: ReadonlyArray<Endpoint>, random: () => number): Picker => {
  const n = endpoints.length
  if (n < 2) return { pick: () => endpoints[0] }
  // Each endpoint owns a stretch of a line that is as long as its weight; here is where each stretch ends.
  let length = 0
  const ends = Float64Array.from(endpoints, (endpoint) => (length += endpoint.backend.weight))

  const at = (point: number): number => {
    let low = 0
    for (let high = n - 1; low < high;) {
      const middle = (low + high) >> 1
      if (point < ends[middle]!) high = middle
      else low = middle + 1
    }
    return low
  }

  return {
    pick: () => {
      const i = at(random() * length)
      const first = endpoints[i]!
      const { weight } = first.backend
      // The second draw is from the line without the stretch of the first: what lies behind that moves up.
      const point = random() * (length - weight)
      const second = endpoints[at(point < ends[i]! - weight ? point : point + weight)]!
      return isLessBusy(second, first) ? second : first
    }
  }
}

export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(Random.Random, (random) => ({
    name: "least-requests",
    make: (endpoints) => pickerFor(endpoints, () => random.nextDoubleUnsafe())
  }))
)
