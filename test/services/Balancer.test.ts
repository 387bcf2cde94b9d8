import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { checked, defaultOptions, type Options } from "../../src/services/Balancer.ts"

const { queue, slowStart } = defaultOptions

describe("limits", () => {
  it.each<Partial<Options>>([
    {},
    { maxInFlight: Infinity, maxTotalInFlight: 1 },
    { queue: { ...queue, size: 0, timeout: Duration.zero } },
    { adaptive: true }
  ])("may be %j", (given) => {
    const options = { ...defaultOptions, ...given }
    assert.strictEqual(checked(options), options)
  })

  it.each<readonly [Partial<Options>, string]>([
    [{ maxInFlight: NaN }, "maxInFlight: expected a whole number of 1 or more, or Infinity, got NaN"],
    [{ maxTotalInFlight: NaN }, "maxTotalInFlight: expected a whole number of 1 or more, or Infinity, got NaN"],
    [{ queue: { ...queue, size: -1 } }, "queue.size: expected a whole number of 0 or more, or Infinity, got -1"],
    [{ slowStart: { ...slowStart, from: NaN } }, "slowStart.from: expected a number above 0 and at most 1, got NaN"],
    [{ slowStart: { ...slowStart, aggression: 0 } }, "slowStart.aggression: expected a number above 0, got 0"]
  ])("may not be %j", (given, message) => {
    assert.throws(() => checked({ ...defaultOptions, ...given }), RangeError, message)
  })
})
