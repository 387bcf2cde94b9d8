import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"
import * as BalancerLayer from "../../src/layers/Balancer.ts"
import * as EjectionLayer from "../../src/layers/Ejection.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { strategies } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import { Balancer, defaultOptions, NoBackend, type Options, Overloaded } from "../../src/services/Balancer.ts"
import type { Mode, Signal } from "../../src/services/Health.ts"
import type { Endpoint } from "../../src/services/Load.ts"
import type { Outcome } from "../../src/services/Outcome.ts"
import { defaultPolicy, Pool } from "../../src/services/Pool.ts"
import * as SlowStart from "../../src/services/SlowStart.ts"
import { anonymous, type PickContext, type Picker, Strategy } from "../../src/services/Strategy.ts"
import { backend, idsOf } from "../endpoints.ts"

/** What a strategy was asked and told. */
class Journal {
  readonly lists: Array<ReadonlyArray<Endpoint>> = []
  readonly contexts: Array<PickContext> = []
  readonly observed: Array<readonly [id: string, outcome: Outcome, latencyMs: number]> = []
  readonly ended: Array<string> = []
}

/** A strategy that always proposes the first endpoint, and keeps a journal. */
const stubborn = (journal: Journal): Layer.Layer<Strategy> =>
  Layer.succeed(Strategy, {
    name: "stubborn",
    make: (endpoints): Picker => {
      journal.lists.push(endpoints)
      return {
        pick: (context) => {
          journal.contexts.push(context)
          return endpoints[0]
        },
        observe: (endpoint, outcome, latencyMs) => journal.observed.push([endpoint.backend.id, outcome, latencyMs]),
        ended: ({ backend }) => journal.ended.push(backend.id)
      }
    }
  })

const over = (strategy: Layer.Layer<Strategy>, options: Partial<Options> = {}) =>
  Effect.provide(
    BalancerLayer.layer({ ...defaultOptions, ...options }).pipe(
      Layer.provide(EjectionLayer.layerNone),
      Layer.provideMerge(PoolLayer.layer()),
      Layer.provide(strategy)
    )
  )

const reconcile = (...ids: ReadonlyArray<string>) =>
  Effect.flatMap(Pool, (pool) => pool.reconcile(ids.map((id) => backend(id))))

const fail = (id: string) => Effect.flatMap(Pool, (pool) => pool.signal(id, { _tag: "ProbeFailed", why: "refused" }))

/** The load of a backend that must be eligible. */
const loadOf = (id: string) =>
  Effect.map(Balancer, ({ select }) => {
    for (const tried: Array<Endpoint> = [];;) {
      const endpoint = select(anonymous, tried)
      assert(endpoint !== undefined, `${id} is not eligible`)
      if (endpoint.backend.id === id) return endpoint.load
      tried.push(endpoint)
    }
  })

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
        answered(endpoint, 20, yield* Clock.currentTimeMillis, "answered")
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

describe("use", () => {
  it.effect("fails with NoBackend, and never runs the effect, when nobody is eligible", () =>
    Effect.gen(function*() {
      const { use } = yield* Balancer
      const result = yield* Effect.result(use(anonymous, () => Effect.die("must not run")))
      assert(Result.isFailure(result))
      assert.instanceOf(result.failure, NoBackend)
      assert.strictEqual(result.failure.message, "no backend is eligible")
    }).pipe(over(strategies["round-robin"])))

  it.effect("gives the effect's value, counts while it runs, and tells how long it took", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { use } = yield* Balancer
      yield* TestClock.adjust("1 minute")
      yield* reconcile("a")
      const fiber = yield* Effect.forkChild(
        use(anonymous, (endpoint) => Effect.as(Effect.sleep("250 millis"), endpoint.backend.id)),
        { startImmediately: true }
      )
      const load = yield* loadOf("a")
      assert.strictEqual(load.inFlight, 1)
      yield* TestClock.adjust("250 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "a")
      assert.deepInclude(load, { inFlight: 0, total: 1, failed: 0, consecutiveFailures: 0 })
      assert.deepStrictEqual(journal.observed, [["a", "success", 250]])
    }).pipe(over(stubborn(journal)))
  })

  it.effect.each<readonly [string, () => Effect.Effect<never, string>, Outcome]>([
    ["a failure", () => Effect.fail("broken"), "failure"],
    ["a defect", () => Effect.die(new Error("a bug")), "failure"],
    ["a throw before there is an effect", () => {
      throw new Error("a bug")
    }, "failure"],
    ["an interruption from within", () => Effect.interrupt, "aborted"]
  ])("counts %s to its end and passes it on", ([, f, outcome]) => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { use } = yield* Balancer
      yield* reconcile("a")
      const exit = yield* Effect.exit(use(anonymous, f))
      assert(Exit.isFailure(exit))
      assert.strictEqual((yield* loadOf("a")).inFlight, 0)
      assert.deepStrictEqual(journal.observed, [["a", outcome, 0]])
    }).pipe(over(stubborn(journal)))
  })

  it.effect("passes the effect's own error on as it is", () =>
    Effect.gen(function*() {
      const { use } = yield* Balancer
      yield* reconcile("a")
      const exit = yield* Effect.exit(use(anonymous, () => Effect.fail("broken")))
      assert.deepStrictEqual(exit, Exit.failCause(Cause.fail("broken")))
    }).pipe(over(strategies["round-robin"])))

  it.effect("takes an interruption from outside for the client's, and ends the try", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { use } = yield* Balancer
      yield* reconcile("a")
      const started = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        use(anonymous, () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      assert.deepInclude(yield* loadOf("a"), { inFlight: 0, total: 1, failed: 0, consecutiveFailures: 0 })
      assert.deepStrictEqual(journal.observed, [["a", "aborted", 0]])
    }).pipe(over(stubborn(journal)))
  })

  it.effect("balances several at once over who is least busy", () =>
    Effect.gen(function*() {
      const { use } = yield* Balancer
      yield* reconcile("a", "b")
      const counts = new Map<string, number>()
      yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 10 }), () =>
          use(anonymous, ({ backend: { id } }) => {
            counts.set(id, (counts.get(id) ?? 0) + 1)
            return Effect.never
          }), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      assert.deepStrictEqual(Object.fromEntries(counts), { a: 5, b: 5 })
    }).pipe(over(strategies["least-requests"])))
})

