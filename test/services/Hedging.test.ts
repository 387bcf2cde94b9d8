import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { make, observe, quantile } from "../../src/services/Hedging.ts"

const after = (observations: ReadonlyArray<number>) => {
  const latencies = make()
  for (const millis of observations) observe(latencies, millis)
  return latencies
}

describe("the observed quantile", () => {
  it("is not known before there are 100 observations", () => {
    const latencies = after(Array<number>(99).fill(20))
    assert.isUndefined(quantile(latencies, 0.95))
    observe(latencies, 20)
    assert.approximately(quantile(latencies, 0.95)!, 20, 2)
  })

  it("is at most 9 % more than that of the sorted list, and never less", () => {
    const durations = fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 100, maxLength: 1_000, size: "max" })
    fc.assert(fc.property(durations, fc.double({ min: 0.01, max: 1, noNaN: true }), (observations, share) => {
      const sorted = observations.toSorted((a, b) => a - b)
      const exact = sorted[Math.ceil(share * sorted.length) - 1]!
      const found = quantile(after(observations), share)!
      assert.isAtLeast(found, exact * (1 - 1e-9))
      assert.isAtMost(found, exact * 1.0906)
    }))
  })

  it("is that of as many as were asked for, and of no other one", () => {
    const latencies = after([...Array<number>(95).fill(10), ...Array<number>(5).fill(5_000)])
    assert.approximately(quantile(latencies, 0.95)!, 10, 1)
    assert.approximately(quantile(latencies, 0.96)!, 5_000, 450)
  })

  it.each([0, 10])("follows a change from %i ms within some thousand observations", (before) => {
    const latencies = after(Array<number>(100_000).fill(before))
    for (let i = 0; i < 4_000; i++) observe(latencies, 500)
    assert.approximately(quantile(latencies, 0.5)!, 500, 50)
    assert.isAtMost(latencies.total, 4_000)
  })

  it("knows that most answers take longer than it can count, also when it has forgotten the oldest", () => {
    assert.strictEqual(quantile(after(Array<number>(4_050).fill(100_000)), 0.5), 65_536)
  })

  it("takes whatever a clock may say", () => {
    const latencies = after([...Array<number>(100).fill(0), -1, 1e12])
    assert.deepStrictEqual([quantile(latencies, 0.5), quantile(latencies, 1)], [1, 65_536])
  })
})
