/** Requests that come slowly: the time is their clients', and backends are neither judged nor kept from others by it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../../src/layers/AccessLog.ts"
import * as Configuration from "../../../src/layers/Configuration.ts"
import * as LoadBalancer from "../../../src/layers/LoadBalancer.ts"
import * as FakeBackends from "../../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import type { Entry } from "../../../src/services/AccessLog.ts"
import * as Health from "../../../src/services/Health.ts"
import { Pool } from "../../../src/services/Pool.ts"

const { delayed, handle, hangs, inTurn, refuses, respond } = FakeBackends

const lab = (
  scripts: Readonly<Record<string, FakeBackends.Behaviour>>,
  settings: Parameters<typeof Configuration.make>[0] = {},
  entries: Array<Entry> = []
) =>
  Effect.provide(
    LoadBalancer.layer(Configuration.make({ to: Object.keys(scripts), health: { kind: "off" }, ...settings })).pipe(
      Layer.provide(AccessLog.layerMemory(entries)),
      Layer.provideMerge([FakeServer.layer, FakeBackends.layer(scripts)])
    )
  )

/** A request with a body of so many bytes, one each time. */
const upload = (bytes: number, every: number, method: "POST" | "PUT" = "POST") => {
  const body = Stream.range(1, bytes).pipe(
    Stream.mapEffect(() => Effect.as(Effect.sleep(every), new Uint8Array(1))),
    Stream.rechunk(1)
  )
  return HttpClientRequest.make(method)("/up", { body: HttpBody.stream(body, "text/plain", bytes) })
}

/** GETs at this rate, and how many of them were not answered with 200. */
const gets = Effect.fnUntraced(function*(count: number, every: number) {
  let failed = 0
  for (let i = 0; i < count; i++) {
    yield* Effect.forkChild(Effect.tap(FakeServer.request("/"), ({ status }) => {
      if (status !== 200) failed++
      return Effect.void
    }))
    yield* TestClock.adjust(every)
  }
  return failed
})

const member = (origin: string) =>
  Effect.gen(function*() {
    const { members } = yield* Ref.get((yield* Pool).state)
    return members.find(({ endpoint }) => endpoint.backend.origin === origin)!
  })

const loadOf = (origin: string) => Effect.map(member(origin), ({ endpoint }) => endpoint.load)

const statusOf = (origin: string) => Effect.map(member(origin), ({ health }) => Health.status(health))

const counts = (method: string) =>
  Effect.map(
    FakeBackends.FakeBackends,
    ({ received }) =>
      ["http://a", "http://b", "http://c"].map((origin) =>
        received(origin).filter((request) => request.method === method).length
      )
  )

const fast = delayed(10, respond("fast"))

const three = { "http://a": fast, "http://b": fast, "http://c": fast }

describe("the latency of a backend", () => {
  it.effect("does not grow by an upload that its client abandons", () =>
    Effect.gen(function*() {
      yield* gets(30, 100)
      const uploading = yield* Effect.forkChild(FakeServer.request(upload(100, 300)))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.interrupt(uploading)
      assert.strictEqual((yield* counts("POST")).reduce((a, b) => a + b), 1)
      const before = yield* counts("GET")
      yield* gets(200, 100)
      for (const [i, count] of (yield* counts("GET")).entries()) assert.isAbove(count - before[i]!, 30)
    }).pipe(lab(three), Random.withSeed(1)))

  it.effect("begins when the upload is complete, however long that took", () =>
    Effect.gen(function*() {
      yield* gets(30, 20)
      const uploading = yield* Effect.forkChild(FakeServer.request(upload(10, 500)))
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* Fiber.join(uploading)).status, 200)
      const before = yield* counts("GET")
      yield* gets(300, 20)
      for (const [i, count] of (yield* counts("GET")).entries()) assert.isAbove(count - before[i]!, 50)
      for (const origin of Object.keys(three)) assert.closeTo((yield* loadOf(origin)).latency, 10, 1)
    }).pipe(lab(three), Random.withSeed(2)))

  it.effect("is that of the try, where the upload was complete before that", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.put("/", { body: HttpBody.text("all at once") })
      const uploading = yield* Effect.forkChild(FakeServer.request(request))
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(uploading)).status, 200)
      assert.strictEqual((yield* loadOf("http://a")).latency, 10)
    }).pipe(lab({ "http://a": fast })))

  it.effect("is not learned from an answer that comes before the end of the upload", () => {
    const early = handle((request) =>
      Effect.as(Stream.runDrain(Stream.take(request.stream, 5)), HttpServerResponse.text("enough", { status: 413 }))
    )
    return Effect.gen(function*() {
      yield* gets(1, 20)
      yield* (yield* FakeBackends.FakeBackends).script("http://a", early)
      const uploading = yield* Effect.forkChild(FakeServer.request(upload(10, 500)))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* Fiber.join(uploading)).status, 413)
      const { failed, inFlight, latency, total } = yield* loadOf("http://a")
      assert.deepStrictEqual({ failed, inFlight, latency, total }, { failed: 0, inFlight: 0, latency: 10, total: 2 })
    }).pipe(lab({ "http://a": fast }))
  })

  it.effect("is the failure's, where a backend breaks off an upload", () => {
    const breaks: FakeBackends.Behaviour = (attempt) =>
      FakeBackends.resets(attempt).pipe(Effect.map((reset) => Effect.andThen(Effect.sleep(5_000), reset)))
    return Effect.gen(function*() {
      const uploading = yield* Effect.forkChild(FakeServer.request(upload(10, 1_000)))
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* Fiber.join(uploading)).status, 502)
      const { failed, latency } = yield* loadOf("http://a")
      assert.deepStrictEqual({ failed, latency }, { failed: 1, latency: 1_000 })
    }).pipe(lab({ "http://a": breaks }))
  })
})