describe("limits", () => {
  const takes = (n: number) =>
    Effect.map(Balancer, ({ begin, select }) =>
      Array.from({ length: n }, () => {
        const endpoint = select(anonymous)
        if (endpoint !== undefined) begin(endpoint)
        return endpoint
      }))

  it.effect("keep an endpoint from more tries than it may have, whatever the strategy says", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      assert.deepStrictEqual(idsOf(yield* takes(5)), ["a", "a", "b", "b", undefined])
    }).pipe(over(stubborn(new Journal()), { maxInFlight: 2 })))

  it.effect("keep all endpoints together from more than that", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { end } = yield* Balancer
      const [first, , third] = yield* takes(3)
      assert.isUndefined(third)
      end(first!, "success", 1)
      assert.isDefined((yield* takes(1))[0])
    }).pipe(over(strategies["round-robin"], { maxTotalInFlight: 2 })))

  it.effect("keep one that has waited for another try from more than that, too", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { canTake, end, select } = yield* Balancer
      const b = select(anonymous, [select(anonymous)!])!
      assert.isTrue(canTake(b))
      const [first] = yield* takes(1)
      assert.strictEqual(b.load.inFlight, 0)
      assert.isFalse(canTake(b))
      end(first!, "success", 1)
      assert.isTrue(canTake(b))
    }).pipe(over(stubborn(new Journal()), { maxTotalInFlight: 1 })))

  it.effect("spread what overflows over the others", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b", "c", "d")
      const taken = idsOf(yield* takes(40))
      for (const id of ["b", "c", "d"]) assert.isAbove(taken.filter((other) => other === id).length, 5, id)
    }).pipe(over(stubborn(new Journal()), { maxInFlight: 16 })))
})

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
        answered(first!, 20, yield* Clock.currentTimeMillis, "answered")
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
        answered(endpoint, -3_600_000, yield* Clock.currentTimeMillis, "answered")
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
        answered(endpoint, 20, yield* Clock.currentTimeMillis, "answered")
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
        answered(endpoint, 20, yield* Clock.currentTimeMillis, "answered")
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

