import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Validate from "../../src/services/Validate.ts"

describe("a number", () => {
  it.each<readonly [keyof typeof rules, ReadonlyArray<number>, ReadonlyArray<number>]>([
    ["count", [1, 1_024, Infinity], [0, -1, 1.5, NaN, -Infinity]],
    ["wholeNumber", [0, 1, Infinity], [-1, 0.5, NaN, -Infinity]],
    ["share", [0, 0.5, 1], [-0.1, 1.1, NaN, Infinity]],
    ["someShare", [0.01, 1], [0, 1.1, NaN]],
    ["amount", [0, 0.5, Infinity], [-0.1, NaN]],
    ["positive", [0.1, 2], [0, -1, NaN]],
    ["aboveOne", [1.01, 2, Infinity], [1, 0, -2, NaN]]
  ])("that is a %s may be %j, and not %j", (name, right, wrong) => {
    for (const value of right) assert.doesNotThrow(() => Validate.number("x", value, rules[name]))
    for (const value of wrong) assert.throws(() => Validate.number("x", value, rules[name]), RangeError, `got ${value}`)
  })

  const { aboveOne, amount, count, positive, share, someShare, wholeNumber } = Validate
  const rules = { aboveOne, amount, count, positive, share, someShare, wholeNumber }

  it("that is left out is not wrong", () => {
    assert.doesNotThrow(() => Validate.number("x", undefined, Validate.count))
  })

  it("that is wrong is named, with what was expected", () => {
    assert.throws(
      () => Validate.number("maxInFlight", NaN, Validate.count),
      "maxInFlight: expected a whole number of 1 or more, or Infinity, got NaN"
    )
  })
})

describe("a time", () => {
  it("may be a millisecond or more, without an end", () => {
    for (const time of [Duration.millis(1), Duration.days(30), Duration.infinity]) {
      assert.doesNotThrow(() => Validate.time("interval", time))
    }
  })

  it.each<readonly [Duration.Duration, string]>([
    [Duration.zero, "0"],
    [Duration.millis(NaN), "0"],
    [Duration.micros(999n), Duration.format(Duration.micros(999n))],
    [Duration.seconds(-5), "-5s"]
  ])("may not be %s", (time, found) => {
    const message = `interval: expected a duration of 1ms or more, got ${found}`
    assert.throws(() => Validate.time("interval", time), message)
  })
})
