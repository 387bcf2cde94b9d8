import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as fc from "fast-check"
import { factor, off } from "../../src/services/SlowStart.ts"

const thirtySeconds = { ...off, duration: Duration.seconds(30) }

describe("the share of a backend that is warming", () => {
  it.each([[0, 0.1], [1_000, 0.1], [3_000, 0.1], [6_000, 0.2], [15_000, 0.5], [30_000, 1], [45_000, 1], [1e9, 1]])(
    "is after %d ms of 30 s %d",
    (elapsed, expected) => assert.closeTo(factor(elapsed, thirtySeconds), expected, 1e-12)
  )

  it("grows faster at first with an aggression above 1, and slower below it", () => {
    assert.isAbove(factor(6_000, { ...thirtySeconds, aggression: 2 }), 0.2)
    assert.isBelow(factor(6_000, { ...thirtySeconds, from: 0.01, aggression: 0.5 }), 0.2)
  })

  it("is whole when there is no slow start", () => {
    assert.strictEqual(factor(0, off), 1)
  })

  it("never shrinks, and is never nothing", () => {
    fc.assert(fc.property(
      fc.array(fc.nat(40_000), { minLength: 2 }),
      fc.double({ min: 0.1, max: 10, noNaN: true }),
      (times, aggression) => {
        const shares = times.sort((a, b) => a - b).map((elapsed) => factor(elapsed, { ...thirtySeconds, aggression }))
        assert.isAtLeast(shares[0]!, 0.1)
        shares.reduce((before, share) => {
          assert.isAtLeast(share, before)
          return share
        })
      }
    ))
  })
})
