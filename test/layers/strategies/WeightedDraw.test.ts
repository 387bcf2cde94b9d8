import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { range } from "../../../src/layers/strategies/RandomBits.ts"
import * as WeightedDraw from "../../../src/layers/strategies/WeightedDraw.ts"
import { endpoints } from "../../endpoints.ts"

const weights = fc.oneof(
  fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 12 }),
  fc.array(fc.constantFrom(1, 2, 100), { minLength: 2, maxLength: 9 }),
  fc.tuple(fc.integer({ min: 2, max: 12 }), fc.constantFrom(1, 7)).map(([n, weight]) => Array<number>(n).fill(weight))
)

/** How often it draws again when the first one comes out again, before it searches. */
const redraws = (weights: ReadonlyArray<number>): number =>
  weights.length < 8 || weights.every((weight) => weight === weights[0]) ? 0 : 3

/** So many points, spread evenly. */
const points = (length: number): ReadonlyArray<number> =>
  Array.from({ length }, (_, i) => Math.floor(((i + 0.5) / length) * range))

/** How often each position of a list is found with these points. */
const hits = (size: number, points: ReadonlyArray<number>, at: (point: number) => number): ReadonlyArray<number> => {
  const counts = Array<number>(size).fill(0)
  for (const point of points) counts[at(point)]!++
  return counts
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)

/** Gives these numbers, and the last one for ever. */
const script = (...numbers: ReadonlyArray<number>) => {
  let i = 0
  return () => numbers[Math.min(i++, numbers.length - 1)]!
}

describe("a draw", () => {
  it("hits each as often as its weight says", () => {
    fc.assert(fc.property(weights, (weights) => {
      const n = weights.length
      // One point in the middle of each unit of weight of each cell.
      const found = hits(n, points(n * sum(weights)), WeightedDraw.make(endpoints(weights)).first)
      assert.deepStrictEqual(found, weights.map((weight) => n * weight))
    }))
  })

  it("hits another one the second time, each as often as its weight among the rest says", () => {
    fc.assert(
      fc.property(weights, (weights) => {
        const n = weights.length
        const draw = WeightedDraw.make(endpoints(weights))
        const others = (first: number, times: number) => weights.map((weight, i) => i === first ? 0 : weight * times)
        const all = points(n * sum(weights)).map((point) => ({ point, hit: draw.first(point) }))
        const most = redraws(weights)
        weights.forEach((weight, first) => {
          const again = all.find(({ hit }) => hit === first)!.point
          const fresh = all.flatMap(({ hit, point }) => hit === first ? [] : [point])
          // However often the first one is drawn again, what comes after it does not know of it.
          for (let times = 0; times < most; times++) {
            const found = hits(
              n,
              fresh,
              (point) => draw.second(first, script(...Array<number>(times).fill(again), point))
            )
            assert.deepStrictEqual(found, others(first, n))
          }
          const before = Array<number>(most).fill(again)
          const found = hits(n, points(sum(weights) - weight), (point) => draw.second(first, script(...before, point)))
          assert.deepStrictEqual(found, others(first, 1))
        })
      }),
      { numRuns: 40 }
    )
  })
})
