import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"
import { strategies } from "../../../src/layers/strategies/index.ts"
import * as Backend from "../../../src/services/Backend.ts"
import { Balancer, NoBackend, type Options, Overloaded } from "../../../src/services/Balancer.ts"
import type { Mode, Signal } from "../../../src/services/Health.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import * as Monotonic from "../../../src/services/Monotonic.ts"
import { defaultPolicy, Pool } from "../../../src/services/Pool.ts"
import * as SlowStart from "../../../src/services/SlowStart.ts"
import { anonymous, type PickContext, Strategy } from "../../../src/services/Strategy.ts"
import { backend } from "../../endpoints.ts"
import { fail, Journal, over, reconcile, stubborn } from "./Lab.ts"

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

  it.effect("leads to where its backend has moved, also an exchange that has failed where it was", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      const { reconcile: update } = yield* Pool
      yield* reconcile("a", "b")
      const before = select(to("b"))!
      yield* update([backend("a"), Backend.make("http://elsewhere.test", { id: "b" })])
      assert.strictEqual(select(to("b"), [before])?.backend.origin, "http://elsewhere.test")
    }).pipe(over(stubborn(new Journal()))))

  it.effect("leads back to a backend that has left and come again, also before its first check", () =>
    Effect.gen(function*() {
      const { select } = yield* Balancer
      yield* reconcile("a")
      yield* signal("a", { _tag: "ProbePassed", why: "status: 200" })
      yield* reconcile("a", "b")
      assert.deepStrictEqual((yield* Ref.get((yield* Pool).state)).eligible.map(({ backend }) => backend.id), ["a"])
      assert.strictEqual(select(to("b"))?.backend.id, "b")
    }).pipe(over(stubborn(new Journal()), {}, { ...defaultPolicy, initial: "checking" })))

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
            Effect.delay(Effect.map(Monotonic.millis, (now) => `${id} at ${now}`), millis)),
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
