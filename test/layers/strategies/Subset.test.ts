import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fc from "fast-check"
import * as RoundRobin from "../../../src/layers/strategies/RoundRobin.ts"
import * as Subset from "../../../src/layers/strategies/Subset.ts"
import * as Zones from "../../../src/layers/strategies/Zones.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import { anonymous, Strategy } from "../../../src/services/Strategy.ts"
import { endpoint, endpoints } from "../../endpoints.ts"

const pool = (n: number): ReadonlyArray<Endpoint> => Array.from({ length: n }, (_, i) => endpoint(`b${i}`))

/** The ids that a balancer uses, in the order of the strategy. */
const subsetOf = (list: ReadonlyArray<Endpoint>, options: Subset.Options): ReadonlyArray<string> => {
  const layer = Zones.layer(undefined, options).pipe(Layer.provide(RoundRobin.layer))
  const picker = Effect.runSync(Effect.provide(Strategy, layer)).make(list)
  return [...new Set(list.map(() => picker.pick(anonymous)?.backend.id ?? "nobody"))]
}

describe("a subset", () => {
  it("has as many backends as it says, in the order of the configuration, or all if there are fewer", () => {
    const chosen = subsetOf(pool(100), { size: 10, id: "lb-1" })
    assert.strictEqual(chosen.length, 10)
    const positions = chosen.map((id) => Number(id.slice(1)))
    assert.deepStrictEqual(positions, positions.toSorted((a, b) => a - b))
    assert.deepStrictEqual(subsetOf(pool(3), { size: 10, id: "lb-1" }), ["b0", "b1", "b2"])
    assert.deepStrictEqual(subsetOf([], { size: 10, id: "lb-1" }), [])
  })

  it("is the same for the same id, whatever the order of the configuration, and another for another", () => {
    const one = subsetOf(pool(100), { size: 10, id: "lb-1" })
    assert.sameMembers([...subsetOf(pool(100).toReversed(), { size: 10, id: "lb-1" })], [...one])
    assert.notDeepEqual(subsetOf(pool(100), { size: 10, id: "lb-2" }), one)
  })

  it("changes by one backend at the most when one leaves or joins", () => {
    fc.assert(fc.property(
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 1, max: 10 }),
      fc.nat(),
      fc.string(),
      (n, size, at, id) => {
        const all = pool(n)
        const gone = all[at % n]!
        const before = subsetOf(all, { size, id })
        const after = subsetOf(all.filter((one) => one !== gone), { size, id })
        const lost = before.filter((id) => !after.includes(id))
        assert.deepStrictEqual(lost, before.includes(gone.backend.id) ? [gone.backend.id] : [])
        assert.isAtMost(after.filter((id) => !before.includes(id)).length, lost.length)
      }
    ))
  })

  it("is drawn without regard to weights, so that these count once", () => {
    const weights = (list: ReadonlyArray<Endpoint>) => subsetOf(list, { size: 3, id: "lb-1" })
    assert.deepStrictEqual(weights(endpoints([1, 1, 1, 1, 1, 1])), weights(endpoints([9, 1, 2, 1, 500, 1])))
  })

  it("has each backend in about as many as chance gives", () => {
    const counts = new Map<string, number>()
    for (let lb = 0; lb < 1_000; lb++) {
      for (const id of subsetOf(pool(50), { size: 10, id: `lb-${lb}` })) counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    // 200 on the average, with a standard deviation of 13.
    assert.strictEqual(counts.size, 50)
    for (const count of counts.values()) assert.approximately(count, 200, 60)
  })

  it("leaves a heavy backend less of the traffic of many balancers than its weight says", () => {
    const list = endpoints([9, ...Array<number>(9).fill(1)])
    const balancers = 1_000
    let share = 0
    for (let lb = 0; lb < balancers; lb++) {
      const chosen = Subset.of(list, { size: 3, id: `lb-${lb}` })
      const weights = chosen.reduce((sum, { backend }) => sum + backend.weight, 0)
      if (chosen.includes(list[0]!)) share += 9 / weights / balancers
    }
    // It has half of all the weight. But it is in 3 of 10 subsets, and has 9 of 11 in these.
    assert.closeTo(share, (3 / 10) * (9 / 11), 0.04)
  })
})
