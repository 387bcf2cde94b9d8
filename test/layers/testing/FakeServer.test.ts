import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Cookies from "effect/http/Cookies"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import { ClientAbort } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { inspect } from "node:util"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import * as PlatformResponse from "../../../src/services/PlatformResponse.ts"

type App = Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, HttpServerRequest | Scope.Scope>

const serving = (app: App) => HttpServer.serve(app).pipe(Layer.provideMerge(FakeServer.layer))

const encoder = new TextEncoder()

const bytes = (text: string): Stream.Stream<Uint8Array> => Stream.succeed(encoder.encode(text))

describe("FakeServer", () => {
  it.effect("shows an application what a client has sent", () =>
    Effect.gen(function*() {
      const get = yield* FakeServer.request("/a//b/../c?x=%20&y")
      assert.strictEqual(get.text, "GET /a//b/../c?x=%20&y localhost - 127.0.0.1 ")
      const post = HttpClientRequest.post("http://shop.example:81/cart", { urlParams: { x: "1" } }).pipe(
        HttpClientRequest.bodyText("hi")
      )
      assert.strictEqual(
        (yield* FakeServer.request(post, { from: "192.0.2.7" })).text,
        "POST /cart?x=1 shop.example:81 2 192.0.2.7 hi"
      )
      assert.strictEqual((yield* FakeServer.request("http://a:80?x")).text, "GET /?x a - 127.0.0.1 ")
      const upload = HttpClientRequest.put("/up").pipe(HttpClientRequest.setBody(HttpBody.stream(bytes("stream"))))
      assert.strictEqual((yield* FakeServer.request(upload)).text, "PUT /up localhost chunked 127.0.0.1 stream")
    }).pipe(Effect.provide(serving(Effect.gen(function*() {
      const { headers, method, remoteAddress, text, url } = yield* HttpServerRequest
      const framing = headers["content-length"] ?? headers["transfer-encoding"] ?? "-"
      const from = Option.getOrElse(remoteAddress, () => "nobody")
      return HttpServerResponse.text(`${method} ${url} ${headers["host"]} ${framing} ${from} ${yield* text}`)
    })))))

  it.effect("gives back the status, the headers, the cookies and the text", () =>
    Effect.gen(function*() {
      const reply = yield* FakeServer.request("/")
      assert.deepStrictEqual({ ...reply, headers: { ...reply.headers } }, {
        status: 201,
        headers: { "content-type": "text/plain", "content-length": "7", "x-name": "value" },
        setCookie: ["a=1", "b=2; Path=/"],
        text: "created"
      })
    }).pipe(Effect.provide(serving(Effect.succeed(HttpServerResponse.text("created", {
      status: 201,
      headers: { "x-name": "value" },
      cookies: Cookies.fromSetCookie(["a=1", "b=2; Path=/"])
    }))))))

  it.effect("gives back headers that print as what they are, whatever engine they came through", () =>
    Effect.gen(function*() {
      const { headers } = yield* FakeServer.request("/")
      assert.strictEqual(inspect(headers, { showProxy: true }), inspect({ "x-name": "value" }))
    }).pipe(Effect.provide(serving(Effect.succeed(
      PlatformResponse.toClient(
        { status: 200, statusText: "", fields: ["X-Name", "value"], body: undefined },
        () => bytes("text")
      )
    )))))

  it.effect("names a target that is none", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(FakeServer.request("orders/1"))
      const cause = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "no failure"
      assert.include(cause, "orders/1 is no target of a request, such as /search?q=1")
    }).pipe(Effect.provide(serving(Effect.succeed(HttpServerResponse.empty())))))

  it.effect("reads no body after HEAD, 204 and 304", () =>
    Effect.gen(function*() {
      const head = yield* FakeServer.request(HttpClientRequest.head("/200"))
      assert.deepStrictEqual([head.text, head.headers["content-length"]], ["", "4"])
      assert.strictEqual((yield* FakeServer.request("/204")).text, "")
      assert.strictEqual((yield* FakeServer.request("/304")).text, "")
    }).pipe(Effect.provide(serving(Effect.map(HttpServerRequest, (request) =>
      HttpServerResponse.text("text", { status: Number(request.url.slice(1)) }))))))

  it.effect("closes the request's scope after the last byte, not before", () => {
    const events: Array<string> = []
    const say = (event: string) => Effect.sync(() => void events.push(event))
    const app = Effect.gen(function*() {
      yield* Effect.addFinalizer((exit) => say(`closed: ${exit._tag}`))
      return HttpServerResponse.stream(Stream.onEnd(bytes("body"), say("last byte")))
    })
    return Effect.gen(function*() {
      yield* FakeServer.request("/")
      assert.deepStrictEqual(events, ["last byte", "closed: Success"])
    }).pipe(Effect.provide(serving(app)))
  })

  it.effect("never lets a response that broke off, or has another length than it says, look complete", () => {
    const exits: Array<Exit.Exit<unknown, unknown>> = []
    const responses: Record<string, HttpServerResponse.HttpServerResponse> = {
      "/broken": HttpServerResponse.stream(Stream.concat(bytes("begin"), Stream.fail("broken"))),
      "/short": HttpServerResponse.stream(bytes("begin"), { contentLength: 6 }),
      "/long": HttpServerResponse.stream(bytes("begin"), { contentLength: 4 })
    }
    const app = Effect.gen(function*() {
      yield* Effect.addFinalizer((exit) => Effect.sync(() => void exits.push(exit)))
      return responses[(yield* HttpServerRequest).url]!
    })
    return Effect.gen(function*() {
      for (const path of Object.keys(responses)) {
        const error = yield* Effect.flip(FakeServer.request(path))
        assert.deepStrictEqual([error._tag, error.status, error.text], ["Truncated", 200, "begin"])
      }
      assert.deepStrictEqual(exits.map((exit) => exit._tag), ["Failure", "Failure", "Failure"])
    }).pipe(Effect.provide(serving(app)))
  })

  it.effect("interrupts an application whose client leaves, before the head and after it", () => {
    const exits: Array<Exit.Exit<unknown, unknown>> = []
    const app = Effect.gen(function*() {
      yield* Effect.addFinalizer((exit) => Effect.sync(() => void exits.push(exit)))
      if ((yield* HttpServerRequest).url === "/head") return yield* Effect.never
      return HttpServerResponse.stream(Stream.never)
    })
    return Effect.gen(function*() {
      for (const path of ["/head", "/body"]) {
        const fiber = yield* Effect.forkChild(FakeServer.request(path))
        yield* TestClock.adjust("1 second")
        assert.isUndefined(fiber.pollUnsafe())
        yield* Fiber.interrupt(fiber)
      }
      const causes = exits.map((exit) => (Exit.isFailure(exit) ? exit.cause : Cause.empty))
      const byClient = causes.map((cause) =>
        cause.reasons.some((reason) => Cause.isInterruptReason(reason) && reason.annotations.has(ClientAbort.key))
      )
      assert.deepStrictEqual(byClient, [true, true])
    }).pipe(Effect.provide(serving(app)))
  })

  it.effect("interrupts what is in flight when the server goes", () =>
    Effect.gen(function*() {
      const reply = yield* Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(serving(Effect.never))
        const request = Effect.provideContext(FakeServer.request("/"), context)
        return yield* Effect.forkDetach(request, { startImmediately: true })
      }))
      assert.strictEqual((yield* Fiber.join(reply)).status, 503)
    }))

  it.effect("answers 500 for an application that fails or throws", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* FakeServer.request("/fail")).status, 500)
      assert.strictEqual((yield* FakeServer.request("/die")).status, 500)
    }).pipe(Effect.provide(serving(Effect.flatMap(HttpServerRequest, ({ url }) =>
      url === "/fail" ? Effect.fail("no") : Effect.die(new Error("oh no")))))))

  it.effect("says so when nothing is served", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(FakeServer.request("/"))
      assert.isTrue(Exit.hasDies(exit))
    }).pipe(Effect.provide(FakeServer.layer)))
})
