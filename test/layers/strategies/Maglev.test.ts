/**
 * Maglev's worked example and its two table sizes, of Eisenbud et al., NSDI 2016, sections 3.4 and 5.3. The bounds for its
 * spread and disruption are our own.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Maglev from "../../../src/layers/strategies/Maglev.ts"
import { type Permutation, populate, sizeFor } from "../../../src/layers/strategies/Maglev.ts"
import * as Hash from "../../../src/services/Hash.ts"
import { anonymous, Strategy } from "../../../src/services/Strategy.ts"
import { endpoints } from "../../endpoints.ts"

const smallSize = 65_537

const largeSize = 655_373

const permutation = (id: string, size: number, weight = 1): Permutation => ({
  offset: (Hash.string(id, 0) >>> 0) % size,
  skip: ((Hash.string(id, 1) >>> 0) % (size - 1)) + 1,
  weight
})

const countsOf = (table: ArrayLike<number>, n: number): ReadonlyArray<number> => {
  const counts = Array<number>(n).fill(0)
  for (let i = 0; i < table.length; i++) counts[table[i]!]!++
  return counts
}

describe("the example of the paper, with a table of 7", () => {
  // Table 1: the permutations 3 0 4 1 5 2 6, 0 2 4 6 1 3 5 and 3 4 5 6 0 1 2.
  const b0 = { offset: 3, skip: 4, weight: 1 }
  const b1 = { offset: 0, skip: 2, weight: 1 }
  const b2 = { offset: 3, skip: 1, weight: 1 }

  it("gives B1 B0 B1 B0 B2 B2 B0", () => {
    assert.deepStrictEqual([...populate([b0, b1, b2], 7)], [1, 0, 1, 0, 2, 2, 0])
  })

  it("gives B0 B0 B0 B0 B2 B2 B2 without B1: one entry that was not its own moves", () => {
    assert.deepStrictEqual([...populate([b0, b2], 7)], [0, 0, 0, 0, 1, 1, 1])
  })
})

describe("the table", () => {
  it("has the small size of the paper while that is a hundred entries for each backend, else the large one", () => {
    assert.deepStrictEqual([1, 655].map(sizeFor), [smallSize, smallSize])
    assert.deepStrictEqual([656, 10_000].map(sizeFor), [largeSize, largeSize])
  })

  it("has a prime number of entries, so that every permutation goes through all of them", () => {
    const divisor = (n: number) =>
      Array.from({ length: Math.floor(Math.sqrt(n)) - 1 }, (_, i) => i + 2).find((d) => n % d === 0)
    assert.deepStrictEqual([65_535, smallSize, largeSize].map(divisor), [3, undefined, undefined])
  })

  it("is even also where there are more backends than two bytes can number", () => {
    const [n, size] = [65_536, 131_101]
    const permutations = Array.from({ length: n }, (_, i) => permutation(`backend-${i}`, size))
    assert.deepStrictEqual(new Set(countsOf(populate(permutations, size), n)), new Set([2, 3]))
  })

  it("of the picker is the one for so many backends, so nearly all keys move between 655 and 656", () => {
    const { make } = Effect.runSync(Effect.provide(Strategy, Maglev.layer))
    const keys = Array.from({ length: 2_000 }, (_, i) => `198.51.${i >> 8}.${i & 255}`)
    const ownersOf = (n: number) => {
      const weights = Array.from({ length: n }, (_, i) => 1 + (i % 3))
      const list = endpoints(weights)
      const picker = make(list)
      const size = sizeFor(n)
      const sorted = list.toSorted((a, b) => a.backend.id < b.backend.id ? -1 : 1)
      const table = populate(sorted.map(({ backend: { id, weight } }) => permutation(id, size, weight)), size)
      return keys.map((key) => {
        const owner = picker.pick({ ...anonymous, key: () => key })
        assert.strictEqual(owner, sorted[table[(Hash.string(key) >>> 0) % size]!])
        return owner?.backend.id
      })
    }
    const [before, after, later] = [655, 656, 657].map(ownersOf)
    assert.isAbove(keys.filter((_, i) => before![i] !== after![i]).length, 1_900)
    assert.isBelow(keys.filter((_, i) => after![i] !== later![i]).length, 40)
  })

  it("has shares that are exact to one entry, for any weights", () => {
    const weight = fc.integer({ min: 1, max: 1000 })
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 30, size: "max" }), (weights) => {
        const size = smallSize
        const table = populate(weights.map((weight, i) => permutation(`a${i}`, size, weight)), size)
        const sum = weights.reduce((a, b) => a + b)
        countsOf(table, weights.length).forEach((count, i) => {
          // The first turn of all comes before any second one, so the light are ahead by one turn at the most.
          assert.approximately(count, (size * weights[i]!) / sum, 1 + (weights.length * weights[i]!) / sum)
        })
      }),
      { numRuns: 15 }
    )
  })

  it("has such shares also where it is large and of many backends", () => {
    const weights = Array.from({ length: 10_000 }, (_, i) => 1 + (i % 5))
    const table = populate(weights.map((weight, i) => permutation(`a${i}`, largeSize, weight)), largeSize)
    // The same bound as above.
    const excess = countsOf(table, weights.length).map((count, i) =>
      Math.abs(count - (largeSize * weights[i]!) / 30_000) - 1 - weights[i]! / 3
    )
    assert.isAtMost(Math.max(...excess), 0)
  })
})

describe("a thousand backends, as in section 5.3,", () => {
  const ids = Array.from({ length: 1_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}:80`)
  const tableOf = (list: ReadonlyArray<string>, size: number) => populate(list.map((id) => permutation(id, size)), size)

  /** How many entries change when `k` backends fail at once, as parts of the table: all, and those of the others. */
  const disruption = (size: number, k: number): { readonly changed: number; readonly needless: number } => {
    const failed = new Set(Array.from({ length: k }, (_, i) => (i * 7919 + 13) % ids.length))
    const left = Array.from(ids.keys()).filter((i) => !failed.has(i))
    const before = tableOf(ids, size)
    const after = tableOf(left.map((i) => ids[i]!), size)
    let changed = 0
    let needless = 0
    for (let entry = 0; entry < size; entry++) {
      if (left[after[entry]!] === before[entry]) continue
      changed++
      if (!failed.has(before[entry]!)) needless++
    }
    return { changed: changed / size, needless: needless / size }
  }

  it.each([[smallSize, 65, 66], [largeSize, 655, 656]])(
    "share a table of %d evenly: from %d to %d entries each",
    (size, least, most) => {
      const counts = countsOf(tableOf(ids, size), ids.length)
      assert.deepStrictEqual([Math.min(...counts), Math.max(...counts)], [least, most])
    }
  )

  it("disturb few entries of others when some fail, more of them the more fail, and fewer in the larger table", () => {
    const small = [10, 50, 100].map((k) => disruption(smallSize, k))
    const large = [10, 50, 100].map((k) => disruption(largeSize, k))
    for (const [i, share] of [0.01, 0.05, 0.1].entries()) {
      assert.isAtLeast(small[i]!.changed, share * 0.98)
      assert.isBelow(small[i]!.needless, 0.04)
      assert.isBelow(large[i]!.needless, 0.015)
      assert.isBelow(large[i]!.needless, small[i]!.needless)
    }
    assert.isBelow(small[0]!.changed, small[1]!.changed)
    assert.isBelow(small[1]!.changed, small[2]!.changed)
  })

  it("disturb less than 1 % of the entries of others when one fails", () => {
    assert.isBelow(disruption(smallSize, 1).needless, 0.01)
  })
})
