import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as WeightedRoundRobin from "../../../src/layers/strategies/WeightedRoundRobin.ts"
import { anonymous, Strategy } from "../../../src/services/Strategy.ts"
import { endpoints } from "../../endpoints.ts"

/** Counts who is picked next, so many times. */
const picking = (weights: ReadonlyArray<number>) => {
  const list = endpoints(weights)
  const positions = new Map(list.map((endpoint, i) => [endpoint, i]))
  const picker = Effect.runSync(Effect.provide(Strategy, WeightedRoundRobin.layer)).make(list)
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
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 }), (weights) => {
      const next = picking(weights)
      const first = next(sum(weights))
      assert.deepStrictEqual(counts(weights.length, first), weights)
      assert.deepStrictEqual(next(sum(weights)), first)
      assert.deepStrictEqual(next(sum(weights)), first)
    }))
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
