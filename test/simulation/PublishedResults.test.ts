/** What the literature says of strategies, seen to be true of ours. Random numbers are seeded; times are simulated. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { strategies, type StrategyName } from "../../src/layers/strategies/index.ts"
import * as ManualClock from "../../src/layers/testing/ManualClock.ts"
import * as Load from "../../src/services/Load.ts"
import { anonymous } from "../../src/services/Strategy.ts"
import { endpoints } from "../endpoints.ts"
import { build } from "./Simulation.ts"
import * as Spread from "./Spread.ts"
import * as TailLatency from "./TailLatency.ts"

describe("n requests that stay, for n backends (Mitzenmacher 1996; Azar, Broder, Karlin, Upfal 1994)", () => {
  const [backend] = endpoints([1])

  /** The greatest number of requests that a backend has in the end, on the average of some seeds. */
  const maximum = (name: StrategyName, n: number, seeds: number): number => {
    let sum = 0
    for (let seed = 1; seed <= seeds; seed++) {
      const list = Array.from({ length: n }, () => ({ ...backend!, load: Load.make() }))
      const picker = build(strategies[name], seed, ManualClock.make()).make(list)
      for (let i = 0; i < n; i++) Load.begin(picker.pick(anonymous)!.load)
      sum += list.reduce((max, { load }) => Math.max(max, load.inFlight), 0)
    }
    return sum / seeds
  }

  const sizes = [[256, 40], [4_096, 10], [65_536, 3]] as const
  const [byChance, ofTwo] = (["random", "least-requests"] as const).map((name) =>
    new Map(sizes.map(([n, seeds]) => [n, maximum(name, n, seeds)]))
  )

  it("make a longest queue of about ln n / ln ln n by chance alone", () => {
    for (const [n, longest] of byChance!) {
      const expected = Math.log(n) / Math.log(Math.log(n))
      assert.isAbove(longest, expected, `${n}`)
      assert.isBelow(longest, 2.2 * expected, `${n}`)
    }
  })

  it("make a longest queue of about ln ln n / ln 2 with two choices", () => {
    for (const [n, longest] of ofTwo!) assert.closeTo(longest, Math.log(Math.log(n)) / Math.LN2, 1, `${n}`)
  })

  it("make it hardly longer with two choices when there are 256 times as many, and much longer by chance", () => {
    assert.isBelow(ofTwo!.get(65_536)! - ofTwo!.get(256)!, 1.3)
    assert.isAbove(byChance!.get(65_536)! - byChance!.get(256)!, 2)
  })
})

describe("with one of five backends ten times slower, for an hour", () => {
  it.effect("peak-EWMA has the shortest tail, then least requests, then round-robin", () =>
    Effect.gen(function*() {
      const [peak, least, turns] = yield* Effect.forEach(
        ["peak-ewma", "least-requests", "round-robin"] as const,
        (name) =>
          Effect.map(
            TailLatency.row(name, 2),
            ({ quantiles: [median = NaN, , p99 = NaN, p999 = NaN], slowShare }) => ({ median, p99, p999, slowShare })
          )
      )
      // 67 ms is what 99 % of the answers take where no backend is slow: 10 ms and 10 ms times ln 100, and a little.
      assert.isBelow(peak!.p99, 90)
      assert.isAbove(least!.p99, 3 * peak!.p99)
      assert.isAbove(turns!.p99, least!.p99)
      assert.isBelow(peak!.p999, least!.p999)
      // And no price is paid for it by the others.
      assert.closeTo(peak!.median, least!.median, 2)
      // It asks the slow one for one request in a hundred at most, and does not forget it.
      assert.isBelow(peak!.slowShare, 0.01)
      assert.isAbove(peak!.slowShare, 0.001)
    }), 60_000)
})

describe("the picture of the spread", () => {
  it.effect("shows weights and slowness as the strategies respect them", () =>
    Effect.gen(function*() {
      const shares = (name: StrategyName) =>
        Effect.map(Spread.sharesOf(name), (shares) => shares.map((share) => Math.round(share * 100)))
      assert.deepStrictEqual(yield* shares("weighted-round-robin"), [25, 50, 25])
      assert.deepStrictEqual(yield* shares("round-robin"), [33, 33, 33])
      assert.isBelow((yield* shares("peak-ewma"))[2]!, 5)
    }))

  it.effect("has a line for each strategy", () =>
    Effect.gen(function*() {
      const lines = yield* Spread.picture
      assert.strictEqual(lines.length, Object.keys(strategies).length + 1)
      Object.keys(strategies).forEach((name, i) => assert.match(lines[i + 1]!, new RegExp(`^${name} .*%$`)))
    }))
})
