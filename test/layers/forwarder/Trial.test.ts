/** Trials whose answers have no end: what a backend has to show until it gets traffic again. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../../src/layers/AccessLog.ts"
import * as Configuration from "../../../src/layers/Configuration.ts"
import * as LoadBalancer from "../../../src/layers/LoadBalancer.ts"
import * as FakeBackends from "../../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import { Affinity } from "../../../src/services/Affinity.ts"
import * as Health from "../../../src/services/Health.ts"
import * as Message from "../../../src/services/Message.ts"
import { Pool } from "../../../src/services/Pool.ts"

const { breaksOff, handle, respond, stalls, trickles } = FakeBackends

/** An answer that never ends, with an event so often. */
const events = (seconds: number): FakeBackends.Behaviour =>
  handle(() =>
    Effect.succeed(HttpServerResponse.stream(
      Stream.forever(Stream.fromEffect(Effect.as(Effect.sleep(`${seconds} seconds`), new Uint8Array(10))))
    ))
  )

/**
 * An engine that has a handle of its own on bodies: it says how much has come, and the platform's
 * stream is read by nobody.
 */
const layerOwnBodies = (received: () => number): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(
      HttpClient.HttpClient,
      (client) =>
        HttpClient.transform(client, (effect) =>
          Effect.map(effect, (response) =>
            Message.attachResponseHead(response, {
              status: response.status,
              statusText: "",
              fields: [],
              body: {
                get received() {
                  return received()
                },
                isBroken: false,
                release: () => {}
              }
            })))
    )
  )

/** The client of the context. */
const noEngine = Layer.effect(HttpClient.HttpClient, HttpClient.HttpClient)

const settings = Configuration.make({
  to: ["http://a", "http://b"],
  strategy: "round-robin",
  health: { kind: "off" }
})

const lab = (a: FakeBackends.Behaviour, engine = noEngine) =>
  Effect.provide(
    LoadBalancer.layer(settings).pipe(
      Layer.provide(AccessLog.layerNone),
      Layer.provide(engine),
      Layer.provideMerge([FakeServer.layer, FakeBackends.layer({ "http://a": a, "http://b": respond("b") })])
    )
  )

const statusOfA = Effect.gen(function*() {
  const { members } = yield* Ref.get((yield* Pool).state)
  return Health.status(members.find(({ endpoint }) => endpoint.backend.origin === "http://a")!.health)
})

/** The first backend is on trial from now on. */
const putOnTrial = Effect.gen(function*() {
  const pool = yield* Pool
  const { members } = yield* Ref.get(pool.state)
  const { id } = members.find(({ endpoint }) => endpoint.backend.origin === "http://a")!.endpoint.backend
  yield* pool.signal(id, { _tag: "Tripped", why: "too many failures" })
  yield* pool.signal(id, { _tag: "ProbePassed", why: "status: 200" })
  assert.strictEqual(yield* statusOfA, "Trial")
})

/** The first backend is on trial, and the answer of that has begun. */
const trial = Effect.gen(function*() {
  yield* TestClock.adjust("1 minute")
  yield* putOnTrial
  const backends = yield* FakeBackends.FakeBackends
  const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  for (let i = 0; i < 4; i++) {
    fibers.push(yield* Effect.forkChild(FakeServer.request("/")))
    yield* TestClock.adjust(1)
  }
  assert.strictEqual(backends.received("http://a").length, 1)
  assert.strictEqual(yield* statusOfA, "Trial")
  return fibers
})

describe("a trial", () => {
  it.effect("is over when its answer has been coming for some seconds, and the backend gets traffic again", () =>
    Effect.gen(function*() {
      yield* trial
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* statusOfA, "Trial")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* statusOfA, "Up")
      const backends = yield* FakeBackends.FakeBackends
      for (let i = 0; i < 4; i++) {
        yield* Effect.forkChild(FakeServer.request("/"))
        yield* TestClock.adjust(1)
      }
      assert.isAbove(backends.received("http://a").length, 1)
    }).pipe(lab(events(1))))

  it.effect("is over by that also where the answer began before the end of its request", () =>
    Effect.gen(function*() {
      yield* putOnTrial
      const request = HttpClientRequest.post("/", { body: HttpBody.stream(Stream.never) })
      for (let i = 0; i < 2; i++) yield* Effect.forkChild(FakeServer.request(request))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* statusOfA, "Trial")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* statusOfA, "Up")
    }).pipe(lab(events(1))))

  it.effect("does not go well because an answer has been coming that says that the backend is not well", () =>
    Effect.gen(function*() {
      yield* putOnTrial
      for (let i = 0; i < 2; i++) yield* Effect.forkChild(FakeServer.request(HttpClientRequest.post("/")))
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual(yield* statusOfA, "Trial")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* statusOfA, "Ejected")
    }).pipe(lab(trickles(1, "1 second", respond("a text of 20 letters", { status: 503 })))))

  it.effect("takes as long as it takes until there is something new", () =>
    Effect.gen(function*() {
      yield* trial
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual(yield* statusOfA, "Trial")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* statusOfA, "Up")
    }).pipe(lab(events(20))))

  it.effect("goes by what the engine says has come, where that has bodies of its own", () => {
    let received = 0
    return Effect.gen(function*() {
      yield* trial
      received = 10
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* statusOfA, "Trial")
      received = 20
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* statusOfA, "Up")
    }).pipe(lab(events(1_000), layerOwnBodies(() => received)))
  })

  it.effect("has failed when its answer is cut before that", () =>
    Effect.gen(function*() {
      yield* trial
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* statusOfA, "Ejected")
    }).pipe(lab(breaksOff(3, trickles(1, "1 second", respond("hello"))))))

  it.effect("has failed when its answer falls silent", () =>
    Effect.gen(function*() {
      yield* trial
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* statusOfA, "Trial")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* statusOfA, "Ejected")
    }).pipe(lab(stalls(3, respond("hello")))))

  it.effect("does not keep other requests from being the trial for as long as its answer is silent", () =>
    Effect.gen(function*() {
      yield* trial
      const backends = yield* FakeBackends.FakeBackends
      const others = Effect.gen(function*() {
        for (let i = 0; i < 4; i++) {
          yield* Effect.forkChild(FakeServer.request("/"))
          yield* TestClock.adjust(1)
        }
        return backends.received("http://a").length
      })
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(yield* others, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* others, 2)
      // Each of those that are silent has one more beside it, and not one each second.
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* others, 2)
      assert.strictEqual(yield* statusOfA, "Trial")
    }).pipe(lab(stalls(3, respond("hello")))))

  it.effect("is another one's when its client leaves, and nothing is left of it", () =>
    Effect.gen(function*() {
      const fibers = yield* trial
      yield* TestClock.adjust("3 seconds")
      for (const fiber of fibers) yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* statusOfA, "Trial")
    }).pipe(lab(events(1))))

  it.effect("is also one of a request that came before it began, and was sent after that", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 2; i++) yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(500)
      yield* putOnTrial
      yield* TestClock.adjust(500)
      assert.strictEqual((yield* FakeBackends.FakeBackends).received("http://a").length, 1)
      assert.strictEqual(yield* statusOfA, "Up")
    }).pipe(
      lab(respond("a")),
      // As if the cookie were read for so long.
      Effect.provideService(Affinity, { read: () => Effect.as(Effect.sleep("1 second"), undefined) })
    ))
})
