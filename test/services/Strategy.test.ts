import { assert, describe, it } from "@effect/vitest"
import type { Endpoint } from "../../src/services/Load.ts"
import { type Accepts, anonymous, searchFor } from "../../src/services/Strategy.ts"
import { endpoints, idsOf } from "../endpoints.ts"

const list = endpoints([1, 1, 1, 1])

const isNot = (...positions: ReadonlyArray<number>): Accepts => (endpoint) =>
  !positions.some((position) => list[position] === endpoint)

describe("a search for somebody who can be taken", () => {
  it("follows the ranking of a strategy that has one", () => {
    const search = searchFor({
      pick: () => assert.fail("nobody wants another proposal"),
      pickWhere: (_, accepts) => list.toReversed().find(accepts)
    }, list)
    assert.deepStrictEqual(idsOf([search(anonymous, isNot()), search(anonymous, isNot(3, 2))]), ["a3", "a1"])
  })

  it("takes the next proposal of one that has none", () => {
    let turn = 0
    const search = searchFor({ pick: () => list[turn++ % 4] }, list)
    assert.deepStrictEqual(idsOf([search(anonymous, isNot(0)), search(anonymous, isNot(2))]), ["a1", "a3"])
  })

  it("finds anybody where the strategy knows no other, not always the same one", () => {
    const stubborn = searchFor({ pick: () => list[0] }, list)
    const choosy = searchFor({ pick: () => list[0], pickWhere: () => undefined }, list)
    for (const search of [stubborn, choosy]) {
      const found = Array.from({ length: 6 }, () => search(anonymous, isNot(0)))
      assert.deepStrictEqual(new Set(idsOf(found)), new Set(["a1", "a2", "a3"]))
    }
  })

  it("finds nobody where nobody can be taken, or there is nobody", () => {
    const none: ReadonlyArray<Endpoint> = []
    assert.isUndefined(searchFor({ pick: () => list[0] }, list)(anonymous, () => false))
    assert.isUndefined(searchFor({ pick: () => none[0] }, none)(anonymous, () => true))
  })
})
