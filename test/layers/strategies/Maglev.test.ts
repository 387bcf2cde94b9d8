/** The published results of Maglev: Eisenbud et al., NSDI 2016, sections 3.4 and 5.3. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Permutation, populate, size } from "../../../src/layers/strategies/Maglev.ts"
import * as Hash from "../../../src/services/Hash.ts"

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
  it("has the size that the paper uses in practice", () => assert.strictEqual(size, smallSize))

  it("has shares that are exact to one entry, for any weights", () => {
    const weight = fc.integer({ min: 1, max: 1000 })
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 30 }), (weights) => {
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