describe("the queue", () => {
  const queue = { size: 2, timeout: Duration.seconds(1), order: "oldest" } as const
  const one = (options: Partial<Options["queue"]> = {}) =>
    over(strategies["round-robin"], { maxInFlight: 1, queue: { ...queue, ...options } })

  /** Uses a backend for a second, and notes it. */
  const visit = (name: string, done: Array<string>) =>
    Effect.flatMap(
      Balancer,
      ({ use }) => use(anonymous, () => Effect.andThen(Effect.sleep("500 millis"), Effect.sync(() => done.push(name))))
    )

  /** Starts visits one after the other and lets them all end. */
  const visits = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
    yield* reconcile("a")
    const done: Array<string> = []
    const fibers = []
    for (const name of names) {
      fibers.push(yield* Effect.forkChild(visit(name, done), { startImmediately: true }))
      yield* TestClock.adjust(1)
    }
    yield* TestClock.adjust("5 seconds")
    const exits = yield* Effect.forEach(fibers, Fiber.await)
    const refused = names.filter((_, i) => Exit.isFailure(exits[i]!))
    for (const exit of exits) {
      if (Exit.isFailure(exit)) assert.instanceOf(Cause.squash(exit.cause), Overloaded)
    }
    return { done, refused }
  })

  it.effect("lets the oldest go first", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* visits("1", "2", "3"), { done: ["1", "2"], refused: ["3"] })
    }).pipe(one({ timeout: Duration.millis(600) })))

  it.effect("may be as long as it likes, also where all who wait are done as soon as they are admitted", () =>
    Effect.gen(function*() {
      const { use } = yield* Balancer
      yield* reconcile("a")
      const opened = yield* Deferred.make<void>()
      const visits = [yield* Effect.forkChild(use(anonymous, () => Deferred.await(opened)), { startImmediately: true })]
      for (let i = 0; i < 3_000; i++) {
        visits.push(yield* Effect.forkChild(use(anonymous, () => Effect.void), { startImmediately: true }))
      }
      yield* Deferred.succeed(opened, undefined)
      yield* Effect.forEach(visits, Fiber.join)
      assert.deepInclude(yield* loadOf("a"), { inFlight: 0, total: 3_001 })
    }).pipe(one({ size: 3_000 })))

  it.effect("lets the newest go first when told so", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* visits("1", "2", "3"), { done: ["1", "3"], refused: ["2"] })
    }).pipe(one({ timeout: Duration.millis(600), order: "newest" })))

  it.effect("refuses the last to come when it is full", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* visits("1", "2", "3", "4"), { done: ["1", "2", "3"], refused: ["4"] })
    }).pipe(one({ timeout: Duration.seconds(4) })))

  it.effect("turns the oldest away for a newer one when the newest goes first", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* visits("1", "2", "3", "4"), { done: ["1", "4", "3"], refused: ["2"] })
    }).pipe(one({ timeout: Duration.seconds(4), order: "newest" })))

  it.effect.each(["oldest", "newest"] as const)(
    "is none where it has no place, the %s first",
    (order) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* visits("1", "2"), { done: ["1"], refused: ["2"] })
      }).pipe(one({ size: 0, timeout: Duration.seconds(4), order }))
  )

  it.effect("admits each once, also when those who are admitted are done at once", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      const { begin, end, select, use } = yield* Balancer
      const first = select(anonymous)!
      begin(first)
      const quick = Effect.forkChild(use(anonymous, () => Effect.void), { startImmediately: true })
      const fibers = [yield* quick, yield* quick]
      end(first, "success", 1)
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.deepInclude(first.load, { inFlight: 0, total: 3 })
    }).pipe(one({ order: "newest" })))

  it.effect("forgets who leaves", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      const done: Array<string> = []
      const start = (name: string) => Effect.forkChild(visit(name, done), { startImmediately: true })
      yield* start("1")
      yield* Fiber.interrupt(yield* start("2"))
      yield* start("3")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(done, ["1", "3"])
      assert.strictEqual((yield* loadOf("a")).inFlight, 0)
    }).pipe(one()))

  it.effect("is of no use when there is nobody to wait for", () =>
    Effect.gen(function*() {
      const { wait } = yield* Balancer
      // Whoever follows the pool has nothing to tell.
      yield* TestClock.adjust(0)
      assert.instanceOf(yield* Effect.flip(wait(anonymous, [], () => {})), NoBackend)
    }).pipe(one()))

  it.effect.each<readonly [string, Effect.Effect<void, never, Pool>]>([
    ["fails its checks", fail("a")],
    ["is none of the pool any more", reconcile()],
    [
      "is drained",
      Effect.flatMap(Pool, (pool) => pool.signal("a", { _tag: "ModeSet", mode: "Draining", why: "deploy" }))
    ]
  ])("tells everybody at once when the last backend %s", ([, goes]) =>
    Effect.gen(function*() {
      yield* reconcile("a")
      const done: Array<string> = []
      const first = yield* Effect.forkChild(visit("1", done), { startImmediately: true })
      const waiting = [
        yield* Effect.forkChild(visit("2", done), { startImmediately: true }),
        yield* Effect.forkChild(visit("3", done), { startImmediately: true })
      ]
      yield* TestClock.adjust(1)
      yield* goes
      yield* TestClock.adjust(1)
      for (const fiber of waiting) {
        const exit = fiber.pollUnsafe()
        assert(exit !== undefined && Exit.isFailure(exit), "it still waits")
        assert.instanceOf(Cause.squash(exit.cause), NoBackend)
      }
      yield* TestClock.adjust(500)
      yield* Fiber.join(first)
      assert.deepStrictEqual(done, ["1"])
    }).pipe(one()))

  it.effect("is not joined when there is room again since it was looked for", () =>
    Effect.gen(function*() {
      const { begin, end, select, wait } = yield* Balancer
      yield* reconcile("a")
      const a = select(anonymous)!
      begin(a)
      assert.isUndefined(select(anonymous))
      // Whoever follows the pool has taken notice.
      yield* TestClock.adjust(0)
      end(a, "success", 1)
      const waiting = yield* Effect.forkChild(wait(anonymous, [], begin), { startImmediately: true })
      assert.strictEqual(a.load.inFlight, 1)
      assert.strictEqual(yield* Fiber.join(waiting), a)
    }).pipe(over(strategies["round-robin"], { maxInFlight: 1 })))

  it.effect("is not joined when there is room again since it was looked for, whoever waits for another backend", () =>
    Effect.gen(function*() {
      const { begin, end, select, wait } = yield* Balancer
      yield* reconcile("a", "b")
      const [a, b] = [select(anonymous)!, select(anonymous)!]
      begin(a)
      begin(b)
      yield* TestClock.adjust(0)
      const pinned = { ...anonymous, pinned: a.backend.id }
      yield* Effect.forkChild(wait(pinned, [], begin), { startImmediately: true })
      assert.isUndefined(select(anonymous))
      end(b, "success", 1)
      const waiting = yield* Effect.forkChild(wait(anonymous, [], begin), { startImmediately: true })
      assert.strictEqual(b.load.inFlight, 1)
      assert.strictEqual(yield* Fiber.join(waiting), b)
    }).pipe(over(strategies["round-robin"], { maxInFlight: 1 })))

  it.effect("is no obstacle, where it has no place, when there is room again since it was looked for", () =>
    Effect.gen(function*() {
      const { begin, end, select, wait } = yield* Balancer
      yield* reconcile("a")
      const a = select(anonymous)!
      begin(a)
      yield* TestClock.adjust(0)
      end(a, "success", 1)
      assert.strictEqual(yield* wait(anonymous, [], begin), a)
    }).pipe(one({ size: 0 })))

  it.effect("tells who has tried all that are left, and nobody else", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { begin, select, wait } = yield* Balancer
      const a = select(anonymous)!
      begin(a)
      begin(select(anonymous, [a])!)
      const retry = yield* Effect.forkChild(wait(anonymous, [a], () => {}), { startImmediately: true })
      const fresh = yield* Effect.forkChild(wait(anonymous, [], begin), { startImmediately: true })
      yield* TestClock.adjust(1)
      yield* reconcile("a")
      yield* TestClock.adjust(1)
      assert.instanceOf(yield* Effect.flip(Fiber.join(retry)), NoBackend)
      assert.isUndefined(fresh.pollUnsafe())
    }).pipe(one()))

  it.effect("moves on when a backend joins", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      const done: Array<string> = []
      yield* Effect.forkChild(visit("1", done), { startImmediately: true })
      yield* TestClock.adjust(400)
      yield* Effect.forkChild(visit("2", done), { startImmediately: true })
      yield* reconcile("a", "b")
      yield* TestClock.adjust(90)
      const { members } = yield* Ref.get((yield* Pool).state)
      assert.deepStrictEqual(members.map(({ endpoint }) => endpoint.load.inFlight), [1, 1])
    }).pipe(one()))
})

