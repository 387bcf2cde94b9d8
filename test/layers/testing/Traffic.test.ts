import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import * as Traffic from "../../../src/layers/testing/Traffic.ts"

/** A server that runs this for each request. */
const serving = <E>(
  answer: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, E>
) =>
  Layer.provideMerge(
    HttpServer.serve(Effect.interruptible(Effect.flatMap(HttpServerRequest.HttpServerRequest, answer))),
    FakeServer.layer
  )

const text = (body: string, status = 200) => Effect.succeed(HttpServerResponse.text(body, { status }))

/** Runs traffic to its end. */
const played = (options: Traffic.Options) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Traffic.run(options))
    yield* TestClock.adjust("5 minutes")
    return yield* Fiber.join(fiber)
  })

describe("Traffic", () => {
  it.effect("sends at its rate for as long as it is told to, whatever is outstanding", () =>
    Effect.gen(function*() {
      const seen = yield* played({ rate: 4, duration: "2 seconds" })
      assert.deepStrictEqual(
        seen.map(({ at, latency, number }) => [number, at, latency]),
        [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750].map((at, number) => [number, at, 3_000])
      )
    }).pipe(Effect.provide(serving(() => Effect.delay(text("late"), "3 seconds")))))

  it.effect("sends nothing more once it is told that it is enough, and waits for what is outstanding", () =>
    Effect.gen(function*() {
      let answered = 0
      const app = Effect.map(Effect.delay(text("late"), "100 millis"), (response) => {
        answered++
        return response
      })
      const seen = yield* Effect.provide(
        played({ rate: 20, duration: Infinity, enough: () => answered >= 2 }),
        serving(() => app)
      )
      assert.deepStrictEqual(seen.map(({ at, reply }) => [at, reply?.text]), [[0, "late"], [50, "late"], [100, "late"]])
    }))

  it.effect("sends as independent clients would, when it is told to", () =>
    Effect.gen(function*() {
      const seen = yield* played({ rate: 100, duration: "20 seconds", spacing: "poisson" })
      const gaps = seen.slice(1).map(({ at }, i) => at - seen[i]!.at)
      const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
      const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length)
      // Both are 10 ms for exponential gaps; the bounds are four standard deviations of these samples away.
      assert.approximately(mean, 10, 0.9)
      assert.approximately(deviation, 10, 1.3)
    }).pipe(Effect.provide(serving(() => text("well"))), Random.withSeed(1)))

  it.effect("mixes methods in proportion, with a body where a method has one", () =>
    Effect.gen(function*() {
      const seen = yield* played({ rate: 1_000, duration: "4 seconds", methods: { GET: 3, PUT: 1, POST: 0 } })
      const puts = seen.filter(({ method }) => method === "PUT")
      assert.strictEqual(seen.filter(({ method }) => method === "GET").length + puts.length, 4_000)
      // 1,000 and four standard deviations.
      assert.approximately(puts.length, 1_000, 110)
      for (const { method, number, reply } of seen) {
        assert.strictEqual(reply?.text, `${method} /${number} ${method === "PUT" ? `body of ${number}` : ""}`)
      }
    }).pipe(
      Effect.provide(serving((request) =>
        Effect.map(request.text, (body) => HttpServerResponse.text(`${request.method} ${request.url} ${body}`))
      )),
      Random.withSeed(1)
    ))

  it.effect("sends what it is told to", () =>
    Effect.gen(function*() {
      const request = (_: string, number: number) => HttpClientRequest.get(`/search?q=${number}`)
      const seen = yield* played({ rate: 2, duration: "1 second", request })
      assert.deepStrictEqual(seen.map(({ backend }) => backend), ["/search?q=0", "/search?q=1"])
    }).pipe(Effect.provide(serving((request) => text(request.url)))))

  it.effect("says what clients saw: answers, errors, answers that break off, and those that do not come", () =>
    Effect.gen(function*() {
      const seen = yield* played({ rate: 10, duration: "500 millis", patience: "2 seconds" })
      assert.deepStrictEqual(
        seen.map(({ backend, latency, problem, reply }) => [problem, backend, latency, reply?.status]),
        [
          [undefined, "well", 0, 200],
          [undefined, "none of yours", 0, 404],
          ["status 503", undefined, 0, 503],
          ["status 200, then cut", undefined, 0, undefined],
          ["no answer in time", undefined, 2_000, undefined]
        ]
      )
      assert.deepStrictEqual(Traffic.failures(seen), { GET: 3 })
      assert.deepStrictEqual(Traffic.spread(seen), { well: 1, "none of yours": 1 })
      assert.deepStrictEqual([Traffic.slower(seen, "1999 millis"), Traffic.slower(seen, "2 seconds")], [1, 0])
    }).pipe(Effect.provide(serving((request) => {
      const body = Stream.concat(Stream.succeed(new Uint8Array(3)), Stream.fail("broken"))
      const answers = [
        text("well"),
        text("none of yours", 404),
        text("", 503),
        Effect.succeed(HttpServerResponse.stream(body)),
        Effect.never
      ]
      return answers[Number(request.url.slice(1))]!
    }))))

  it.effect("gives quantiles of the latencies of answers", () =>
    Effect.gen(function*() {
      const seen = yield* played({ rate: 10, duration: "1 second" })
      assert.deepStrictEqual([0, 0.5, 0.99, 1].map((share) => Traffic.quantile(seen, share)), [0, 500, 900, 900])
      assert.isNaN(Traffic.quantile([], 0.5))
    }).pipe(
      Effect.provide(serving((request) => Effect.delay(text("well"), Number(request.url.slice(1)) * 100)))
    ))

  it.effect("is the same with the same seed", () =>
    Effect.gen(function*() {
      const options: Traffic.Options = {
        rate: 50,
        duration: "2 seconds",
        methods: { GET: 1, DELETE: 1 },
        spacing: "poisson"
      }
      const times = (seed: number) =>
        Effect.map(played(options), (seen) => seen.map(({ at, method }) => `${method} ${at}`)).pipe(
          Random.withSeed(seed)
        )
      const [once, again, other] = yield* Effect.forEach([1, 1, 2], times)
      assert.deepStrictEqual(again, once)
      assert.notDeepEqual(other, once)
    }).pipe(Effect.provide(serving(() => text("well")))))
})
