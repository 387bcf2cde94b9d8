/** Requests that wait while every backend is at its limit, from client to backend. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../src/layers/testing/FakeServer.ts"
import type { Completed, Entry } from "../../src/services/AccessLog.ts"
import { Forwarder } from "../../src/services/Forwarder.ts"
import { Pool } from "../../src/services/Pool.ts"

const { delayed, respond } = FakeBackends

/** One backend that answers in 400 ms, and one request at a time. */
const lab = (entries: Array<Entry> = []) =>
  LoadBalancer.layer(Configuration.make({
    to: ["http://a"],
    health: { kind: "off" },
    limit: { inFlightPerBackend: 1 },
    queue: { size: 2, timeout: "1s" }
  })).pipe(
    Layer.provide(AccessLog.layerMemory(entries)),
    Layer.provideMerge([
      FakeBackends.layer({ "http://a": delayed("400 millis", respond("a")) }),
      FakeServer.layer
    ])
  )

const clients = (n: number) =>
  Effect.replicateEffect(Effect.forkChild(FakeServer.request("/"), { startImmediately: true }), n)

const inFlight = Effect.gen(function*() {
  const { members } = yield* Ref.get((yield* Pool).state)
  return members.reduce((sum, { endpoint }) => sum + endpoint.load.inFlight, 0)
})

/** The same with those that wait. */
const exchanges = Effect.flatMap(Forwarder, (forwarder) => forwarder.inFlight)

describe("requests for which there is no room", () => {
  it.effect("wait for it, and the backend has one at a time", () =>
    Effect.gen(function*() {
      const fibers = yield* clients(3)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual([yield* inFlight, yield* exchanges], [1, 3])
      yield* TestClock.adjust("1200 millis")
      for (const fiber of fibers) assert.deepInclude(yield* Fiber.join(fiber), { status: 200, text: "a" })
      assert.deepStrictEqual([yield* inFlight, yield* exchanges], [0, 0])
    }).pipe(Effect.provide(lab())))

  it.effect("are told so at once when the queue is full, and when to come again", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* clients(3)
      const reply = yield* FakeServer.request("/late")
      assert.strictEqual(reply.status, 503)
      assert.strictEqual(reply.headers["retry-after"], "2")
      assert.include(reply.text, "reason: overloaded")
      const completed = entries.find((entry): entry is Completed => entry._tag === "Completed")
      assert.deepInclude(completed, { path: "/late", status: 503, reason: "overloaded", tries: 0 })
    }).pipe(Effect.provide(lab(entries)))
  })

  it.effect("are told so when their time in the queue is over", () =>
    Effect.gen(function*() {
      yield* Effect.flatMap(
        FakeBackends.FakeBackends,
        ({ script }) => script("http://a", delayed("10 seconds", respond("a")))
      )
      const [, second] = yield* clients(2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(second!)).status, 503)
      assert.strictEqual(yield* inFlight, 1)
    }).pipe(Effect.provide(lab())))

  it.effect("are told so at once when the last backend is taken out", () =>
    Effect.gen(function*() {
      const [, second] = yield* clients(2)
      const pool = yield* Pool
      const { endpoint } = (yield* Ref.get(pool.state)).members[0]!
      yield* pool.signal(endpoint.backend.id, { _tag: "ModeSet", mode: "Draining", why: "deploy" })
      yield* TestClock.adjust(1)
      assert.isDefined(second!.pollUnsafe())
      const reply = yield* Fiber.join(second!)
      assert.strictEqual(reply.status, 503)
      assert.include(reply.text, "reason: no_backend")
    }).pipe(Effect.provide(lab())))

  it.effect("leave nothing behind when their clients go", () =>
    Effect.gen(function*() {
      const [first, second, third] = yield* clients(3)
      yield* Fiber.interrupt(second!)
      yield* TestClock.adjust("400 millis")
      assert.strictEqual((yield* Fiber.join(first!)).status, 200)
      yield* TestClock.adjust("400 millis")
      assert.strictEqual((yield* Fiber.join(third!)).status, 200)
      assert.strictEqual(yield* inFlight, 0)
    }).pipe(Effect.provide(lab())))
})
