/** A trial has one place, which is there again when it is over, whatever ends beside it and in whatever order. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Limits } from "../../src/layers/balancer/Limits.ts"
import { defaultOptions } from "../../src/services/Balancer.ts"
import * as Load from "../../src/services/Load.ts"

/**
 * What happens next, each a while after the one before: an old try ends, or one that had ended goes on, whose answer is
 * handed over after all; the trial begins if it may, or it ends; or something else about the backend changes.
 */
const step = fc.record({
  what: fc.constantFrom("old ends", "old goes on", "trial begins", "trial ends", "pool changes"),
  pause: fc.nat(5)
})

const stories = fc.record({
  maxInFlight: fc.integer({ min: 1, max: 5 }),
  /** How many tries there are when the trial becomes due, and how long before each has begun. */
  old: fc.array(fc.integer({ min: 1, max: 1_000 }), { maxLength: 5 }),
  steps: fc.array(step, { maxLength: 30, size: "max" })
})

describe("the place of a trial", () => {
  it("is one, and never lost", () => {
    fc.assert(
      fc.property(stories, ({ maxInFlight, old, steps }) => {
        const limits = new Limits({ ...defaultOptions, maxInFlight }, () => 0.5)
        const load = Load.make()
        let now = 1_000
        limits.follow(load, false, 0)
        const before = old.slice(0, maxInFlight).map((age) => now - age)
        for (const _ of before) Load.begin(load)
        limits.follow(load, true, now)
        let trial: number | undefined
        const end = (beganAt: number): void => {
          Load.end(load, "aborted", 0, now)
          limits.end(load, "aborted", now - beganAt, "sent", beganAt, now)
        }
        for (const { pause, what } of steps) {
          now += pause
          const mayBegin = load.inFlight < load.limit
          // As soon as there is room beside the old ones the trial may begin, and never another one beside it.
          assert.strictEqual(mayBegin, trial === undefined && before.length < maxInFlight)
          if (what === "old ends" && before.length > 0) end(before.pop()!)
          if (what === "pool changes") limits.follow(load, true, now)
          if (what === "old goes on") {
            Load.begin(load, true)
            limits.resume(load)
            before.push(-Infinity)
          }
          if (what === "trial begins" && mayBegin) {
            Load.begin(load)
            trial = now
          }
          if (what === "trial ends" && trial !== undefined) {
            end(trial)
            trial = undefined
          }
        }
        assert.strictEqual(load.inFlight, before.length + (trial === undefined ? 0 : 1))
      }),
      { numRuns: 1_000 }
    )
  })

  it("is one more when a trial waits for its client, and no more for what was there before it", () => {
    const limits = new Limits(defaultOptions, () => 0.5)
    const load = Load.make()
    Load.begin(load)
    limits.follow(load, true, 100)
    Load.begin(load)
    assert.strictEqual(load.limit, 2)
    limits.bypass(load, 50, 150)
    assert.strictEqual(load.limit, 2)
    limits.bypass(load, 100, 200)
    assert.strictEqual(load.limit, 3)
    Load.begin(load)
    limits.bypass(load, 100, 300)
    assert.strictEqual(load.limit, 3)
  })
})