describe("an adaptive limit", () => {
  it.effect("grows while clients upload slowly", () =>
    Effect.gen(function*() {
      yield* gets(200, 10)
      const client = Effect.forever(FakeServer.request(upload(11, 270)))
      for (let i = 0; i < 40; i++) yield* Effect.forkChild(Effect.delay(client, i * 70))
      yield* gets(1_000, 20)
      assert.isAbove((yield* loadOf("http://a")).limit, 60)
      assert.strictEqual(yield* gets(200, 20), 0)
    }).pipe(lab({ "http://a": fast }, { limit: { adaptive: "gradient" } })))
})

describe("a deadline that is over while the client still sends", () => {
  for (const limit of ["try", "exchange"] as const) {
    it.effect(`is the client's, with timeout.${limit}`, () => {
      const entries: Array<Entry> = []
      return Effect.gen(function*() {
        const uploads = yield* Effect.forEach(
          Array.from({ length: 30 }, (_, i) => upload(12, 250, i % 2 === 0 ? "POST" : "PUT")),
          (request) => Effect.forkChild(FakeServer.request(request))
        )
        yield* TestClock.adjust("2 seconds")
        for (const uploading of uploads) {
          const { headers, status, text } = yield* Fiber.join(uploading)
          assert.deepStrictEqual([status, headers["connection"]], [408, "close"])
          assert.include(text, "request_timeout")
        }
        const { received } = yield* FakeBackends.FakeBackends
        assert.strictEqual(received("http://a").length + received("http://b").length, 30)
        for (const origin of ["http://a", "http://b"]) {
          const { consecutiveFailures, failed, inFlight, latency } = yield* loadOf(origin)
          assert.deepStrictEqual([consecutiveFailures, failed, inFlight, latency], [0, 0, 0, 0])
          assert.notStrictEqual(yield* statusOf(origin), "Ejected")
        }
        assert.deepInclude(entries.at(-1), { status: 408, reason: "request_timeout", tries: 1 })
      }).pipe(lab({ "http://a": fast, "http://b": fast }, { timeout: { [limit]: "2s" } }, entries))
    })
  }

  it.effect("is the client's also where an answer of another backend is kept", () => {
    const entries: Array<Entry> = []
    const busy = handle(() => Effect.succeed(HttpServerResponse.text("busy", { status: 503 })))
    return Effect.gen(function*() {
      const uploading = yield* Effect.forkChild(FakeServer.request(upload(12, 250, "PUT")))
      yield* TestClock.adjust("3 seconds")
      const { headers, status } = yield* Fiber.join(uploading)
      assert.deepStrictEqual([status, headers["connection"]], [408, "close"])
      assert.deepInclude(entries.at(-1), {
        backend: "http://b",
        status: 408,
        reason: "request_timeout",
        tries: 2,
        failed: [{ backend: "http://a", reason: 503 }]
      })
      assert.strictEqual((yield* loadOf("http://a")).inFlight, 0)
    }).pipe(lab({ "http://a": busy, "http://b": fast }, { strategy: "first", timeout: { try: "2s" } }, entries))
  })

  it.effect("is nobody's when it leaves the backend less than half of the time, and the backend's when that has more", () =>
    Effect.gen(function*() {
      const loadAfter = Effect.fnUntraced(function*(bytes: number) {
        const uploading = yield* Effect.forkChild(FakeServer.request(upload(bytes, 100)))
        yield* TestClock.adjust("2 seconds")
        const { status, text } = yield* Fiber.join(uploading)
        assert.strictEqual(status, 504)
        assert.include(text, "headers_timeout")
        return yield* loadOf("http://a")
      })
      assert.strictEqual((yield* loadAfter(15)).failed, 0)
      assert.strictEqual((yield* loadAfter(8)).failed, 1)
    }).pipe(lab({ "http://a": delayed("5 seconds", respond("slow")) }, { timeout: { try: "2s" } })))

  it.effect("is the backend's when all of the request was there", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.post("/", { body: HttpBody.text("all at once") })
      const reads: FakeBackends.Behaviour = handle(({ stream }) =>
        Effect.andThen(Stream.runDrain(stream), Effect.never)
      )
      yield* (yield* FakeBackends.FakeBackends).script("http://a", reads)
      const uploading = yield* Effect.forkChild(FakeServer.request(request))
      yield* TestClock.adjust("2 seconds")
      const { status, text } = yield* Fiber.join(uploading)
      assert.strictEqual(status, 504)
      assert.include(text, "headers_timeout")
      assert.strictEqual((yield* loadOf("http://a")).failed, 1)
    }).pipe(lab({ "http://a": hangs }, { timeout: { try: "2s" } })))

  it.effect("is the backend's when that does not read the request", () =>
    Effect.gen(function*() {
      const uploading = yield* Effect.forkChild(FakeServer.request(upload(12, 250)))
      yield* TestClock.adjust("2 seconds")
      const { status, text } = yield* Fiber.join(uploading)
      assert.strictEqual(status, 504)
      assert.include(text, "headers_timeout")
      assert.strictEqual((yield* loadOf("http://a")).failed, 1)
    }).pipe(lab({ "http://a": hangs }, { timeout: { try: "2s" } })))
})