describe("a strategy that throws", () => {
  /** Throws in everything that it is asked and told. */
  const broken = (parts: ReadonlyArray<keyof Picker | "make">) => {
    const fail = (part: keyof Picker | "make"): void => {
      if (parts.includes(part)) throw new Error(`a bug in ${part}`)
    }
    return Layer.succeed(Strategy, {
      name: "broken",
      make: (endpoints): Picker => {
        fail("make")
        return {
          pick: () => {
            fail("pick")
            return endpoints.at(-1)
          },
          pickWhere: (_, accepts) => {
            fail("pickWhere")
            return endpoints.find(accepts)
          },
          observe: () => fail("observe"),
          ended: () => fail("ended")
        }
      }
    })
  }
  const lines: Array<unknown> = []
  const logger = Logger.layer([Logger.make(({ message }) => lines.push(message))])

  it.effect.each<readonly [string, ReadonlyArray<keyof Picker | "make">]>([
    ["when it is made", ["make"]],
    ["when it picks", ["pick", "pickWhere"]],
    ["when it is told of tries", ["observe", "ended"]]
  ])("%s keeps nobody from a backend, and nothing from its end, and is in the log once", ([, parts]) => {
    lines.length = 0
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { begin, canTake, end, select, untilIdle, wait } = yield* Balancer
      const first = select(anonymous)!
      begin(first)
      const second = select(anonymous)!
      begin(second)
      assert.notStrictEqual(first, second)
      const waiting = yield* Effect.forkChild(wait(anonymous, [], begin), { startImmediately: true })
      end(second, "success", 1)
      assert.strictEqual(yield* Fiber.join(waiting), second)
      end(second, "failure", 1)
      assert.isTrue(canTake(second))
      end(first, "success", 1)
      yield* untilIdle(first.backend.id)
      assert.deepStrictEqual(lines, [[
        "The strategy or its key has a bug, so that anybody is taken",
        new Error(`a bug in ${parts[0]}`)
      ]])
    }).pipe(over(broken(parts), { maxInFlight: 1 }), Effect.provide(logger))
  })

  it.effect("that makes no picker at all keeps nobody from a backend, and is in the log once", () => {
    lines.length = 0
    const unready = Layer.succeed(Strategy, { name: "unready", make: (): Picker => Reflect.get({}, "picker") })
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { select } = yield* Balancer
      for (let i = 0; i < 3; i++) {
        assert.isDefined(select(anonymous))
        yield* TestClock.adjust("1 minute")
      }
      assert.deepStrictEqual(lines, [[
        "The strategy or its key has a bug, so that anybody is taken",
        new TypeError("the strategy unready has made no picker")
      ]])
    }).pipe(over(unready), Effect.provide(logger))
  })
})

