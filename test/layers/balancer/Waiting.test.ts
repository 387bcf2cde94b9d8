import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import { strategies } from "../../../src/layers/strategies/index.ts"
import { Balancer, NoBackend, type Options, Overloaded } from "../../../src/services/Balancer.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { anonymous } from "../../../src/services/Strategy.ts"
import { fail, loadOf, over, reconcile } from "./Lab.ts"

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
