import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import { strategies } from "../../../src/layers/strategies/index.ts"
import * as Backend from "../../../src/services/Backend.ts"
import { Balancer } from "../../../src/services/Balancer.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import * as Monotonic from "../../../src/services/Monotonic.ts"
import type { Outcome } from "../../../src/services/Outcome.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { anonymous } from "../../../src/services/Strategy.ts"
import { over, reconcile } from "./Lab.ts"

describe("an adaptive limit", () => {
  const one = over(strategies["round-robin"], {
    adaptive: true,
    queue: { size: 9, timeout: Duration.seconds(10), order: "oldest" }
  })

  /** Members whose limits are easy to fill. */
  const join = (...ids: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      yield* reconcile(...ids)
      const { select } = yield* Balancer
      // Now the balancer has seen them.
      select(anonymous)
      for (const { endpoint: { load } } of (yield* Ref.get((yield* Pool).state)).members) {
        load.limit = load.adaptive!.limit = 6
      }
    })

  /** Takes all the room that there is. */
  const fill = Effect.map(Balancer, ({ begin, select }) => {
    const taken: Array<Endpoint> = []
    for (let next = select(anonymous); next !== undefined; next = select(anonymous)) {
      begin(next)
      taken.push(next)
    }
    return taken
  })

  /** As many answers as a window has, every five milliseconds. */
  const answer = (endpoint: Endpoint, outcome: Outcome) =>
    Effect.flatMap(Balancer, ({ begin, end }) =>
      Effect.replicateEffect(
        Effect.andThen(
          TestClock.adjust(5),
          Effect.sync(() => {
            end(endpoint, outcome, 20)
            begin(endpoint)
          })
        ),
        20
      ))

  it.effect("does not fall for requests to the place from which its backend has moved", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      const taken = yield* fill
      yield* TestClock.adjust("1 second")
      const { reconcile: update } = yield* Pool
      yield* update([Backend.make("http://elsewhere.test", { id: "a" })])
      const { end, select } = yield* Balancer
      for (const endpoint of taken) end(endpoint, "failure", 1_000)
      assert.lengthOf(taken, 20)
      assert.strictEqual(select(anonymous)!.load.limit, 20)
    }).pipe(one))

  it.effect("holds from the first request on", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      assert.strictEqual((yield* fill).length, 20)
    }).pipe(one))

  it.effect("grows with answers and shrinks with failures", () =>
    Effect.gen(function*() {
      yield* join("a")
      const [first] = yield* fill
      yield* answer(first!, "success")
      assert.strictEqual((yield* fill).length, 1)
      assert.strictEqual(first!.load.limit, 7)
      yield* answer(first!, "failure")
      assert.strictEqual(first!.load.limit, 4)
    }).pipe(one))

  it.effect("shrinks with answers that break off", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { answered, begin, end } = yield* Balancer
      const [first] = yield* fill
      for (let i = 0; i < 40; i++) {
        yield* TestClock.adjust(5)
        answered(first!, 20, yield* Monotonic.millis, "answered")
        end(first!, "failure", 20, "reset_mid_body", "answered")
        begin(first!)
      }
      assert.isBelow(first!.load.limit, 6)
    }).pipe(one))

  it.effect("grows when half of it is in flight, with the try that has ended", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { begin, select } = yield* Balancer
      const endpoint = select(anonymous)!
      for (let i = 0; i < 3; i++) begin(endpoint)
      yield* answer(endpoint, "success")
      assert.strictEqual(endpoint.load.limit, 7)
    }).pipe(one))

  it.effect("is a number also for who times an answer by a clock that is set back", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { answered, begin, end } = yield* Balancer
      const { endpoint } = (yield* Ref.get((yield* Pool).state)).members[0]!
      for (let i = 0; i < 40; i++) {
        begin(endpoint)
        yield* TestClock.adjust(100)
        answered(endpoint, -3_600_000, yield* Monotonic.millis, "answered")
        end(endpoint, "success", 100, undefined, "answered")
      }
      assert.isAtLeast(endpoint.load.limit, 1)
      assert.isAtLeast(endpoint.load.latency, 0)
    }).pipe(one))

  it.effect("is never above the limit of every endpoint", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      const [first] = yield* fill
      yield* answer(first!, "success")
      assert.strictEqual(first!.load.limit, 3)
    }).pipe(over(strategies["round-robin"], { adaptive: true, maxInFlight: 3 })))

  it.effect("is a number also for who times tries by a clock that is set back", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { begin, end } = yield* Balancer
      const { endpoint } = (yield* Ref.get((yield* Pool).state)).members[0]!
      for (let i = 0; i < 40; i++) {
        for (let j = 0; j < 3; j++) begin(endpoint)
        yield* TestClock.adjust(100)
        for (let j = 0; j < 3; j++) end(endpoint, "success", -3_600_000)
      }
      assert.isAtLeast(endpoint.load.limit, 1)
      assert.isAtLeast(endpoint.load.latency, 0)
    }).pipe(one))

  it.effect("gives way to a trial, and goes on where it was", () =>
    Effect.gen(function*() {
      const { end } = yield* Balancer
      const pool = yield* Pool
      yield* join("a", "b")
      const taken = yield* fill
      const a = taken.find(({ backend }) => backend.id === "a")!
      yield* answer(a, "success")
      for (const endpoint of taken) end(endpoint, "success", 20)
      yield* pool.signal("a", { _tag: "Tripped", why: "failures" })
      yield* pool.signal("a", { _tag: "ProbePassed", why: "status: 200" })
      yield* fill
      assert.strictEqual(a.load.limit, 1)
      assert.strictEqual(a.load.inFlight, 1)
      yield* TestClock.adjust(20)
      end(a, "success", 20)
      assert.strictEqual(a.load.limit, 1)
      yield* pool.signal("a", { _tag: "Recovered", why: "the trial passed" })
      yield* fill
      assert.strictEqual(a.load.limit, 7)
      assert.strictEqual(a.load.inFlight, 7)
    }).pipe(one))

  it.effect("is not halved for ever where nothing ends", () =>
    Effect.gen(function*() {
      const { use } = yield* Balancer
      yield* join("a")
      const [first] = yield* fill
      const { load } = first!
      load.adaptive!.limit = 20
      load.adaptive!.halvedAt = 0
      const { end } = yield* Balancer
      end(first!, "aborted", 0)
      const others = (yield* fill).length
      assert.deepStrictEqual([load.limit, others], [10, 5])
      const waiting = yield* Effect.forkChild(use(anonymous, () => Effect.void), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(waiting)
      assert.strictEqual(load.limit, 20)
    }).pipe(one))

  it.effect("is not filled by tunnels, which count for the limit of every endpoint all the same", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { answered, end } = yield* Balancer
      for (const endpoint of yield* fill) answered(endpoint, 20, 0, "tunnel")
      const requests = yield* fill
      assert.strictEqual(requests.length, 6)
      const { load } = requests[0]!
      assert.deepInclude(load, { inFlight: 12, tunnels: 6, limit: 12 })
      for (const endpoint of requests) answered(endpoint, 20, 0, "tunnel")
      assert.strictEqual((yield* fill).length, 1)
      assert.deepInclude(load, { inFlight: 13, limit: 13 })
      for (let i = 0; i < 12; i++) end(requests[0]!, "success", 60_000, undefined, "tunnel")
      assert.deepInclude(load, { inFlight: 1, tunnels: 0, limit: 6 })
    }).pipe(over(strategies["round-robin"], {
      adaptive: true,
      maxInFlight: 13,
      queue: { size: 9, timeout: Duration.seconds(10), order: "oldest" }
    })))

  it.effect("does not grow for tunnels", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { answered, begin, end } = yield* Balancer
      const tunnels = yield* fill
      for (const endpoint of tunnels) answered(endpoint, 20, 0, "tunnel")
      const endpoint = tunnels[0]!
      const oneAtATime = Effect.gen(function*() {
        begin(endpoint)
        yield* TestClock.adjust(20)
        answered(endpoint, 20, yield* Monotonic.millis, "answered")
        end(endpoint, "success", 20, undefined, "answered")
      })
      // In the first window they were no tunnels yet.
      yield* Effect.replicateEffect(oneAtATime, 20)
      const { limit } = endpoint.load
      yield* Effect.replicateEffect(oneAtATime, 60)
      assert.deepInclude(endpoint.load, { tunnels: 6, limit })
      end(endpoint, "success", 2_000, undefined, "tunnel")
      yield* Effect.replicateEffect(oneAtATime, 20)
      assert.deepInclude(endpoint.load, { tunnels: 5, limit: limit - 1 })
    }).pipe(one))

  it.effect("does not grow for a tunnel that ends beside fewer than half of it", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { answered, begin, end, select } = yield* Balancer
      const endpoint = select(anonymous)!
      for (let i = 0; i < 3; i++) begin(endpoint)
      answered(endpoint, 20, 0, "tunnel")
      end(endpoint, "success", 2_000, undefined, "tunnel")
      yield* answer(endpoint, "success")
      assert.deepInclude(endpoint.load, { inFlight: 2, tunnels: 0, limit: 6 })
    }).pipe(one))

  it.effect("has room for who waits as soon as a tunnel is one", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { answered, use } = yield* Balancer
      const [first] = yield* fill
      const waiting = yield* Effect.forkChild(use(anonymous, () => Effect.void), { startImmediately: true })
      // So that it is not the look from time to time that lets it in.
      yield* TestClock.adjust(1)
      answered(first!, 20, 1, "tunnel")
      yield* Effect.replicateEffect(Effect.yieldNow, 20)
      assert.isDefined(waiting.pollUnsafe())
    }).pipe(one))

  it.effect("grows with the heads of answers that go on, of which none is counted twice", () =>
    Effect.gen(function*() {
      yield* join("a")
      const { answered, begin, end, select } = yield* Balancer
      const endpoint = select(anonymous)!
      const { load } = endpoint
      for (let i = 0; i < 6; i++) begin(endpoint)
      for (let i = 0; i < 20; i++) {
        yield* TestClock.adjust(5)
        assert.strictEqual(load.limit, 6)
        answered(endpoint, 20, yield* Monotonic.millis, "answered")
        end(endpoint, "success", 60_000, undefined, "answered")
        begin(endpoint)
      }
      assert.strictEqual(load.limit, 7)
      assert.deepInclude(load.adaptive, { successes: 0, failures: 0, baseline: 21 })
    }).pipe(one))

  it.effect("is not kept where there is none", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      const { begin, select } = yield* Balancer
      const endpoint = select(anonymous)!
      begin(endpoint)
      yield* answer(endpoint, "failure")
      assert.deepInclude(endpoint.load, { limit: 1_024, adaptive: undefined })
    }).pipe(over(strategies["round-robin"])))
})