describe("a pin", () => {
  const to = (id: string): PickContext => ({ ...anonymous, pinned: id })
  const signal = (id: string, signal: Signal) => Effect.flatMap(Pool, (pool) => pool.signal(id, signal))
  const mode = (id: string, mode: Mode) => signal(id, { _tag: "ModeSet", mode, why: "told so" })
  const trip = (id: string) => signal(id, { _tag: "Tripped", why: "too many failures" })

  it.effect("goes before the strategy, which is not even asked", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const { select, swap } = yield* Balancer
      yield* reconcile("a", "b", "c")
      for (let i = 0; i < 3; i++) assert.strictEqual(select(to("c"))?.backend.id, "c")
      assert.deepStrictEqual(journal.contexts, [])
      yield* swap(yield* Effect.provide(Strategy, strategies.random))
      assert.strictEqual(select(to("c"))?.backend.id, "c")
    }).pipe(over(stubborn(journal)))
  })

  it.effect("to a backend that is none of the pool is none", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      assert.isUndefined(select(to("a")))
      yield* reconcile("a", "b")
      assert.strictEqual(select(to("z"))?.backend.id, "a")
      assert.strictEqual(select(to("b"))?.backend.id, "b")
      yield* reconcile("a", "c")
      assert.strictEqual(select(to("b"))?.backend.id, "a")
    }).pipe(over(stubborn(new Journal()))))

  it.effect.each<readonly [string, (id: string) => Effect.Effect<void, never, Pool>, goes: string]>([
    ["is draining", (id) => mode(id, "Draining"), "b"],
    ["is disabled", (id) => mode(id, "Disabled"), "a"],
    ["is down", fail, "a"],
    ["is draining and down", (id) => Effect.andThen(mode(id, "Draining"), fail(id)), "a"],
    ["is ejected", trip, "a"],
    ["is draining and ejected", (id) => Effect.andThen(trip(id), mode(id, "Draining")), "a"]
  ])("to a backend that %s", ([, happen, goes]) =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a", "b", "c", "d")
      assert.strictEqual(select(to("b"))?.backend.id, "b")
      yield* happen("b")
      assert.strictEqual(select(to("b"))?.backend.id, goes)
      assert.strictEqual(select(anonymous)?.backend.id, "a")
    }).pipe(over(stubborn(new Journal()))))

  it.effect("holds for a backend that is only ejected where nobody else is left", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a", "b", "c", "d")
      for (const id of ["a", "b"]) yield* trip(id)
      yield* fail("d")
      const c = select(to("b"))!
      assert.strictEqual(c.backend.id, "c")
      assert.strictEqual(select(to("b"), [c])?.backend.id, "b")
      yield* fail("c")
      const b = select(to("b"))!
      assert.strictEqual(b.backend.id, "b")
      assert.strictEqual(select(to("b"), [b])?.backend.id, "a")
      yield* mode("b", "Draining")
      assert.strictEqual(select(to("b"))?.backend.id, "a")
    }).pipe(over(stubborn(new Journal()))))

  it.effect("holds for a backend on trial, beyond its one exchange, where nobody else is left", () =>
    Effect.gen(function*() {
      const { begin, select } = yield* Balancer
      const pool = yield* Pool
      yield* reconcile("a", "b", "c", "d", "e", "f")
      for (const id of ["e", "f"]) yield* fail(id)
      yield* trip("d")
      for (const id of ["a", "b"]) {
        yield* trip(id)
        yield* pool.signal(id, { _tag: "ProbePassed", why: "status: 200" })
        begin(select(to(id))!)
      }
      const c = select(to("b"))!
      assert.strictEqual(c.backend.id, "c")
      begin(c)
      // As long as another one is left, a trial is one exchange, also for who would have to wait.
      assert.strictEqual(select(anonymous)?.backend.id, "c")
      begin(c)
      assert.isUndefined(select(anonymous))
      const tried = select(to("b"), [c])!
      assert.strictEqual(tried.backend.id, "b")
      assert.strictEqual(select(to("b"), [c, tried])?.backend.id, "a")
      yield* fail("c")
      const b = select(to("b"))!
      assert.strictEqual(b.backend.id, "b")
      begin(b)
      // No more than it may ever have.
      const a = select(to("b"))!
      assert.strictEqual(a.backend.id, "a")
      begin(a)
      assert.isUndefined(select(anonymous))
      // Who is ejected would be asked if those on trial were tried.
      assert.strictEqual(select(anonymous, [a, b])?.backend.id, "d")
    }).pipe(over(stubborn(new Journal()), { maxInFlight: 2 })))

  it.effect("to a backend on trial that the operator has taken out is none, where nobody else is left, too", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a", "b")
      yield* trip("b")
      yield* signal("b", { _tag: "ProbePassed", why: "status: 200" })
      yield* fail("a")
      assert.strictEqual(select(to("b"))?.backend.id, "b")
      yield* mode("b", "Disabled")
      assert.isUndefined(select(to("b")))
    }).pipe(over(stubborn(new Journal()))))

  it.effect("does not take a tunnel to a backend that drains, and every other request there", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      const upgrade = { ...to("b"), isUpgrade: true }
      yield* reconcile("a", "b")
      assert.strictEqual(select(upgrade)?.backend.id, "b")
      yield* mode("b", "Draining")
      assert.strictEqual(select(upgrade)?.backend.id, "a")
      assert.strictEqual(select({ ...to("b"), isUpgrade: false })?.backend.id, "b")
      yield* mode("a", "Draining")
      assert.isUndefined(select(upgrade))
    }).pipe(over(stubborn(new Journal()))))

  it.effect("holds where everybody else is turned away, because all are draining", () =>
    Effect.gen(function*() {
      const { select, use } = yield* Balancer
      yield* reconcile("a")
      yield* mode("a", "Draining")
      assert.isUndefined(select(anonymous))
      assert.strictEqual(yield* use(to("a"), ({ backend }) => Effect.succeed(backend.id)), "a")
    }).pipe(over(stubborn(new Journal()))))

  it.effect("holds in a panic, as it does for those who are ill but used", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a", "b", "c")
      for (const id of ["a", "b"]) {
        yield* signal(id, { _tag: "ProbeFailed", why: "status: 500", answered: true })
      }
      assert.strictEqual(select(to("b"))?.backend.id, "b")
    }).pipe(over(stubborn(new Journal()))))

  it.effect("holds to an ill backend as long as a panic lasts, and no longer", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      const { select } = yield* Balancer
      const fails = (id: string) => pool.signal(id, { _tag: "ProbeFailed", why: "status: 500", answered: true })
      yield* reconcile("a", "b", "c")
      yield* fails("b")
      assert.notStrictEqual(select(to("b"))?.backend.id, "b")
      yield* fails("c")
      assert.isTrue((yield* Ref.get(pool.state)).panic)
      assert.strictEqual(select(to("b"))?.backend.id, "b")
      for (const _ of [1, 2]) yield* pool.signal("c", { _tag: "ProbePassed", why: "status: 200" })
      assert.isFalse((yield* Ref.get(pool.state)).panic)
      assert.notStrictEqual(select(to("b"))?.backend.id, "b")
    }).pipe(over(stubborn(new Journal()))))

  it.effect("holds in a panic only to those whom everybody is offered, and not to an ill backup", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      const pool = yield* Pool
      const backup = (id: string) => Backend.make(`http://${id}.test`, { id, tier: 1 })
      yield* pool.reconcile([...["a", "b", "c"].map((id) => backend(id)), backup("d")])
      for (const id of ["a", "b", "d"]) {
        yield* signal(id, { _tag: "ProbeFailed", why: "status: 500", answered: true })
      }
      assert.isTrue((yield* Ref.get(pool.state)).panic)
      assert.strictEqual(select(to("b"))?.backend.id, "b")
      assert.strictEqual(select(to("d"))?.backend.id, "a")
    }).pipe(over(stubborn(new Journal()))))

  it.effect("does not lift the limit of all together", () =>
    Effect.gen(function*() {
      const { begin, select } = yield* Balancer
      yield* reconcile("a", "b")
      begin(select(anonymous)!)
      assert.isUndefined(select(to("b")))
    }).pipe(over(stubborn(new Journal()), { maxTotalInFlight: 1 })))

  it.effect("is over for an exchange that has tried its backend", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a", "b")
      const b = select(to("b"))!
      assert.strictEqual(select(to("b"), [b])?.backend.id, "a")
    }).pipe(over(stubborn(new Journal()))))

  it.effect("does not wait for a slow start to be over", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a")
      select(anonymous)
      yield* reconcile("a", "b")
      for (let i = 0; i < 50; i++) assert.strictEqual(select(to("b"))?.backend.id, "b")
    }).pipe(over(stubborn(new Journal()), { slowStart: { ...SlowStart.off, duration: Duration.seconds(30) } })))

  describe("to a full backend", () => {
    const queue = { size: 2, timeout: Duration.seconds(1), order: "oldest" } as const
    const narrow = (more: Partial<Options["queue"]> = {}) =>
      over(stubborn(new Journal()), { maxInFlight: 1, queue: { ...queue, ...more } })

    /** Uses a backend for this long, and gives its id and when it was done. */
    const visit = (context: PickContext, millis: number) =>
      Effect.gen(function*() {
        const { use } = yield* Balancer
        return yield* Effect.forkChild(
          use(context, ({ backend: { id } }) =>
            Effect.delay(Effect.map(Clock.currentTimeMillis, (now) => `${id} at ${now}`), millis)),
          { startImmediately: true }
        )
      })

    const inFlight = Effect.map(
      Effect.flatMap(Pool, ({ state }) => Ref.get(state)),
      ({ members }) => members.map(({ endpoint }) => endpoint.load.inFlight)
    )

    it.effect("waits for it, although another one has room", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b")
        const first = yield* visit(to("b"), 300)
        const second = yield* visit(to("b"), 300)
        assert.deepStrictEqual(yield* inFlight, [0, 1])
        yield* TestClock.adjust(600)
        assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(second)], ["b at 300", "b at 600"])
      }).pipe(narrow()))

    it.effect("does not wait for it after another one has failed, and goes on elsewhere", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b", "c")
        const { begin, select } = yield* Balancer
        const a = select(anonymous)!
        begin(select(to("b"))!)
        assert.isUndefined(select(to("b")))
        assert.strictEqual(select(to("b"), [a])?.backend.id, "c")
      }).pipe(narrow()))

    it.effect("goes elsewhere in the end also if it had to wait for a trial at first", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b")
        yield* trip("b")
        yield* signal("b", { _tag: "ProbePassed", why: "status: 200" })
        yield* visit(to("b"), 2_000)
        yield* visit(anonymous, 300)
        const pinned = yield* visit(to("b"), 10)
        yield* TestClock.adjust(100)
        yield* signal("b", { _tag: "Recovered", why: "the trial went well" })
        yield* TestClock.adjust(2_000)
        assert.strictEqual(yield* Fiber.join(pinned), "a at 1010")
      }).pipe(narrow()))

    it.effect("goes elsewhere when it has waited for long enough", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b")
        yield* visit(to("b"), 5_000)
        const second = yield* visit(to("b"), 10)
        yield* TestClock.adjust(1_010)
        assert.strictEqual(yield* Fiber.join(second), "a at 1010")
        assert.deepStrictEqual(yield* inFlight, [0, 1])
      }).pipe(narrow()))

    it.effect.each(["oldest", "newest"] as const)(
      "goes elsewhere at once when too many wait, the %s first",
      (order) =>
        Effect.gen(function*() {
          yield* reconcile("a", "b")
          yield* visit(to("b"), 600)
          const waiting = [yield* visit(to("b"), 10), yield* visit(to("b"), 10)]
          yield* TestClock.adjust(5)
          assert.deepStrictEqual(yield* inFlight, [0, 1])
          const last = yield* visit(to("b"), 10)
          yield* Effect.yieldNow
          assert.deepStrictEqual(yield* inFlight, [1, 1])
          yield* TestClock.adjust(1_000)
          const [one, two] = yield* Effect.forEach(waiting, Fiber.join)
          const ends = order === "oldest"
            ? ["b at 610", "b at 620", "a at 15"]
            : ["a at 15", "b at 620", "b at 610"]
          assert.deepStrictEqual([one, two, yield* Fiber.join(last)], ends)
        }).pipe(narrow({ order }))
    )

    // Fibers may give way after any operation, and here they do after a few.
    const impatient = Effect.provideService(Scheduler.MaxOpsBeforeYield, 4)

    it.effect.each(["before", "after"])(
      "takes one place only when there is room just %s its time is over",
      (when) =>
        Effect.gen(function*() {
          yield* reconcile("a", "b")
          const { begin, end, select } = yield* Balancer
          const b = select(to("b"))!
          begin(b)
          const ending = Effect.forkChild(
            Effect.andThen(Effect.sleep(1_000), Effect.sync(() => end(b, "success", 1_000))),
            {
              startImmediately: true
            }
          )
          if (when === "before") yield* ending
          const waiting = yield* visit(to("b"), 10)
          if (when === "after") yield* ending
          yield* TestClock.adjust(1_010)
          yield* Fiber.join(waiting)
          const { members } = yield* Ref.get((yield* Pool).state)
          assert.strictEqual(members.reduce((sum, { endpoint }) => sum + endpoint.load.total, 0), 2)
          assert.deepStrictEqual(yield* inFlight, [0, 0])
        }).pipe(narrow(), impatient)
    )

    it.effect.each([0, 1, 2, 3, 4, 5])(
      "takes one place only when there is room %i steps after its time is over",
      (steps) =>
        Effect.gen(function*() {
          yield* reconcile("a", "b")
          const { begin, end, select, wait } = yield* Balancer
          const b = select(to("b"))!
          begin(b)
          const waiting = yield* Effect.forkChild(impatient(wait(to("b"), [], begin)), { startImmediately: true })
          // Its time begins before anybody else does anything.
          yield* Effect.repeat(Effect.yieldNow, { times: 20 })
          const clock = yield* Clock.Clock
          const ending = Effect.gen(function*() {
            while (clock.currentTimeMillisUnsafe() < 1_000) yield* Effect.yieldNow
            for (let i = 0; i < steps; i++) yield* Effect.yieldNow
            end(b, "success", 1_000)
          })
          yield* Effect.forkChild(ending, { startImmediately: true })
          yield* TestClock.adjust(1_000)
          const endpoint = yield* Fiber.join(waiting)
          end(endpoint, "success", 1)
          assert.deepStrictEqual(yield* inFlight, [0, 0])
        }).pipe(narrow())
    )

    it.effect("takes one place only when there is room just as it goes elsewhere", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b")
        const { begin, end, select, wait } = yield* Balancer
        const b = select(to("b"))!
        begin(b)
        const taken: Array<string> = []
        const take = (endpoint: Endpoint): void => {
          begin(endpoint)
          taken.push(endpoint.backend.id)
          // Others may have their turn before it goes on.
          if (taken.length === 1) end(b, "success", 1_000)
        }
        const waiting = yield* Effect.forkChild(wait(to("b"), [], take), { startImmediately: true })
        yield* TestClock.adjust(1_000)
        assert.strictEqual((yield* Fiber.join(waiting)).backend.id, "a")
        assert.deepStrictEqual([taken, yield* inFlight], [["a"], [1, 0]])
      }).pipe(narrow()))

    it.effect("leaves its place when it is interrupted in the same step", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b")
        const { begin, end, select } = yield* Balancer
        const b = select(to("b"))!
        begin(b)
        const waiting = yield* visit(to("b"), 10)
        yield* Effect.sync(() => {
          end(b, "success", 10)
          assert.deepInclude(b.load, { inFlight: 1, total: 2 })
          waiting.interruptUnsafe()
        })
        yield* Fiber.await(waiting)
        assert.deepStrictEqual(yield* inFlight, [0, 0])
      }).pipe(narrow(), impatient))

    it.effect("does not go elsewhere above the limit of all together", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b")
        const { begin, select } = yield* Balancer
        begin(select(to("b"))!)
        const waiting = yield* visit(to("b"), 10)
        yield* TestClock.adjust(1_010)
        assert.isTrue(Exit.isFailure(yield* Fiber.await(waiting)))
        assert.deepStrictEqual(yield* inFlight, [0, 1])
      }).pipe(over(stubborn(new Journal()), { maxInFlight: 1, maxTotalInFlight: 1, queue })))

    it.effect("fails when there is nobody else either", () =>
      Effect.gen(function*() {
        yield* reconcile("b")
        yield* visit(to("b"), 5_000)
        const second = yield* visit(to("b"), 10)
        yield* TestClock.adjust(1_000)
        const exit = yield* Fiber.await(second)
        assert(Exit.isFailure(exit))
        assert.instanceOf(Cause.squash(exit.cause), Overloaded)
      }).pipe(narrow()))

    it.effect.each<readonly [string, ReadonlyArray<string>, string]>([
      ["elsewhere", ["a"], "a"],
      ["nowhere, where there is nobody else", [], "nobody"]
    ])("goes %s as soon as that leaves the pool", ([, others, goes]) =>
      Effect.gen(function*() {
        yield* reconcile("b", ...others)
        yield* mode("b", "Draining")
        const { begin, select, wait } = yield* Balancer
        begin(select(to("b"))!)
        const waiting = yield* Effect.forkChild(wait(to("b"), [], begin), { startImmediately: true })
        yield* TestClock.adjust(1)
        assert.isUndefined(waiting.pollUnsafe())
        yield* reconcile(...others)
        yield* TestClock.adjust(1)
        const got = yield* Effect.result(Effect.timeout(Fiber.join(waiting), 0))
        if (Result.isSuccess(got)) return assert.strictEqual(got.success.backend.id, goes)
        assert.instanceOf(got.failure, NoBackend)
        assert.strictEqual(goes, "nobody")
      }).pipe(narrow()))

    it.effect("waits for it also while it drains", () =>
      Effect.gen(function*() {
        yield* reconcile("b")
        yield* mode("b", "Draining")
        yield* visit(to("b"), 300)
        const second = yield* visit(to("b"), 300)
        yield* TestClock.adjust(600)
        assert.strictEqual(yield* Fiber.join(second), "b at 600")
      }).pipe(narrow()))

    it.effect("stands in nobody's way meanwhile", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b")
        yield* visit(to("b"), 900)
        yield* visit(to("a"), 300)
        const pinned = yield* visit(to("b"), 10)
        const free = yield* visit(anonymous, 10)
        yield* TestClock.adjust(310)
        assert.strictEqual(yield* Fiber.join(free), "a at 310")
        yield* TestClock.adjust(600)
        assert.strictEqual(yield* Fiber.join(pinned), "b at 910")
      }).pipe(narrow()))

    it.effect("has its turn even if the first in line cannot go where it goes", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b")
        yield* mode("b", "Draining")
        yield* visit(to("b"), 300)
        yield* visit(anonymous, 900)
        const free = yield* visit(anonymous, 10)
        const pinned = yield* visit(to("b"), 10)
        yield* TestClock.adjust(310)
        assert.strictEqual(yield* Fiber.join(pinned), "b at 310")
        yield* TestClock.adjust(600)
        assert.strictEqual(yield* Fiber.join(free), "a at 910")
      }).pipe(narrow()))

    it.effect("does not wait while that has to show that it is well", () =>
      Effect.gen(function*() {
        const { begin, select } = yield* Balancer
        yield* reconcile("a", "b", "c")
        yield* trip("b")
        yield* TestClock.adjust("1 hour")
        yield* signal("b", { _tag: "Elapsed" })
        const b = select(to("b"))!
        assert.strictEqual(b.backend.id, "b")
        begin(b)
        assert.strictEqual(select(to("b"))?.backend.id, "a")
      }).pipe(over(stubborn(new Journal()))))
  })
})

