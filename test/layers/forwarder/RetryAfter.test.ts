/** What an answer with `Retry-After` is worth waiting for. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import * as FakeBackends from "../../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import { type Entry } from "../../../src/services/AccessLog.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { fails, Fakes, get, lab, loads, receivedBy, type Wishes } from "./Lab.ts"

const { delayed, inTurn, resets, respond } = FakeBackends
describe("Retry-After", () => {
  it.effect("is not waited for while there is another backend", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(), "200 b")
    }).pipe(Effect.provide(lab({ "http://a": fails("busy", { "retry-after": "1" }), "http://b": respond("b") }))))

  it.effect("is waited for rather than that one is asked who is only ejected, if there is time for it", () => {
    const busy = fails("busy", { "retry-after": "1" })
    const scripts = { "http://a": inTurn(busy, respond("a"), busy), "http://b": inTurn(resets, respond("b")) }
    return Effect.gen(function*() {
      yield* (yield* Pool).signal("http://b", { _tag: "Tripped", why: "5 failures in a row" })
      assert.strictEqual(yield* get(1_025), "200 a")
      yield* (yield* Fakes).script("http://a", fails("busy", { "retry-after": "3" }))
      assert.strictEqual(yield* get(), "503 busy")
      assert.strictEqual(yield* get(), "200 b")
    }).pipe(Effect.provide(lab(scripts)))
  })

  it.effect("is waited for where there is none, and the same backend is asked again", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      assert.strictEqual(yield* get(999), "nothing yet")
      yield* TestClock.adjust(26)
      assert.deepInclude(entries.at(-1), { status: 200, tries: 2, failed: [{ backend: "http://a", reason: 503 }] })
      const date = "Thu, 01 Jan 2026 00:00:03 GMT"
      yield* (yield* Fakes).script(
        "http://a",
        inTurn(resets, resets, fails("busy", { "retry-after": date }), respond("a"))
      )
      assert.strictEqual(yield* get(2_100), "200 a")
    }).pipe(Effect.provide(
      lab({ "http://a": inTurn(fails("busy", { "retry-after": "1" }), respond("a")) }, {}, entries)
    ))
  })

  it.effect("is waited for where the backend may have one request in flight: the answer that is kept is none", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(999), "nothing yet")
      yield* TestClock.adjust(26)
      assert.deepStrictEqual(yield* loads, [["a", 2, 1, 0]])
      assert.strictEqual(yield* get(0), "200 a")
    }).pipe(Effect.provide(lab(
      { "http://a": inTurn(fails("busy", { "retry-after": "1" }), respond("a")) },
      { limits: { maxInFlight: 1 } }
    ))))

  it.effect("costs the budget nothing where the backend has no room any more for the one that would wait", () => {
    const busy = fails("busy", { "retry-after": "0" })
    return Effect.gen(function*() {
      const first = yield* Effect.forkChild(FakeServer.request("/"), { startImmediately: true })
      yield* TestClock.adjust(0)
      // It gets the place of the first one, and then the only retry that there is.
      assert.strictEqual(yield* get(100), "200 a")
      assert.strictEqual((yield* Fiber.join(first)).status, 503)
    }).pipe(Effect.provide(
      lab({ "http://a": inTurn(delayed(10, busy), busy, respond("a")) }, {
        limits: { maxInFlight: 1 },
        retry: { budget: { ratio: 0, perSecond: 0.1 } }
      })
    ))
  })

  it.effect("is not waited for where the backend could not be asked again, because it was taken out meanwhile", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(50)
      yield* (yield* Pool).signal("http://a", { _tag: "ModeSet", mode: "Disabled", why: "a deploy" })
      yield* TestClock.adjust(50)
      assert.deepInclude(yield* fiber.pollUnsafe() ?? Effect.die("it waits"), { status: 503, text: "busy" })
    }).pipe(Effect.provide(lab({ "http://a": delayed(100, fails("busy", { "retry-after": "1" })) }))))

  it.effect("is waited for with other statuses as well, which are no failures of a backend", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(999), "nothing yet")
      yield* TestClock.adjust(26)
      assert.deepStrictEqual(yield* loads, [["a", 2, 0, 0]])
    }).pipe(Effect.provide(lab(
      { "http://a": inTurn(fails("slow down", { "retry-after": "1" }, 429), respond("a")) },
      { limits: { maxInFlight: 1 }, retry: { statuses: new Set([429]) } }
    ))))

  it.effect("is waited for a little longer by each, so that not all who were told the same come back at once", () => {
    const requests = 10
    const busy = fails("busy", { "retry-after": "1" })
    const recovering: FakeBackends.Behaviour = (attempt) => (attempt.turn < requests ? busy : respond("a"))(attempt)
    return Effect.gen(function*() {
      for (let i = 0; i < requests; i++) yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(1_025)
      const again = (yield* receivedBy("http://a")).slice(requests).map(({ at }) => at)
      assert.lengthOf(again, requests)
      for (const at of again) assert.isAtLeast(at, 1_000)
      assert.isAbove(new Set(again).size, requests / 2)
    }).pipe(Effect.provide(lab({ "http://a": recovering })), Random.withSeed(1))
  })

  it.effect("is waited for up to 2 s without a deadline, and as long as fits the deadline with one", () => {
    /** What has become after so many milliseconds of a request to a backend that asks for so many seconds. */
    const asked = (seconds: number, ms: number, wishes: Wishes) =>
      get(ms).pipe(Effect.provide(
        lab({ "http://a": inTurn(fails("busy", { "retry-after": `${seconds}` }), respond("a")) }, wishes)
      ))
    const deadline = { exchangeTimeout: 10_000 }
    const limited = { exchangeTimeout: 10_000, retry: { maxWait: 4_000 } }
    return Effect.gen(function*() {
      for (const [wishes, longest] of [[{}, 2], [deadline, 9], [limited, 4]] as const) {
        assert.strictEqual(yield* asked(longest, longest * 1_000 + 25, wishes), "200 a")
        assert.strictEqual(yield* asked(longest + 1, 0, wishes), "503 busy")
      }
    })
  })
})
