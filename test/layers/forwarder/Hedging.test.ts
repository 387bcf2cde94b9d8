/** When a second backend is asked although the first one may still answer. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as FakeBackends from "../../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import { type Entry } from "../../../src/services/AccessLog.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { after, fails, Fakes, forward, get, lab, loads, post, receivedBy, resetsLate, slow } from "./Lab.ts"

const { delayed, handle, hangs, inTurn, onPath, refuses, resets } = FakeBackends
describe("hedging", () => {
  /** Teaches the forwarder that answers take 20 ms. */
  const warmUp = Effect.gen(function*() {
    const { script } = yield* Fakes
    for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(20))
    for (let i = 0; i < 100; i++) yield* get(20)
  })

  /** Answers at once, and takes a second for the body. */
  const streams = handle(() =>
    Effect.succeed(HttpServerResponse.stream(
      Stream.fromEffect(Effect.as(Effect.sleep(1_000), new TextEncoder().encode("streamed")))
    ))
  )

  const hedging = (entries: Array<Entry> = [], budget = 1) =>
    lab({ "http://a": hangs, "http://b": hangs }, { hedge: { after: 0.95, budget } }, entries)

  it.effect("asks a second backend when the first takes longer than usual, and gives up the slower one", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      yield* script("http://a", slow(5_000))
      assert.strictEqual(yield* get(20), "nothing yet")
      yield* TestClock.adjust(22)
      assert.deepInclude(entries.at(-1), { status: 200, backend: "http://b", tries: 2, failed: undefined })
      assert.strictEqual((yield* receivedBy("http://a")).at(-1)?.outcome, "aborted")
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 51, 0, 0]])
      // The first one may still win.
      yield* script("http://a", slow(30))
      yield* script("http://b", slow(5_000))
      assert.strictEqual(yield* get(30), "200 after 30 ms")
      assert.deepInclude(entries.at(-1), { backend: "http://a", tries: 2, failed: undefined })
      assert.deepStrictEqual(yield* loads, [["a", 52, 0, 0], ["b", 52, 0, 0]])
    }).pipe(Effect.provide(hedging(entries)))
  })

  it.effect("asks nobody who is ejected, however long the first takes", () =>
    Effect.gen(function*() {
      yield* warmUp
      yield* (yield* Pool).signal("http://b", { _tag: "Tripped", why: "5 failures in a row" })
      const { script } = yield* Fakes
      yield* script("http://a", slow(2_000))
      assert.strictEqual(yield* get(2_000), "200 after 2000 ms")
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 50, 0, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("waits for the other one when one of the two fails or is busy", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      yield* script("http://a", slow(100))
      yield* script("http://b", fails("busy"))
      assert.strictEqual(yield* get(100), "200 after 100 ms")
      yield* script("http://b", resetsLate)
      yield* script("http://a", slow(2_000))
      assert.strictEqual(yield* get(2_000), "200 after 2000 ms")
      assert.deepStrictEqual(yield* loads, [["a", 52, 0, 0], ["b", 52, 2, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("brings an answer rather than a failure when neither is good, and no third try", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      yield* script("http://a", resetsLate)
      yield* script("http://b", fails("busy"))
      assert.strictEqual(yield* get(1_000), "503 busy")
      const failed = [{ backend: "http://a", reason: "reset_before_headers" as const }]
      assert.deepInclude(entries.at(-1), { backend: "http://b", tries: 2, failed })
      assert.deepStrictEqual(yield* loads, [["a", 51, 1, 0], ["b", 51, 1, 0]])
    }).pipe(Effect.provide(hedging(entries)))
  })

  it.effect("makes no third try, on a third backend, when both have failed", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 102; i++) yield* get(20)
      yield* script("http://a", resetsLate)
      yield* script("http://b", resetsLate)
      assert.strictEqual(yield* get(2_000), "502 reason: reset_before_headers")
      assert.deepStrictEqual(yield* loads, [["a", 35, 1, 0], ["b", 35, 1, 0], ["c", 34, 0, 0]])
    }).pipe(Effect.provide(
      lab({ "http://a": slow(20), "http://b": slow(20), "http://c": slow(20) }, {
        hedge: { after: 0.95, budget: 1 },
        retry: { tries: 2 }
      })
    )))

  it.effect("leaves a second try alone, or a request could be on three backends", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 102; i++) yield* get(20)
      yield* script("http://a", resets)
      yield* script("http://b", slow(100))
      assert.strictEqual(yield* get(200), "200 after 100 ms")
      assert.deepStrictEqual(yield* loads, [["a", 35, 1, 0], ["b", 35, 0, 0], ["c", 34, 0, 0]])
    }).pipe(Effect.provide(
      lab({ "http://a": slow(20), "http://b": slow(20), "http://c": slow(20) }, { hedge: { after: 0.95, budget: 1 } })
    )))

  it.effect("waits for the only backend that there is", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 100; i++) yield* get(20)
      yield* script("http://a", slow(100))
      assert.strictEqual(yield* get(100), "200 after 100 ms")
      assert.deepStrictEqual(yield* loads, [["a", 101, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": slow(20) }, { hedge: { after: 0.95, budget: 1 } }))))

  it.effect("leaves a request with a body alone", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(100))
      const put = HttpClientRequest.put("http://lb/")
      const withBody = HttpClientRequest.bodyText(put, "text")
      assert.strictEqual(yield* after(100, FakeServer.request(withBody)), "200 after 100 ms")
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 50, 0, 0]])
      // Without it, it is hedged as any other.
      assert.strictEqual(yield* after(100, FakeServer.request(put)), "200 after 100 ms")
      assert.deepStrictEqual(yield* loads, [["a", 52, 0, 0], ["b", 51, 0, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("leaves a request for another protocol alone, of which only one backend may know", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(100))
      for (const [upgrade, tries] of [["websocket", 1], [undefined, 2]] as const) {
        const before = (yield* loads).reduce((sum, [, total]) => sum + Number(total), 0)
        const fiber = yield* Effect.forkChild(forward("GET", { upgrade }))
        yield* TestClock.adjust(150)
        assert.strictEqual(yield* Fiber.join(fiber), 200)
        assert.strictEqual((yield* loads).reduce((sum, [, total]) => sum + Number(total), 0) - before, tries)
      }
    }).pipe(Effect.provide(hedging())))

  it.effect("learns what is usual without the time that requests have waited for room", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) {
        const six = yield* Effect.forkChild(
          Effect.forEach(Array(6).keys(), () => FakeServer.request("/"), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust(60)
        yield* Fiber.join(six)
      }
      const { script } = yield* Fakes
      yield* script("http://a", slow(5_000))
      assert.strictEqual(yield* get(50), "200 after 20 ms")
      assert.deepStrictEqual(yield* loads, [["a", 61, 0, 0], ["b", 61, 0, 0]])
    }).pipe(
      Effect.provide(
        lab({ "http://a": slow(20), "http://b": slow(20) }, {
          hedge: { after: 0.95, budget: 1 },
          limits: { maxInFlight: 1 }
        })
      )
    ))

  it.effect("learns what is usual without the time of a try before, and of the wait after it", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      // One of two requests meets the backend that fails late.
      for (let i = 0; i < 100; i++) yield* get(1_000)
      const { script } = yield* Fakes
      yield* script("http://a", slow(5_000))
      yield* script("http://b", slow(20))
      assert.strictEqual(yield* get(50), "200 after 20 ms")
      assert.deepInclude(entries.at(-1), { backend: "http://b", tries: 2, failed: undefined })
    }).pipe(
      Effect.provide(
        lab({ "http://a": resetsLate, "http://b": slow(20) }, {
          hedge: { after: 0.95, budget: 1 },
          retry: { budget: { ratio: 1, perSecond: 1 } }
        }, entries)
      )
    )
  })

  it.effect("learns what is usual of what may be hedged only: POST may take longer", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(1_000))
      for (let i = 0; i < 20; i++) yield* post(1_000)
      yield* script("http://b", slow(20))
      assert.strictEqual(yield* get(50), "200 after 20 ms")
    }).pipe(Effect.provide(hedging())))

  it.effect("has given up the slower one while the body of the answer still comes", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { inFlight, script } = yield* Fakes
      let interrupted = 0
      yield* script("http://a", handle(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))))
      yield* script("http://b", streams)
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(100)
      assert.strictEqual(interrupted, 1)
      assert.deepStrictEqual(["http://a", "http://b"].map(inFlight), [0, 1])
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 51, 0, 1]])
      yield* TestClock.adjust(1_000)
      assert.strictEqual((yield* Fiber.join(fiber)).text, "streamed")
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 51, 0, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("has let go of a bad answer, from whichever of the two, while the body of the good one still comes", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { inFlight, script } = yield* Fakes
      const bad = delayed(
        50,
        handle(() => Effect.succeed(HttpServerResponse.stream(Stream.never, { status: 503 })))
      )
      for (const [first, second] of [[bad, delayed(100, streams)], [delayed(100, streams), bad]] as const) {
        yield* script("http://a", first)
        yield* script("http://b", second)
        const fiber = yield* Effect.forkChild(FakeServer.request("/"))
        yield* TestClock.adjust(200)
        assert.deepStrictEqual(["http://a", "http://b"].map(inFlight), first === bad ? [0, 1] : [1, 0])
        yield* TestClock.adjust(1_000)
        assert.strictEqual((yield* Fiber.join(fiber)).text, "streamed")
      }
      assert.deepStrictEqual(yield* loads, [["a", 52, 1, 0], ["b", 52, 1, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("leaves POST alone, and everything when its budget is used up or nothing is known yet", () =>
    Effect.gen(function*() {
      yield* (yield* Fakes).script("http://a", slow(100))
      assert.strictEqual(yield* get(100), "200 after 100 ms")
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(100))
      assert.strictEqual(yield* post(100), "200 after 100 ms")
      const before = (yield* loads).reduce((sum, [, total]) => sum + Number(total), 0)
      for (let i = 0; i < 10; i++) yield* get(100)
      // 2 % of the 111 requests of the last 10 s, and no part of another.
      assert.strictEqual((yield* loads).reduce((sum, [, total]) => sum + Number(total), 0) - before, 10 + 2)
    }).pipe(Effect.provide(hedging([], 0.02))))

  it.effect("has the budget of the time when a request is sent, however long it has waited for its turn", () => {
    const quick = onPath("/waited", hangs, slow(20))
    return Effect.gen(function*() {
      const { received } = yield* Fakes
      for (const path of ["/first", "/first", "/waited"]) yield* Effect.forkChild(FakeServer.request(path))
      yield* TestClock.adjust(11_000)
      // Those that come later go first, so that it waits for more seconds than the budget remembers.
      for (let i = 0; i < 100; i++) yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(9_000)
      for (const origin of ["http://a", "http://b"]) {
        assert.lengthOf(received(origin).filter(({ target }) => target === "/waited"), 1)
      }
    }).pipe(Effect.provide(
      lab({ "http://a": inTurn(slow(12_000), quick), "http://b": inTurn(slow(12_000), quick) }, {
        hedge: { after: 0.95, budget: 0.02 },
        limits: { maxInFlight: 1, queue: { size: 128, timeout: Duration.minutes(1), order: "newest" } }
      })
    ))
  })

  it.effect("gives both up when the client leaves", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, hangs)
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(50)
      assert.deepStrictEqual((yield* loads).map(([, , , inFlight]) => inFlight), [1, 1])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 51, 0, 0]])
      for (const origin of ["http://a", "http://b"]) {
        assert.strictEqual((yield* receivedBy(origin)).at(-1)?.outcome, "aborted")
      }
    }).pipe(Effect.provide(hedging())))

  it.effect("does not count a hedge that reached nobody as a try", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 102; i++) yield* get(20)
      yield* script("http://a", delayed(100, fails("busy")))
      yield* script("http://b", refuses)
      assert.strictEqual(yield* get(200), "200 after 20 ms")
    }).pipe(
      Effect.provide(
        lab({ "http://a": slow(20), "http://b": slow(20), "http://c": slow(20) }, { hedge: { after: 0.95, budget: 1 } })
      )
    ))
})
