import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, InvalidUrlError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as HttpProbe from "../../src/layers/HttpProbe.ts"
import * as Backend from "../../src/services/Backend.ts"
import { TransportFailure } from "../../src/services/Failure.ts"
import { IsCheck, Probe, ProbeFailed } from "../../src/services/Probe.ts"

type Answer = (request: HttpClientRequest) => Effect.Effect<Response, HttpClientError>

/** A probe whose client answers like this, and keeps the requests that it was sent. */
const probing = (answer: Answer, options?: HttpProbe.Options, sent: Array<HttpClientRequest> = []) =>
  Effect.provide(
    HttpProbe.layer(options).pipe(
      Layer.provide(Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request) => {
          sent.push(request)
          return Effect.map(answer(request), (response) => HttpClientResponse.fromWeb(request, response))
        })
      ))
    )
  )

const backend = Backend.make("http://localhost:3001")
const check = Effect.flatMap(Probe, (probe) => probe.check(backend))

const status = (status: number, init?: ResponseInit): Answer => () =>
  Effect.sync(() => new Response(null, { ...init, status }))

const broken = (cause?: unknown): Answer => (request) =>
  Effect.fail(new HttpClientError({ reason: new TransportError({ request, cause, description: "socket hang up" }) }))

describe("HttpProbe", () => {
  it.effect.each([200, 201, 204, 299, 301, 302, 304, 399])(
    "passes with status %d, and says it",
    (code) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* check, `status: ${code}`)
      }).pipe(probing(status(code)))
  )

  it.effect.each([400, 401, 404, 418, 429, 499, 500, 502, 503, 504, 599])(
    "fails with status %d, and says it",
    (code) =>
      Effect.gen(function*() {
        // Of errors, `deepStrictEqual` compares name and message only.
        assert.deepInclude(yield* Effect.flip(check), {
          _tag: "ProbeFailed",
          message: `status: ${code}`,
          answered: true
        })
      }).pipe(probing(status(code)))
  )

  it.effect("asks for / with GET, as somebody who can be told from others in a log", () => {
    const sent: Array<HttpClientRequest> = []
    return Effect.gen(function*() {
      yield* check
      assert.strictEqual(sent.length, 1)
      const [request] = sent
      assert.deepStrictEqual([request?.method, request?.url], ["GET", "http://localhost:3001/"])
      assert.strictEqual(request?.headers["user-agent"], "evenkeel-health-check")
    }).pipe(probing(status(200), undefined, sent))
  })

  it.effect("asks for the path of the options, byte for byte", () => {
    const sent: Array<HttpClientRequest> = []
    return Effect.gen(function*() {
      yield* check
      assert.strictEqual(sent[0]?.url, "http://localhost:3001/health?deep=1&x=%20")
    }).pipe(probing(status(200), { path: "/health?deep=1&x=%20" }, sent))
  })

  it.effect("adds no tracing headers, not even within a span", () => {
    const sent: Array<HttpClientRequest> = []
    return Effect.gen(function*() {
      yield* Effect.withSpan(check, "parent")
      assert.sameMembers(Object.keys(sent[0]?.headers ?? {}), ["accept", "user-agent"])
    }).pipe(probing(status(200), undefined, sent))
  })

  it.effect("tells the engine that it is a check", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* check, "status: 299")
    }).pipe(
      probing(() => Effect.map(IsCheck, (isCheck) => new Response(null, { status: isCheck ? 299 : 500 })))
    ))

  it.effect("lets go of what is left of the answer", () => {
    let signal: AbortSignal | undefined
    const client = HttpClient.make((request, _url, given) => {
      signal = given
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("hello")))
    })
    return Effect.gen(function*() {
      yield* check
      assert.strictEqual(signal?.aborted, true)
    }).pipe(Effect.provide(HttpProbe.layer().pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))))
  })

  it.effect("names a host to a backend that has none, on a unix socket", () => {
    const sent: Array<HttpClientRequest> = []
    return Effect.gen(function*() {
      yield* Effect.flatMap(Probe, (probe) => probe.check(Backend.make("unix:/run/app.sock")))
      assert.strictEqual(sent[0]?.headers.host, "localhost")
    }).pipe(probing(status(200), undefined, sent))
  })

  it.effect("does not follow a redirect", () => {
    const sent: Array<HttpClientRequest> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* check, "status: 302")
      assert.strictEqual(sent.length, 1)
    }).pipe(probing(status(302, { headers: { location: "http://localhost:3001/login" } }), undefined, sent))
  })

  it.effect("fails with the words of the engine", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(check)).message, "Connection refused")
    }).pipe(probing(broken(TransportFailure.make({ reason: "connect_failed", message: "Connection refused" })))))

  it.effect("says something also of an engine that gives no cause", () =>
    Effect.gen(function*() {
      assert.include((yield* Effect.flip(check)).message, "socket hang up")
    }).pipe(probing(broken())))

  it.effect("fails, and does not die, when the path makes no URL", () =>
    Effect.gen(function*() {
      assert.instanceOf(yield* Effect.flip(check), ProbeFailed)
    }).pipe(probing((request) => Effect.fail(new HttpClientError({ reason: new InvalidUrlError({ request }) })))))

  it.effect("gives up the request when it is given up itself", () => {
    let aborted = 0
    const silent: Answer = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => aborted++))
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(check, { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(aborted, 1)
    }).pipe(probing(silent))
  })

  it.effect("reads a body to its end, so that the connection can be used again", () => {
    let ended = false
    const answer: Answer = () =>
      Effect.sync(() =>
        new Response(
          new ReadableStream({
            pull(controller) {
              if (ended) return
              ended = true
              controller.enqueue(new TextEncoder().encode("ok"))
              controller.close()
            }
          })
        )
      )
    return Effect.gen(function*() {
      assert.strictEqual(yield* check, "status: 200")
      assert.isTrue(ended)
    }).pipe(probing(answer))
  })

  it.effect("does not read an endless body for ever, and lets go of it", () => {
    let chunks = 0
    let cancelled = false
    const answer: Answer = () =>
      Effect.sync(() =>
        new Response(
          new ReadableStream({
            pull(controller) {
              chunks++
              controller.enqueue(new Uint8Array(1024))
            },
            cancel() {
              cancelled = true
            }
          })
        )
      )
    return Effect.gen(function*() {
      assert.strictEqual(yield* check, "status: 200")
      assert.isBelow(chunks, 100)
      assert.isTrue(cancelled)
    }).pipe(probing(answer))
  })

  it.effect("has not passed when the body stops in the middle, and gives that up as well", () => {
    let cancelled = false
    const stalled = Latch.makeUnsafe()
    let isFirst = true
    const answer: Answer = () =>
      Effect.sync(() =>
        new Response(
          new ReadableStream({
            pull(controller) {
              if (isFirst) controller.enqueue(new Uint8Array(1))
              else stalled.openUnsafe()
              isFirst = false
            },
            cancel() {
              cancelled = true
            }
          })
        )
      )
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(check, { startImmediately: true })
      yield* stalled.await
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
      assert.isTrue(cancelled)
    }).pipe(probing(answer))
  })

  it.effect("fails when the body breaks off", () => {
    const answer: Answer = () =>
      Effect.sync(() =>
        new Response(new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) }))
      )
    return Effect.gen(function*() {
      assert.instanceOf(yield* Effect.flip(check), ProbeFailed)
    }).pipe(probing(answer))
  })

  it.effect("asks as the options say: method, fields, host, and another place than that of the traffic", () => {
    const sent: Array<HttpClientRequest> = []
    return Effect.gen(function*() {
      yield* check
      assert.deepStrictEqual([sent[0]?.method, sent[0]?.url], ["OPTIONS", "http://agent.local:9000/up"])
      assert.deepStrictEqual({ ...sent[0]?.headers }, {
        accept: "text/plain",
        authorization: "Bearer very secret",
        host: "shop.example",
        "user-agent": "evenkeel-health-check"
      })
    }).pipe(probing(
      status(200),
      {
        path: "/up",
        method: "OPTIONS",
        headers: [{ name: "Authorization", value: "Bearer very secret" }, { name: "Accept", value: "text/plain" }],
        host: "shop.example",
        address: "agent.local",
        port: 9000
      },
      sent
    ))
  })

  it.effect.each<readonly [code: number, passes: boolean]>([
    [200, true],
    [201, false],
    [401, true],
    [302, false],
    [500, true],
    [503, true],
    [504, false]
  ])("passes with the statuses of the options only: %o", ([code, passes]) =>
    Effect.gen(function*() {
      const result = yield* Effect.result(check)
      assert.strictEqual(result._tag, passes ? "Success" : "Failure")
    }).pipe(probing(status(code), {
      ...HttpProbe.defaultOptions,
      status: [{ first: 200, last: 200 }, { first: 401, last: 401 }, { first: 500, last: 503 }]
    })))

  const wanting = (body: string): HttpProbe.Options => ({ ...HttpProbe.defaultOptions, body })

  /** Answers with these chunks, and then never ends if it is told to. */
  const chunks = (texts: ReadonlyArray<string | Uint8Array>, isEndless = false): Answer => () =>
    Effect.sync(() => {
      const rest = [...texts]
      return new Response(
        new ReadableStream({
          pull(controller) {
            const next = rest.shift()
            if (next !== undefined) {
              return controller.enqueue(typeof next === "string" ? new TextEncoder().encode(next) : next)
            }
            if (!isEndless) return controller.close()
            controller.enqueue(new Uint8Array(1024).fill(46))
          }
        })
      )
    })

  it.effect.each([
    [["all is well"]],
    [["database: ok, all is", " well"]]
  ])("passes when the text is in the body, however it comes: %j", ([texts]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* check, "status: 200")
    }).pipe(probing(chunks(texts ?? []), wanting("all is well"))))

  it.effect("finds a text of which a character is cut in two", () => {
    const bytes = new TextEncoder().encode("all is w\u00fcll")
    return Effect.gen(function*() {
      assert.strictEqual(yield* check, "status: 200")
    }).pipe(probing(chunks([bytes.subarray(0, 9), bytes.subarray(9)]), wanting("w\u00fcll")))
  })

  it.effect.each<readonly [what: string, answer: Answer, body: string, message: string]>([
    ["is not there", chunks(["all is lost"]), "well", "status: 200, but no \"well\" in the body"],
    ["is written otherwise", chunks(["Well"]), "well", "status: 200, but no \"well\" in the body"],
    ["is looked for in nothing", status(200), "well", "status: 200, but no \"well\" in the body"],
    [
      "does not come soon",
      chunks(["x".repeat(65_535), "well"]),
      "well",
      "status: 200, but no \"well\" in the first 64 KiB of the body"
    ],
    ["never comes", chunks([], true), "a\nb", "status: 200, but no \"a\\nb\" in the first 64 KiB of the body"],
    [
      "is long",
      chunks(["short"]),
      "long ".repeat(20),
      `status: 200, but no "${"long ".repeat(11)}long... in the body`
    ],
    ["comes with another status", () => Effect.sync(() => new Response("well", { status: 500 })), "well", "status: 500"]
  ])("fails and says what was missing when the text %s", ([, answer, body, message]) =>
    Effect.gen(function*() {
      assert.deepInclude(yield* Effect.flip(check), { _tag: "ProbeFailed", message, answered: true })
    }).pipe(probing(answer, wanting(body))))

  it.effect("finds a text that begins within the first 64 KiB and ends there", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* check, "status: 200")
    }).pipe(probing(chunks([`${"x".repeat(65_532)}well`, "and more"], true), wanting("well"))))

  it.effect("learns nothing about the backend from a lack of its own", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* Effect.flip(check), { _tag: "ProbeSkipped", message: "Too many open files" })
    }).pipe(probing(broken(TransportFailure.make({ reason: "overloaded", message: "Too many open files" })))))
})
