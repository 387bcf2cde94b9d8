/** How long an exchange, and a try of it, may take. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as FakeBackends from "../../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import { type Entry } from "../../../src/services/AccessLog.ts"
import { fails, Fakes, get, lab, loads, post, receivedBy, resetsLate, slow } from "./Lab.ts"

const { delayed, handle, hangs, resets, respond, unreachable } = FakeBackends
describe("the deadline of an exchange", () => {
  it.effect("is 504 deadline_exceeded, and the work on it ends", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* post(1_000), "504 reason: deadline_exceeded")
      assert.strictEqual((yield* receivedBy("http://a"))[0]?.outcome, "aborted")
      assert.deepInclude(entries.at(-1), { reason: "deadline_exceeded", status: 504, durationMs: 1_000, tries: 1 })
      // It had all of the time for itself.
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0]])
    }).pipe(Effect.provide(lab({ "http://a": hangs }, { exchangeTimeout: 1_000 }, entries)))
  })

  it.effect("is one for all tries, and a backend is not blamed for what the others have used up", () =>
    Effect.gen(function*() {
      // Its back-off may end within a millisecond.
      assert.strictEqual(yield* get(1_001), "504 reason: deadline_exceeded")
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 0, 0]])
    }).pipe(Effect.provide(
      lab({ "http://a": resetsLate, "http://b": delayed(500, respond("b")) }, { exchangeTimeout: 1_000 })
    )))

  it.effect("does not end a body that has begun", () =>
    Effect.gen(function*() {
      const body = Stream.fromEffect(Effect.as(Effect.sleep(5_000), new TextEncoder().encode("late")))
      yield* (yield* Fakes).script("http://a", handle(() => Effect.succeed(HttpServerResponse.stream(body))))
      assert.strictEqual(yield* get(5_000), "200 late")
    }).pipe(Effect.provide(lab({ "http://a": hangs }, { exchangeTimeout: 1_000 }))))

  it.effect("brings the answer that was set aside, if there is one", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(1_001), "503 busy")
    }).pipe(Effect.provide(lab({ "http://a": fails("busy"), "http://b": hangs }, { exchangeTimeout: 1_000 }))))

  it.effect("does not blame a backend for the time that its request has waited for room", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(2_000)
      assert.deepStrictEqual(yield* loads, [["a", 2, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": slow(900) }, { exchangeTimeout: 1_000, limits: { maxInFlight: 1 } }))))

  it.effect("ends the wait for room, and nothing is sent then", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(300)
      assert.deepInclude(entries.at(-1), { _tag: "Completed", tries: 0, durationMs: 300, reason: "overloaded" })
    }).pipe(
      Effect.provide(
        lab({ "http://a": FakeBackends.stalls(1, respond("long")) }, {
          exchangeTimeout: 300,
          limits: { maxInFlight: 1 }
        }, entries)
      )
    )
  })

  it.effect("ends the wait of a retry for room, whatever its back-off was", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(FakeServer.request("/"))
      // Its back-off may end within a millisecond.
      yield* TestClock.adjust(1_001)
      assert.deepInclude(entries.at(-1), { _tag: "Completed", durationMs: 1_000, reason: "reset_before_headers" })
    }).pipe(
      Effect.provide(
        lab({ "http://a": resetsLate, "http://b": FakeBackends.stalls(1, respond("long")) }, {
          exchangeTimeout: 1_000,
          limits: { maxInFlight: 1 },
          retry: { backoff: 90 }
        }, entries)
      ),
      // A wait that is drawn below a millisecond is none.
      Random.withSeed(1)
    )
  })

  it.effect("begins no other try when it is over, also for what no backend has seen", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* post(2_000), "504 reason: connect_timeout")
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 0, 0, 0]])
    }).pipe(Effect.provide(
      lab({ "http://a": unreachable, "http://b": respond("b") }, { exchangeTimeout: 2_000 })
    )))

  it.effect("is that of the try where there is room just as the wait ends with it", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(300), "504 reason: deadline_exceeded")
      assert.deepInclude(entries.at(-1), { tries: 1, durationMs: 300 })
      assert.deepStrictEqual(yield* loads, [["a", 1, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": hangs }, {
      exchangeTimeout: 300,
      balancer: (balancer) => ({
        ...balancer,
        select: () => undefined,
        // There is room after 299.9 ms, and whoever has waited has not heard of it.
        wait: (context, tried, take) =>
          Effect.sync(() => take(balancer.select(context, tried)!)).pipe(
            Effect.delay(299.9),
            Effect.andThen(Effect.never)
          )
      })
    }, entries)))
  })

  it.effect("blames a backend that hangs for all of it, also where a hedge has failed meanwhile", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 100; i++) yield* get(20)
      yield* script("http://a", hangs)
      yield* script("http://b", resets)
      assert.strictEqual(yield* get(1_000), "504 reason: deadline_exceeded")
      assert.deepStrictEqual((yield* loads).map(([name, , failed]) => [name, failed]), [["a", 1], ["b", 1]])
    }).pipe(
      Effect.provide(
        lab({ "http://a": slow(20), "http://b": slow(20) }, {
          exchangeTimeout: 1_000,
          hedge: { after: 0.95, budget: 1 }
        })
      )
    ))
})

describe("the deadline of a try", () => {
  it.effect("ends it like a backend that does not answer, so that another one may", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(525), "200 b")
      assert.strictEqual(yield* post(500), "504 reason: headers_timeout")
      assert.deepStrictEqual(yield* loads, [["a", 2, 2, 0], ["b", 1, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": hangs, "http://b": respond("b") }, { tryTimeout: 500 }, entries)))
  })

  it.effect("is that of its exchange where they are equally long, and then there is no other try", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(500), "504 reason: deadline_exceeded")
    }).pipe(Effect.provide(
      lab({ "http://a": hangs, "http://b": respond("b") }, { tryTimeout: 500, exchangeTimeout: 500 })
    )))
})
