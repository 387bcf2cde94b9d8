import { assert, describe, it } from "@effect/vitest"
import { tiersOf } from "../../../src/layers/balancer/Tiers.ts"
import * as Backend from "../../../src/services/Backend.ts"
import * as Load from "../../../src/services/Load.ts"
import { anonymous } from "../../../src/services/Strategy.ts"
import { endpoints, idsOf } from "../../endpoints.ts"

const tiered = (tiers: ReadonlyArray<number>): ReadonlyArray<Load.Endpoint> =>
  tiers.map((tier, i) => ({ backend: Backend.make(`http://a${i}`, { id: `a${i}`, tier }), load: Load.make() }))

/** A strategy that keeps the lists that it was given. */
const keeping = () => {
  const lists: Array<ReadonlyArray<Load.Endpoint>> = []
  return {
    lists,
    strategy: {
      name: "keeping",
      make: (list: ReadonlyArray<Load.Endpoint>) => {
        lists.push(list)
        return { pick: () => list[0] }
      }
    }
  }
}

describe("tiers", () => {
  it("are none of an empty list, and one with the very same list where all have the same", () => {
    const { strategy } = keeping()
    assert.deepStrictEqual(tiersOf(strategy.make, []), [])
    for (const list of [endpoints([1, 2]), tiered([1, 1])]) {
      const [tier, ...others] = tiersOf(strategy.make, list)
      assert.strictEqual(tier?.endpoints, list)
      assert.deepStrictEqual(others, [])
    }
  })

  it("stay as they are, each with its picker, as long as their own endpoints are the same", () => {
    const { strategy } = keeping()
    const list = tiered([0, 1, 0, 2])
    const before = tiersOf(strategy.make, list)
    const after = tiersOf(strategy.make, list.slice(1), before)
    assert.deepStrictEqual(after.map((tier) => before.indexOf(tier)), [-1, 1, 2])
  })

  it("come in the order of their numbers, each with its endpoints in the order of the configuration", () => {
    const tiers = tiersOf(keeping().strategy.make, tiered([2, 0, 1, 0, 9]))
    assert.deepStrictEqual(tiers.map(({ endpoints, level }) => [level, idsOf(endpoints)]), [
      [0, ["a1", "a3"]],
      [1, ["a2"]],
      [2, ["a0"]],
      [9, ["a4"]]
    ])
  })

  it("cost nothing until somebody of them is needed, and then one picker", () => {
    const { lists, strategy } = keeping()
    const [first, second] = tiersOf(strategy.make, tiered([0, 1]))
    assert.deepStrictEqual([lists, first?.used], [[], undefined])
    first!.picker.pick(anonymous)
    first!.search(anonymous, () => true)
    assert.deepStrictEqual(lists.map(idsOf), [["a0"]])
    assert.strictEqual(first?.used, first?.picker)
    assert.isUndefined(second?.used)
  })

  it("stay as they are, with their pickers, when another one changes", () => {
    const { lists, strategy } = keeping()
    const list = tiered([0, 1, 1])
    const [first, second] = tiersOf(strategy.make, list)
    first!.picker.pick(anonymous)
    second!.picker.pick(anonymous)
    const after = tiersOf(strategy.make, list.slice(0, 2), [first!, second!])
    assert.strictEqual(after[0], first)
    assert.notStrictEqual(after[1], second)
    assert.strictEqual(tiersOf(strategy.make, list.slice(0, 1), after)[0], first)
    assert.notStrictEqual(tiersOf(strategy.make, list.slice(), [])[0], first)
    after[1]!.picker.pick(anonymous)
    assert.deepStrictEqual(lists.map(idsOf), [["a0"], ["a1", "a2"], ["a1"]])
  })
})
