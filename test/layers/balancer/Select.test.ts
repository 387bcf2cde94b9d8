import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import { strategies } from "../../../src/layers/strategies/index.ts"
import * as Backend from "../../../src/services/Backend.ts"
import { Balancer } from "../../../src/services/Balancer.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { anonymous, type PickContext, type Picker, Strategy } from "../../../src/services/Strategy.ts"
import { backend, idsOf } from "../../endpoints.ts"
import { fail, Journal, loadOf, over, reconcile, stubborn } from "./Lab.ts"

describe("select", () => {
  it.effect("gives nobody when the pool is empty or nobody is eligible", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      assert.isUndefined(select(anonymous))
      yield* reconcile("a")
      yield* fail("a")
      assert.isUndefined(select(anonymous))
    }).pipe(over(strategies["round-robin"])))

  it.effect("asks the strategy with the context of the exchange", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a")
      const context: PickContext = { attempt: 2, key: () => "203.0.113.9", request: undefined }
      select(context)
      assert.deepStrictEqual(journal.contexts, [context])
    }).pipe(over(stubborn(journal)))
  })

  it.effect("says, once in a while, that backups get what has no room before them", () => {
    const lines: Array<unknown> = []
    return Effect.gen(function*() {
      const { begin, end, select } = yield* Balancer
      const pool = yield* Pool
      yield* pool.reconcile([backend("a"), backend("b"), Backend.make("http://c.test", { id: "c", tier: 1 })])
      const picked = [1, 2].map(() => {
        const endpoint = select(anonymous)!
        begin(endpoint)
        return endpoint
      })
      // One that was tried already is no want of room.
      assert.strictEqual(select(anonymous, picked)?.backend.id, "c")
      assert.deepStrictEqual(lines, [])
      for (let i = 0; i < 3; i++) assert.strictEqual(select(anonymous)?.backend.id, "c")
      yield* TestClock.adjust("11 seconds")
      assert.deepStrictEqual(lines, [["Backups get requests: nobody before them has room"]])
      select(anonymous)
      yield* TestClock.adjust(0)
      assert.strictEqual(lines.length, 2)
      for (const endpoint of picked) end(endpoint, "success", 1)
      for (const id of ["a", "b"]) yield* fail(id)
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(select(anonymous)?.backend.id, "c")
      yield* TestClock.adjust(0)
      assert.strictEqual(lines.length, 2)
    }).pipe(
      over(strategies["round-robin"], { maxInFlight: 1 }),
      Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(message))]))
    )
  })

  it.effect("does not call it want of room that those before the backups are on trial", () => {
    const lines: Array<unknown> = []
    return Effect.gen(function*() {
      const { begin, select } = yield* Balancer
      const pool = yield* Pool
      yield* pool.reconcile([backend("a"), Backend.make("http://b.test", { id: "b", tier: 1 })])
      yield* pool.signal("a", { _tag: "Tripped", why: "too many failures" })
      yield* pool.signal("a", { _tag: "ProbePassed", why: "status: 200" })
      const trial = select(anonymous)!
      assert.strictEqual(trial.backend.id, "a")
      begin(trial)
      assert.strictEqual(select(anonymous)?.backend.id, "b")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(lines, [])
    }).pipe(
      over(stubborn(new Journal())),
      Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(message))]))
    )
  })

  it.effect("makes a picker only when the eligible list has changed, and not before it is needed", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { select } = yield* Balancer
      const made = journal.lists.length
      yield* reconcile("a")
      yield* reconcile("a", "b")
      assert.strictEqual(journal.lists.length, made)
      for (let i = 0; i < 3; i++) select(anonymous)
      assert.strictEqual(journal.lists.length, made + 1)
      assert.deepStrictEqual(idsOf(journal.lists.at(-1)!), ["a", "b"])
      // A change of health that changes nobody's eligibility keeps the list, and with it the picker.
      const pool = yield* Pool
      yield* pool.signal("a", { _tag: "ProbePassed", why: "status: 200" })
      select(anonymous)
      assert.strictEqual(journal.lists.length, made + 1)
      yield* fail("a")
      select(anonymous)
      assert.strictEqual(journal.lists.length, made + 2)
      assert.deepStrictEqual(idsOf(journal.lists.at(-1)!), ["b"])
    }).pipe(over(stubborn(journal)))
  })

  it.effect("keeps the picker of the primaries when only backups come and go", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { select } = yield* Balancer
      const pool = yield* Pool
      const primary = backend("a")
      yield* pool.reconcile([primary])
      select(anonymous)
      for (const id of ["b", "c"]) {
        yield* pool.reconcile([primary, Backend.make(`http://${id}.test`, { id, tier: 1 })])
        assert.strictEqual(select(anonymous)?.backend.id, "a")
      }
      assert.deepStrictEqual(journal.lists.map(idsOf), [["a"]])
    }).pipe(over(stubborn(journal)))
  })

  it.effect("uses the news of the pool with the very next pick", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a", "b")
      assert.strictEqual(select(anonymous)?.backend.id, "a")
      yield* fail("b")
      for (let i = 0; i < 4; i++) assert.strictEqual(select(anonymous)?.backend.id, "a")
    }).pipe(over(strategies["round-robin"])))

  it.effect("never gives an endpoint that was tried, even if the strategy insists on it", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a", "b", "c")
      const tried: Array<Endpoint> = []
      for (let endpoint = select(anonymous, tried); endpoint !== undefined; endpoint = select(anonymous, tried)) {
        assert.notInclude(tried, endpoint)
        tried.push(endpoint)
      }
      assert.deepStrictEqual(idsOf(tried), ["a", "b", "c"])
    }).pipe(over(stubborn(new Journal()))))

  it.effect.each(["weighted-round-robin", "weighted-random", "least-requests", "peak-ewma"] as const)(
    "goes on to others by weight after a heavy one: %s",
    (name) =>
      Effect.gen(function*() {
        const { select } = yield* Balancer
        yield* (yield* Pool).reconcile([backend("a", 20), backend("b", 4), backend("c", 1)])
        const heavy = { backend: backend("a", 20), load: yield* loadOf("a") }
        const ids = idsOf(Array.from({ length: 5_000 }, () => select(anonymous, [heavy])))
        assert.closeTo(ids.filter((id) => id === "c").length / ids.length, 1 / 5, 0.02)
      }).pipe(over(strategies[name]), Random.withSeed(1))
  )

  it.effect("asks a strategy that ranks them once for the next one, and not at all when there is none", () => {
    let asked = 0
    const ranking = Layer.succeed(Strategy, {
      name: "ranking",
      make: (endpoints: ReadonlyArray<Endpoint>): Picker => ({
        pick: () => endpoints[0],
        pickWhere: (_, accepts) => {
          asked++
          return endpoints.find(accepts)
        }
      })
    })
    return Effect.gen(function*() {
      const { begin, select } = yield* Balancer
      yield* reconcile("a", "b")
      const a = select(anonymous)!
      const b = select(anonymous, [a])!
      assert.strictEqual(asked, 1)
      begin(b)
      assert.isUndefined(select(anonymous, [a]))
      assert.strictEqual(asked, 1)
    }).pipe(over(ranking, { maxInFlight: 1 }))
  })

  it.effect("knows a tried backend again when its weight has changed meanwhile", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      const pool = yield* Pool
      yield* pool.reconcile([backend("a", 1), backend("b", 1)])
      const first = select(anonymous)
      assert(first?.backend.id === "a")
      yield* pool.reconcile([backend("a", 9), backend("b", 1)])
      const second = select(anonymous, [first])
      assert(second?.backend.id === "b")
      assert.isUndefined(select(anonymous, [first, second]))
    }).pipe(over(stubborn(new Journal()))))

  it.effect.each(Object.entries(strategies))(
    "finds the one that was not tried with %s",
    ([, strategy]) =>
      Effect.gen(function*() {
        const { select } = yield* Balancer
        yield* reconcile("a", "b", "c", "d")
        for (let round = 0; round < 50; round++) {
          const tried: Array<Endpoint> = []
          for (let i = 0; i < 4; i++) {
            const endpoint = select(anonymous, tried)
            assert(endpoint !== undefined && !tried.includes(endpoint))
            tried.push(endpoint)
          }
          assert.isUndefined(select(anonymous, tried))
        }
      }).pipe(over(strategy))
  )
})

describe("canTake", () => {
  it.effect("holds for who is still eligible and has room, within the limit of all together", () =>
    Effect.gen(function*() {
      const { begin, canTake, end, select } = yield* Balancer
      yield* reconcile("a", "b", "c")
      const a = select(anonymous)!
      const b = select(anonymous, [a])!
      const c = select(anonymous, [a, b])!
      assert.isTrue(canTake(a))
      begin(a)
      assert.deepStrictEqual([canTake(a), canTake(b)], [false, true])
      begin(b)
      assert.isFalse(canTake(c))
      end(a, "success", 1)
      assert.isTrue(canTake(a))
      yield* fail("a")
      assert.isFalse(canTake(a))
    }).pipe(over(stubborn(new Journal()), { maxInFlight: 1, maxTotalInFlight: 2 })))
})