describe("slow start", () => {
  const slowStart = { ...SlowStart.off, duration: Duration.seconds(30) }
  const shareOf = (id: string) =>
    Effect.map(Balancer, ({ select }) => {
      let n = 0
      for (let i = 0; i < 3_000; i++) if (select(anonymous)?.backend.id === id) n++
      return n / 1_000
    })

  it.effect("gives a backend that has come back its share little by little", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b", "c")
      assert.closeTo(yield* shareOf("b"), 1, 0.01)
      yield* fail("b")
      assert.strictEqual(yield* shareOf("b"), 0)
      yield* Effect.flatMap(Pool, (pool) => pool.signal("b", { _tag: "ProbePassed", why: "" }))
      yield* Effect.flatMap(Pool, (pool) => pool.signal("b", { _tag: "ProbePassed", why: "" }))
      assert.closeTo(yield* shareOf("b"), 3 * 0.1 / 2.1, 0.05)
      yield* TestClock.adjust("15 seconds")
      assert.closeTo(yield* shareOf("b"), 3 * 0.5 / 2.5, 0.05)
      yield* TestClock.adjust("15 seconds")
      assert.closeTo(yield* shareOf("b"), 1, 0.01)
    }).pipe(over(strategies["round-robin"], { slowStart }), Random.withSeed(1)))

  it.effect("neither begins nor begins anew when something else changes about a backend", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      yield* reconcile("a", "b", "c")
      yield* shareOf("b")
      yield* fail("b")
      yield* shareOf("b")
      for (const _ of [1, 2]) yield* pool.signal("b", { _tag: "ProbePassed", why: "" })
      yield* shareOf("b")
      yield* TestClock.adjust("15 seconds")
      yield* pool.reconcile([backend("a", 2), backend("b", 2), backend("c")])
      assert.closeTo(yield* shareOf("a"), 3 / 2.5, 0.05)
      assert.closeTo(yield* shareOf("b"), 3 * 0.5 / 2.5, 0.05)
    }).pipe(over(strategies["round-robin"], { slowStart }), Random.withSeed(1)))

  it.effect("is for a backend that joins later, too, and never for the only one", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      yield* Effect.yieldNow
      yield* reconcile("a", "b")
      assert.closeTo(yield* shareOf("b"), 3 * 0.1 / 1.1, 0.05)
      yield* reconcile("b")
      assert.strictEqual(yield* shareOf("b"), 3)
    }).pipe(over(strategies["round-robin"], { slowStart }), Random.withSeed(1)))

  it.effect("is none for who had its share meanwhile, in a panic, lest the others get it back all at once", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      yield* reconcile("a", "b", "c")
      for (const id of ["b", "c"]) yield* pool.signal(id, { _tag: "ProbeFailed", why: "status: 500", answered: true })
      assert.closeTo(yield* shareOf("a"), 1, 0.01)
      for (const _ of [1, 2]) yield* pool.signal("b", { _tag: "ProbePassed", why: "status: 200" })
      assert.isFalse((yield* Ref.get(pool.state)).panic)
      assert.closeTo(yield* shareOf("a"), 1.5, 0.01)
      // This one had none any more.
      for (const _ of [1, 2]) yield* pool.signal("c", { _tag: "ProbePassed", why: "status: 200" })
      assert.closeTo(yield* shareOf("c"), 3 * 0.1 / 2.1, 0.05)
    }).pipe(over(strategies["round-robin"], { slowStart }), Random.withSeed(1)))

  it.effect("is for who had no share even in a panic, because it was taken out", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      const mode = (mode: Mode) => pool.signal("d", { _tag: "ModeSet", mode, why: "a deploy" })
      yield* reconcile("a", "b", "c", "d")
      yield* shareOf("d")
      yield* mode("Disabled")
      for (const id of ["b", "c"]) yield* pool.signal(id, { _tag: "ProbeFailed", why: "status: 500", answered: true })
      assert.closeTo(yield* shareOf("a"), 1, 0.01)
      yield* mode("Ready")
      assert.closeTo(yield* shareOf("d"), 3 * 0.1 / 1.1, 0.05)
    }).pipe(over(strategies["round-robin"], { slowStart }), Random.withSeed(1)))

  /** All wait for their first check. */
  const careful = Effect.provide(
    BalancerLayer.layer({ ...defaultOptions, slowStart }).pipe(
      Layer.provide([EjectionLayer.layerNone, strategies["round-robin"]]),
      Layer.provideMerge(PoolLayer.layer({ ...defaultPolicy, initial: "down" }))
    )
  )

  const pass = (id: string) => Effect.flatMap(Pool, (pool) => pool.signal(id, { _tag: "ProbePassed", why: "" }))

  it.effect("is none at the start of the balancer, also where the first check decides", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b", "c")
      assert.strictEqual(yield* shareOf("b"), 0)
      yield* pass("a")
      // Where all are warming, nobody gets less than another one.
      yield* TestClock.adjust("31 seconds")
      for (const id of ["b", "c"]) yield* pass(id)
      assert.closeTo(yield* shareOf("b"), 1, 0.01)
    }).pipe(careful, Random.withSeed(1)))

  it.effect("is for who was ill at the start, whatever such backends are taken for before their first check", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      yield* pass("a")
      yield* fail("b")
      assert.strictEqual(yield* shareOf("b"), 0)
      yield* Effect.forEach(["b", "b"], pass)
      assert.closeTo(yield* shareOf("b"), 3 * 0.1 / 1.1, 0.05)
    }).pipe(careful, Random.withSeed(1)))

  it.effect("is for who comes back or joins later, also where the first check decides", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      assert.strictEqual(yield* shareOf("b"), 0)
      yield* Effect.forEach(["a", "b"], pass)
      assert.closeTo(yield* shareOf("b"), 1.5, 0.01)
      yield* reconcile("a", "b", "c")
      yield* TestClock.adjust("1 minute")
      yield* pass("c")
      assert.closeTo(yield* shareOf("c"), 3 * 0.1 / 2.1, 0.05)
      yield* TestClock.adjust("1 minute")
      assert.closeTo(yield* shareOf("c"), 1, 0.01)
      yield* fail("a")
      yield* shareOf("a")
      yield* pass("a")
      yield* pass("a")
      assert.closeTo(yield* shareOf("a"), 3 * 0.1 / 2.1, 0.05)
    }).pipe(careful, Random.withSeed(1)))
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
