import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as BalancerLayer from "../../../src/layers/Balancer.ts"
import * as EjectionLayer from "../../../src/layers/Ejection.ts"
import * as PoolLayer from "../../../src/layers/Pool.ts"
import { strategies } from "../../../src/layers/strategies/index.ts"
import { Balancer, defaultOptions } from "../../../src/services/Balancer.ts"
import type { Mode } from "../../../src/services/Health.ts"
import { defaultPolicy, Pool } from "../../../src/services/Pool.ts"
import * as SlowStart from "../../../src/services/SlowStart.ts"
import { anonymous } from "../../../src/services/Strategy.ts"
import { backend, moved } from "../../endpoints.ts"
import { fail, over, reconcile } from "./Lab.ts"

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

  it.effect("is for a backend that is in another place now", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b", "c")
      assert.closeTo(yield* shareOf("c"), 1, 0.01)
      yield* (yield* Pool).reconcile([backend("a"), backend("b"), moved("c")])
      assert.closeTo(yield* shareOf("c"), 3 * 0.1 / 2.1, 0.05)
      yield* TestClock.adjust("30 seconds")
      assert.closeTo(yield* shareOf("c"), 1, 0.01)
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

  describe.each(["ring-hash", "maglev", "rendezvous"] as const)("with %s", (name) => {
    const keys = Array.from({ length: 2_000 }, (_, i) => `key ${i}`)
    const owners = Effect.map(
      Balancer,
      ({ select }) => keys.map((key) => select({ ...anonymous, key: () => key })?.backend.id)
    )
    const changed = (before: ReadonlyArray<unknown>, after: ReadonlyArray<unknown>) =>
      keys.filter((_, i) => before[i] !== after[i])

    it.effect("gives a backend one key after the other, each for good", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b", "c")
        const usual = yield* owners
        const own = keys.filter((_, i) => usual[i] === "b")
        yield* fail("b")
        yield* shareOf("b")
        for (const _ of [1, 2]) {
          yield* Effect.flatMap(Pool, (pool) => pool.signal("b", { _tag: "ProbePassed", why: "" }))
        }
        let before = yield* owners
        for (const [wait, share] of [[0, 0.1], [15, 0.5], [12, 0.9], [3, 1]] as const) {
          yield* TestClock.adjust(Duration.seconds(wait))
          const now = yield* owners
          assert.deepStrictEqual(yield* owners, now)
          for (const key of changed(before, now)) assert.strictEqual(now[keys.indexOf(key)], "b")
          assert.closeTo(now.filter((id) => id === "b").length / own.length, share, 0.05)
          before = now
        }
        assert.deepStrictEqual(before, usual)
      }).pipe(over(strategies[name], { slowStart }), Random.withSeed(1)))

    it.effect("moves no key twice where two are warming", () =>
      Effect.gen(function*() {
        yield* reconcile("a")
        yield* owners
        yield* reconcile("a", "b", "c")
        let before = yield* owners
        const times = new Map<string, number>()
        for (let second = 0; second < 30; second++) {
          yield* TestClock.adjust("1 second")
          const now = yield* owners
          for (const key of changed(before, now)) times.set(key, (times.get(key) ?? 0) + 1)
          before = now
        }
        for (const [key, count] of times) assert.strictEqual(count, 1, key)
      }).pipe(over(strategies[name], { slowStart })))

    it.effect("draws by chance where there is no key", () =>
      Effect.gen(function*() {
        yield* reconcile("a", "b", "c")
        yield* shareOf("b")
        yield* fail("b")
        yield* shareOf("b")
        for (const _ of [1, 2]) {
          yield* Effect.flatMap(Pool, (pool) => pool.signal("b", { _tag: "ProbePassed", why: "" }))
        }
        yield* TestClock.adjust("15 seconds")
        assert.closeTo(yield* shareOf("b"), 0.5, 0.06)
      }).pipe(over(strategies[name], { slowStart }), Random.withSeed(1)))
  })

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
