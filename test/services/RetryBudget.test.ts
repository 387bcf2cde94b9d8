import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { defaultPolicy, deposit, make, putBack, seconds, withdraw } from "../../src/services/RetryBudget.ts"

/** How many tries the budget allows now. */
const left = (budget: ReturnType<typeof make>, now: number, policy = defaultPolicy): number => {
  let count = 0
  while (withdraw(budget, policy, now)) count++
  return count
}

describe("a retry budget", () => {
  it("has 3 tries a second for the 10 seconds that it remembers, before there was any request", () => {
    const budget = make()
    assert.strictEqual(left(budget, 5_000), 30)
    assert.isFalse(withdraw(budget, defaultPolicy, 5_000))
  })

  it("has a fifth of the requests of the last 10 seconds besides", () => {
    const budget = make()
    for (let i = 0; i < 1_000; i++) deposit(budget, 20_000 + 9 * i)
    assert.strictEqual(left(budget, 29_500), 30 + 200)
  })

  it("forgets requests and tries when they are 10 seconds old, a second at a time", () => {
    const budget = make()
    for (let i = 0; i < 100; i++) deposit(budget, 1_000)
    assert.strictEqual(left(budget, 2_000), 50)
    assert.strictEqual(left(budget, 10_999), 0)
    // The requests are forgotten and the tries are not.
    assert.strictEqual(left(budget, 11_000), 0)
    assert.strictEqual(left(budget, 12_000), 30)
    assert.strictEqual(left(budget, 1e12), 30)
  })

  it("has forgotten all after any pause of 10 seconds or more", () => {
    for (let pause = seconds; pause <= 3 * seconds; pause++) {
      const budget = make()
      for (let second = 0; second < seconds; second++) {
        deposit(budget, second * 1_000)
        withdraw(budget, defaultPolicy, second * 1_000)
      }
      deposit(budget, (seconds - 1 + pause) * 1_000)
      assert.deepStrictEqual([budget.requestSum, budget.retrySum], [1, 0])
    }
  })

  it("may be nothing at all, or a share only", () => {
    const nothing = make()
    for (let i = 0; i < 100; i++) deposit(nothing, 0)
    assert.strictEqual(left(nothing, 0, { ratio: 0, perSecond: 0 }), 0)
    assert.strictEqual(left(nothing, 0, { ratio: 0.1, perSecond: 0 }), 10)
  })

  it("never allows more than the policy says in any 10 seconds", () => {
    const what = fc.constantFrom("request", "try", "try", "try", "vain")
    const event = fc.record({ after: fc.nat(700), what, nth: fc.nat(40) })
    fc.assert(fc.property(fc.array(event, { maxLength: 400, size: "max" }), (events) => {
      const budget = make()
      const requests: Array<number> = []
      const tries: Array<number> = []
      let now = 0
      for (const { after, nth, what } of events) {
        now += after
        const since = (Math.floor(now / 1_000) - seconds + 1) * 1_000
        if (what === "request") {
          deposit(budget, now)
          requests.push(now)
        } else if (what === "vain") {
          const [takenAt] = tries.splice(tries.length - 1 - nth, 1)
          // What has nothing to put back does not turn the budget to the present.
          if (takenAt === undefined) continue
          putBack(budget, takenAt, now)
        } else if (withdraw(budget, { ratio: 0.2, perSecond: 1 }, now)) tries.push(now)
        const recent = (times: ReadonlyArray<number>) => times.filter((at) => at >= since).length
        assert.strictEqual(budget.requestSum, recent(requests))
        assert.strictEqual(budget.retrySum, recent(tries))
      }
    }))
  })
})