describe("a trial whose request comes slowly", () => {
  /** The first backend is on trial, and a slow upload has come to it. */
  const trial = Effect.gen(function*() {
    const pool = yield* Pool
    const { id } = (yield* member("http://a")).endpoint.backend
    yield* pool.signal(id, { _tag: "Tripped", why: "too many failures" })
    yield* pool.signal(id, { _tag: "ProbePassed", why: "status: 200" })
    const uploading = yield* Effect.forkChild(FakeServer.request(upload(100, 250)))
    yield* TestClock.adjust(1)
    const { received } = yield* FakeBackends.FakeBackends
    assert.strictEqual(received("http://a").length, 1)
    return { uploading, received }
  })
  const first = { strategy: "first" as const }
  const refusesLate: FakeBackends.Behaviour = (attempt) => Effect.andThen(Effect.sleep("2 seconds"), refuses(attempt))

  it.effect("keeps the backend from other requests for some seconds only, and proves nothing", () =>
    Effect.gen(function*() {
      const { received } = yield* trial
      yield* gets(25, 100)
      assert.strictEqual(received("http://a").length, 1)
      yield* TestClock.adjust(600)
      assert.strictEqual(yield* statusOf("http://a"), "Trial")
      yield* gets(1, 1)
      assert.strictEqual(received("http://a").length, 2)
      yield* gets(1, 1)
      assert.strictEqual(received("http://a").length, 2)
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* statusOf("http://a"), "Up")
    }).pipe(lab({ "http://a": fast, "http://b": fast }, first)))

  it.effect("holds it for as long as the backend itself does not read", () =>
    Effect.gen(function*() {
      const { received } = yield* trial
      yield* gets(100, 100)
      assert.strictEqual(received("http://a").length, 1)
      assert.strictEqual(yield* statusOf("http://a"), "Trial")
    }).pipe(lab({ "http://a": hangs, "http://b": fast }, first)))

  it.effect("holds it again once the request is complete", () => {
    const slow = handle(({ stream }) => Effect.andThen(Stream.runDrain(stream), Effect.never))
    return Effect.gen(function*() {
      const pool = yield* Pool
      const { id } = (yield* member("http://a")).endpoint.backend
      yield* pool.signal(id, { _tag: "Tripped", why: "too many failures" })
      yield* pool.signal(id, { _tag: "ProbePassed", why: "status: 200" })
      yield* Effect.forkChild(FakeServer.request(upload(10, 250)))
      yield* gets(60, 100)
      assert.strictEqual((yield* FakeBackends.FakeBackends).received("http://a").length, 1)
    }).pipe(lab({ "http://a": slow, "http://b": fast }, first))
  })

  it.effect("keeps the backend that it goes to in the end for as long, whatever became of a trial before", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      for (const origin of ["http://a", "http://b"]) {
        const { id } = (yield* member(origin)).endpoint.backend
        yield* pool.signal(id, { _tag: "Tripped", why: "too many failures" })
        yield* pool.signal(id, { _tag: "ProbePassed", why: "status: 200" })
        assert.strictEqual(yield* statusOf(origin), "Trial")
      }
      yield* Effect.forkChild(FakeServer.request(upload(100, 250)))
      yield* TestClock.adjust(2_000)
      const { received } = yield* FakeBackends.FakeBackends
      assert.strictEqual(received("http://b").length, 1)
      yield* gets(29, 100)
      assert.strictEqual(received("http://b").length, 1)
      yield* gets(2, 100)
      assert.isAbove(received("http://b").length, 1)
    }).pipe(
      lab(
        // The first connection takes two seconds to be refused, and the others no time.
        { "http://a": inTurn(refusesLate, refuses), "http://b": fast, "http://c": fast },
        { ...first, ejection: { maxShare: "100%" } }
      )
    ))
})
