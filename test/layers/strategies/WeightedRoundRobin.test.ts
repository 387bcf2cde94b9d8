import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as WeightedRoundRobin from "../../../src/layers/strategies/WeightedRoundRobin.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import { anonymous, Strategy } from "../../../src/services/Strategy.ts"
import { backend, endpoints, idsOf } from "../../endpoints.ts"

const build = () => Effect.runSync(Effect.provide(Strategy, WeightedRoundRobin.layer))

/** Says who is picked next, so many times. */
const picking = (weights: ReadonlyArray<number>) => {
  const list = endpoints(weights)
  const positions = new Map(list.map((endpoint, i) => [endpoint, i]))
  const picker = build().make(list)
  return (times: number): ReadonlyArray<number> =>
    Array.from({ length: times }, () => positions.get(picker.pick(anonymous)!)!)
}

const counts = (size: number, picks: ReadonlyArray<number>): ReadonlyArray<number> => {
  const found = Array<number>(size).fill(0)
  for (const i of picks) found[i]!++
  return found
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)

describe("a period of weighted round-robin", () => {
  it("has each as often as its weight says, and is followed by the same again", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20, size: "max" }),
        (weights) => {
          const next = picking(weights)
          const first = next(sum(weights))
          assert.deepStrictEqual(counts(weights.length, first), weights)
          assert.deepStrictEqual(next(sum(weights)), first)
          assert.deepStrictEqual(next(sum(weights)), first)
        }
      )
    )
  })

  it("is as short as a common divisor makes it", () => {
    const next = picking([500, 100, 100])
    const first = next(7)
    assert.strictEqual(first.join(" "), "0 0 0 1 0 0 2")
    assert.deepStrictEqual(next(7), first)
  })

  it.each([["as long as is written down", 64, 65_536], ["longer than is written down", 65, 65_537]])(
    "may be %s",
    (_, rest, length) => {
      // 65,472 in heavy ones; the last one makes the difference.
      const weights = [...Array<number>(88).fill(744), rest]
      assert.strictEqual(sum(weights), length)
      const next = picking(weights)
      for (let period = 0; period < 2; period++) assert.deepStrictEqual(counts(weights.length, next(length)), weights)
    }
  )
})

describe("a list that changes", () => {
  /** Of lists that follow each other, one after so many picks: who was picked how often. */
  const picked = (lists: ReadonlyArray<ReadonlyArray<Endpoint>>, picksEach: number) => {
    const strategy = build()
    const found = new Map<string, number>()
    for (const list of lists) {
      const picker = strategy.make(list)
      for (let i = 0; i < picksEach; i++) {
        const { id } = picker.pick(anonymous)!.backend
        found.set(id, (found.get(id) ?? 0) + 1)
      }
    }
    return found
  }

  it("has each of a hundred take its turn where the last one leaves and returns every 40 picks", () => {
    const all = endpoints(Array<number>(100).fill(1))
    const lists = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? all : all.slice(0, 99)))
    const found = picked(lists, 40)
    assert.strictEqual(found.size, 100)
    for (const { backend: { id } } of all.slice(0, 99)) assert.approximately(found.get(id)!, 80, 2, id)
    // There for half of the time, and it goes on where it was.
    assert.approximately(found.get("a99")!, 40, 2)
  })

  it("gives each its share, whatever the weights and the picks between two changes are", () => {
    const someWeights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 })
    fc.assert(fc.property(someWeights, fc.integer({ min: 1, max: 50 }), (weights, picksEach) => {
      const all = endpoints(weights)
      // A list that is the same but another: what is counted is exact when only the pickers are new.
      const total = sum(weights) * picksEach
      const found = picked(Array.from({ length: total / picksEach }, () => [...all]), picksEach)
      all.forEach(({ backend: { id, weight } }) => {
        assert.approximately(found.get(id) ?? 0, picksEach * weight, 2, `${id} of ${weights.join(":")}`)
      })
    }))
  })

  it("goes on with whoever is due next, in every period", () => {
    // Weights of which no two are ever due at once.
    const all = endpoints([4, 2, 1])
    for (let before = 0; before <= 15; before++) {
      const strategy = build()
      const [picker, twin] = [strategy.make(all), build().make(all)]
      for (let i = 0; i < before; i++) assert.strictEqual(picker.pick(anonymous), twin.pick(anonymous))
      const next = strategy.make(all)
      const [after, expected] = [next, twin].map((one) => idsOf(Array.from({ length: 14 }, () => one.pick(anonymous))))
      assert.deepStrictEqual(after, expected, `after ${before}`)
    }
  })

  it("has each in a period as often as its weight says, also where it was cut anywhere", () => {
    const someWeights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 12 })
    fc.assert(fc.property(someWeights, fc.nat(300), fc.nat(300), fc.nat(), (weights, first, second, at) => {
      const all = endpoints(weights)
      const strategy = build()
      const some = all.filter((_, i) => i !== at % all.length)
      for (const [list, times] of [[all, first], [some, second]] as const) {
        const picker = strategy.make(list)
        for (let i = 0; i < times; i++) picker.pick(anonymous)
      }
      const picker = strategy.make(all.toReversed())
      for (let period = 0; period < 2; period++) {
        const found = Array.from({ length: sum(weights) }, () => all.indexOf(picker.pick(anonymous)!))
        assert.deepStrictEqual(counts(all.length, found), weights)
      }
    }))
  })

  it("has them as often where two are due at the same time and the new list has them the other way round", () => {
    const weights = [1, 2, 3, 4, 5]
    const cases = weights.flatMap((a) => weights.flatMap((b) => weights.map((c) => [a, b, c])))
    for (const some of cases) {
      for (let before = 0; before < sum(some); before++) {
        const all = endpoints(some)
        const strategy = build()
        const first = strategy.make(all)
        for (let i = 0; i < before; i++) first.pick(anonymous)
        const picker = strategy.make(all.toReversed())
        const found = Array.from({ length: sum(some) }, () => all.indexOf(picker.pick(anonymous)!))
        assert.deepStrictEqual(counts(3, found), some, `${some.join(":")} after ${before}`)
      }
    }
  })

  it("goes on where more picks are in a period than are written down", () => {
    const weights = [...Array<number>(88).fill(744), 65]
    const all = endpoints(weights)
    const found = picked(Array.from({ length: 655 }, () => [...all]), 100)
    all.forEach(({ backend: { id, weight } }) => assert.approximately(found.get(id) ?? 0, weight, 2, id))
  })

  it("keeps the pace of a backend whose weight changes", () => {
    const [a, b] = endpoints([1, 1])
    const strategy = build()
    for (const weight of [1, 3]) {
      const list = [{ ...a!, backend: backend("a0", weight) }, b!]
      const picker = strategy.make(list)
      const found = idsOf(Array.from({ length: 8 }, () => picker.pick(anonymous)))
      assert.strictEqual(found.filter((id) => id === "a0").length, weight === 1 ? 4 : 6)
    }
  })
})
