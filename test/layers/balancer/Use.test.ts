import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import { strategies } from "../../../src/layers/strategies/index.ts"
import { Balancer, NoBackend } from "../../../src/services/Balancer.ts"
import type { Outcome } from "../../../src/services/Outcome.ts"
import { anonymous } from "../../../src/services/Strategy.ts"
import { Journal, loadOf, over, reconcile, stubborn } from "./Lab.ts"

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
