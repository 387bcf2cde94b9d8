import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { strategies } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import { Balancer } from "../../src/services/Balancer.ts"
import * as Monotonic from "../../src/services/Monotonic.ts"
import { Pool } from "../../src/services/Pool.ts"
import { anonymous, Strategy } from "../../src/services/Strategy.ts"
import { backend } from "../endpoints.ts"
import { fail, Journal, over, reconcile, stubborn } from "./balancer/Lab.ts"

describe("begin and end", () => {
  it.effect("tell the strategy also where only those are asked who are ejected", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { begin, end, select } = yield* Balancer
      yield* reconcile("a", "b")
      yield* (yield* Pool).signal("a", { _tag: "Tripped", why: "too many failures" })
      yield* fail("b")
      const a = select(anonymous)!
      begin(a)
      end(a, "success", 12)
      assert.deepStrictEqual([journal.observed, journal.ended], [[["a", "success", 12]], ["a"]])
    }).pipe(over(stubborn(journal)))
  })

  it.effect("count the try and tell the strategy how it ended", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { begin, end, select } = yield* Balancer
      yield* reconcile("a")
      const endpoint = select(anonymous)
      assert(endpoint !== undefined)
      begin(endpoint)
      assert.strictEqual(endpoint.load.inFlight, 1)
      assert.deepStrictEqual(journal.observed, [])
      end(endpoint, "failure", 12)
      assert.deepInclude(endpoint.load, { inFlight: 0, total: 1, failed: 1, consecutiveFailures: 1 })
      assert.deepStrictEqual([journal.observed, journal.ended], [[["a", "failure", 12]], ["a"]])
    }).pipe(over(stubborn(journal)))
  })

  it.effect("count for a backend that has left meanwhile, too", () =>
    Effect.gen(function*() {
      const { begin, end, select, untilIdle } = yield* Balancer
      yield* reconcile("a")
      const endpoint = select(anonymous)
      assert(endpoint !== undefined)
      begin(endpoint)
      yield* reconcile("b")
      yield* untilIdle(endpoint.backend.id)
      assert.strictEqual(endpoint.load.inFlight, 1)
      end(endpoint, "success", 1)
      assert.strictEqual(endpoint.load.inFlight, 0)
    }).pipe(over(stubborn(new Journal()))))
})

describe("untilIdle", () => {
  it.effect("tells everybody who waits for the same backend", () =>
    Effect.gen(function*() {
      const { begin, end, select, untilIdle } = yield* Balancer
      yield* reconcile("a")
      const a = select(anonymous)!
      begin(a)
      const both = yield* Effect.forkChild(Effect.all([untilIdle("a"), untilIdle("a")], { concurrency: 2 }), {
        startImmediately: true
      })
      end(a, "success", 1)
      yield* Fiber.join(both)
    }).pipe(over(stubborn(new Journal()))))

  it.effect("waits whenever something is in flight, also if somebody else has stopped waiting", () =>
    Effect.gen(function*() {
      const { begin, end, select, untilIdle } = yield* Balancer
      yield* reconcile("a")
      const a = select(anonymous)!
      const waits = Effect.forkChild(untilIdle("a"), { startImmediately: true })
      for (let i = 0; i < 2; i++) {
        begin(a)
        const [one, other] = [yield* waits, yield* waits]
        yield* Fiber.interrupt(one)
        assert.isUndefined(other.pollUnsafe())
        end(a, "success", 1)
        yield* Fiber.join(other)
      }
    }).pipe(over(stubborn(new Journal()))))
})

describe("answered", () => {
  it.effect("tells the strategy of the latency at the head, and of the end when that comes", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { answered, begin, end, select } = yield* Balancer
      yield* reconcile("a")
      const endpoint = select(anonymous)!
      for (const outcome of ["success", "aborted", "failure"] as const) {
        journal.observed.length = journal.ended.length = 0
        begin(endpoint)
        answered(endpoint, 20, yield* Monotonic.millis, "answered")
        assert.deepStrictEqual([journal.observed, journal.ended], [[["a", "success", 20]], []])
        assert.deepInclude(endpoint.load, { inFlight: 1, latency: 20 })
        end(endpoint, outcome, 60_000, undefined, "answered")
        // A failure behind the head is news, and nothing else is.
        assert.deepStrictEqual(journal.observed.slice(1), outcome === "failure" ? [["a", "failure", 60_000]] : [])
        assert.deepStrictEqual(journal.ended, ["a"])
        assert.deepInclude(endpoint.load, { inFlight: 0, latency: outcome === "failure" ? 1_000 : 20 })
      }
    }).pipe(over(stubborn(journal)))
  })
})

describe("another strategy", () => {
  it.effect("takes over with what was learned, and what is in flight goes on", () =>
    Effect.gen(function*() {
      const { begin, end, select, swap } = yield* Balancer
      yield* reconcile("a", "b")
      const a = select(anonymous)!
      begin(a)
      yield* swap(yield* Strategy.pipe(Effect.provide(strategies["least-requests"])))
      for (let i = 0; i < 5; i++) assert.strictEqual(select(anonymous)?.backend.id, "b")
      end(a, "success", 12)
      assert.deepInclude(a.load, { inFlight: 0, total: 1, latency: 12 })
    }).pipe(over(strategies["round-robin"])))

  it.effect("takes over also where only those are asked who are ejected", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { begin, end, select, swap } = yield* Balancer
      yield* reconcile("a", "b")
      yield* (yield* Pool).signal("a", { _tag: "Tripped", why: "too many failures" })
      yield* fail("b")
      select(anonymous)
      yield* swap(yield* Strategy.pipe(Effect.provide(stubborn(journal))))
      const a = select(anonymous)!
      begin(a)
      end(a, "success", 12)
      assert.deepStrictEqual(journal.ended, ["a"])
    }).pipe(over(strategies["round-robin"]))
  })

  it.effect("keeps backups for when they are needed, as the first one did", () =>
    Effect.gen(function*() {
      const { select, swap } = yield* Balancer
      const pool = yield* Pool
      const backup = Backend.make("http://b.test", { id: "b", tier: 1 })
      yield* pool.reconcile([backend("a"), backup])
      for (let i = 0; i < 3; i++) assert.strictEqual(select(anonymous)?.backend.id, "a")
      yield* swap(yield* Strategy.pipe(Effect.provide(strategies["random"])))
      for (let i = 0; i < 9; i++) assert.strictEqual(select(anonymous)?.backend.id, "a")
      yield* fail("a")
      assert.strictEqual(select(anonymous)?.backend.id, "b")
    }).pipe(over(strategies["round-robin"])))
})
