import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { strategies } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import * as Load from "../../src/services/Load.ts"
import { anonymous, inTiers, Strategy } from "../../src/services/Strategy.ts"
import { endpoints, idsOf } from "../endpoints.ts"

const tiered = (tiers: ReadonlyArray<number>): ReadonlyArray<Load.Endpoint> =>
  tiers.map((tier, i) => ({ backend: Backend.make(`http://a${i}`, { id: `a${i}`, tier }), load: Load.make() }))

const roundRobin = Effect.map(Effect.provide(Strategy, strategies["round-robin"]), inTiers)

describe("tiers", () => {
  it.effect("leave a strategy alone where there is one tier, whichever", () => {
    const lists: Array<unknown> = []
    const strategy = inTiers({
      name: "inner",
      ignoresWeights: true,
      make: (list) => {
        lists.push(list)
        return { pick: () => undefined }
      }
    })
    return Effect.sync(() => {
      const [all, backups] = [endpoints([1, 2]), tiered([1, 1])]
      for (const list of [[], all, backups]) strategy.make(list)
      assert.strictEqual(lists[1], all)
      assert.strictEqual(lists[2], backups)
      assert.deepInclude(strategy, { name: "inner", ignoresWeights: true })
    })
  })

  it.effect("use the first tier that has anybody, and nobody else, whatever the order of the configuration", () =>
    Effect.gen(function*() {
      const strategy = yield* roundRobin
      const picks = (list: ReadonlyArray<Load.Endpoint>) => {
        const picker = strategy.make(list)
        return new Set(idsOf(Array.from({ length: 12 }, () => picker.pick(anonymous))))
      }
      const all = tiered([2, 0, 1, 0, 1])
      assert.deepStrictEqual(picks(all), new Set(["a1", "a3"]))
      assert.deepStrictEqual(picks(all.filter((_, i) => i !== 1)), new Set(["a3"]))
      assert.deepStrictEqual(picks([all[0]!, all[2]!, all[4]!]), new Set(["a2", "a4"]))
      assert.deepStrictEqual(picks([all[0]!]), new Set(["a0"]))
      assert.deepStrictEqual(picks([]), new Set([undefined]))
    }))
})
