import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { range } from "../../../src/layers/strategies/RandomBits.ts"
import * as WeightedDraw from "../../../src/layers/strategies/WeightedDraw.ts"
import { endpoints } from "../../endpoints.ts"

const weights = fc.oneof(
  fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 9 }),
  fc.tuple(fc.integer({ min: 2, max: 9 }), fc.constantFrom(1, 7)).map(([n, weight]) => Array<number>(n).fill(weight))
)

/** Points that are spread evenly, one in the middle of each unit of weight, and what each hits. */
const hits = (length: number, at: (point: number) => number): ReadonlyArray<number> => {
  const counts: Array<number> = []
  for (let i = 0; i < length; i++) {
    const position = at(Math.floor(((i + 0.5) / length) * range))
    counts[position] = (counts[position] ?? 0) + 1
  }
  return counts
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)

describe("a draw", () => {
  it("hits each as often as its weight says", () => {
    fc.assert(fc.property(weights, (weights) => {
      assert.deepStrictEqual(hits(sum(weights), WeightedDraw.make(endpoints(weights)).first), weights)
    }))
  })

  it("hits another one the second time, each as often as its weight among the rest says", () => {
    fc.assert(fc.property(weights, (weights) => {
      const draw = WeightedDraw.make(endpoints(weights))
      weights.forEach((weight, first) => {
        const found = hits(sum(weights) - weight, (point) => draw.second(first, point))
        assert.isUndefined(found[first])
        weights.forEach((weight, i) => {
          if (i !== first) assert.strictEqual(found[i], weight)
        })
      })
    }))
  })
})
