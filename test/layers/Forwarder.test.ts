import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Cookies from "effect/http/Cookies"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { strategies } from "../../src/layers/strategies/index.ts"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../src/layers/testing/FakeServer.ts"
import { AccessLog as AccessLogService, type Entry, pretty } from "../../src/services/AccessLog.ts"
import { Drain as DrainService } from "../../src/services/Drain.ts"
import { Forwarder as ForwarderService } from "../../src/services/Forwarder.ts"
import * as Message from "../../src/services/Message.ts"
import { Pool } from "../../src/services/Pool.ts"
import { Fakes, lab, receivedBy } from "./forwarder/Lab.ts"

const { breaksOff, delayed, handle, hangs, refuses, respond, unreachable } = FakeBackends
/** The numbers of a backend. */
const loadOf = (origin: string) =>
  Effect.gen(function*() {
    const { members } = yield* Ref.get((yield* Pool).state)
    return { ...members.find(({ endpoint }) => endpoint.backend.origin === origin)?.endpoint.load }
  })

/** Lets virtual time pass while a request runs, and gives the exit that it has by then, if it has one. */
const after = (ms: number, request: ReturnType<typeof FakeServer.request>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(request)
    yield* TestClock.adjust(ms)
    return fiber.pollUnsafe()
  })

/** Forwards a request without a server. Its exchange is over with the scope. */
const forward = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.flatMap(
    ForwarderService,
    ({ handle }) => Effect.provideService(handle, HttpServerRequest.HttpServerRequest, request)
  )

const stream = (...chunks: ReadonlyArray<string>): Stream.Stream<Uint8Array> =>
  Stream.fromIterable(chunks.map((chunk) => new TextEncoder().encode(chunk)))

describe("the log", () => {
  it.effect("has the client's address as people know it, whatever socket it came over", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* FakeServer.request("/", { from: "::ffff:203.0.113.9" })
      assert.deepInclude(entries.at(-1), { _tag: "Completed", client: "203.0.113.9" })
    }).pipe(Effect.provide(lab({ "http://a": respond("a") }, {}, entries)))
  })

  it.effect("that throws costs nobody an answer, and is a line every ten seconds", () => {
    const said: Array<unknown> = []
    const broken = Layer.succeed(AccessLogService, {
      write: () => {
        throw new Error("a bug")
      }
    })
    return Effect.gen(function*() {
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* FakeServer.request("/")).status, 200)
      assert.strictEqual((yield* loadOf("http://a")).inFlight, 0)
      const line = ["The access log has a bug; lines are lost", new Error("a bug")]
      yield* TestClock.adjust(9_999)
      yield* FakeServer.request("/")
      assert.deepStrictEqual(said, [line])
      yield* TestClock.adjust(1)
      yield* FakeServer.request("/")
      assert.deepStrictEqual(said, [line, line])
    }).pipe(Effect.provide(
      lab({ "http://a": respond("a") }, {}, broken).pipe(
        Layer.provideMerge(Logger.layer([Logger.make(({ message }) => said.push(message))]))
      )
    ))
  })
})

describe("a message that is forwarded", () => {
  it.effect("keeps its method, target, fields and body in both directions", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.patch("/a//b?x=%20&y=+", { headers: { "X-Mine": "1", accept: "text/x" } }).pipe(
        HttpClientRequest.bodyText("up", "text/up")
      )
      const reply = yield* FakeServer.request(request)
      assert.deepStrictEqual(
        [reply.status, reply.text, reply.headers["x-theirs"], reply.headers["content-type"]],
        [418, "down", "2", "text/down"]
      )
      const [seen] = yield* receivedBy("http://a")
      assert.deepStrictEqual([seen?.method, seen?.target, seen?.body], ["PATCH", "/a//b?x=%20&y=+", "up"])
      assert.deepInclude({ ...seen?.headers }, { "x-mine": "1", accept: "text/x", "content-type": "text/up" })
    }).pipe(Effect.provide(lab({
      "http://a": respond("down", { status: 418, headers: { "x-theirs": "2" }, contentType: "text/down" })
    }))))

  it.effect("gets no fields that nobody asked for", () =>
    Effect.gen(function*() {
      const reply = yield* FakeServer.request("http://shop.example/")
      assert.deepStrictEqual({ ...reply.headers }, { "content-type": "text/plain", "content-length": "2" })
      const [seen] = yield* receivedBy("http://a")
      assert.deepStrictEqual({ ...seen?.headers }, {
        host: "shop.example",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "shop.example"
      })
    }).pipe(Effect.provide(lab({ "http://a": respond("hi") }))))

  it.effect("loses what is about one connection only", () =>
    Effect.gen(function*() {
      const headers = {
        connection: "close, x-hop",
        "x-hop": "1",
        te: "trailers",
        "proxy-authorization": "secret",
        ok: "1"
      }
      const reply = yield* FakeServer.request(HttpClientRequest.get("/", { headers }))
      assert.deepStrictEqual(Object.keys(reply.headers).sort(), ["content-length", "content-type", "ok"])
      const [seen] = yield* receivedBy("http://a")
      assert.sameMembers(
        Object.keys(seen?.headers ?? {}).filter((name) => !name.startsWith("x-forwarded")),
        ["host", "ok"]
      )
    }).pipe(Effect.provide(lab({
      "http://a": respond("hi", {
        headers: {
          connection: "x-back",
          "x-back": "1",
          "keep-alive": "timeout=5",
          "proxy-authenticate": "Basic",
          ok: "1"
        }
      })
    }))))

  it.effect("believes X-Forwarded fields of a trusted proxy and of nobody else", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.get("/", {
        headers: { "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https" }
      })
      yield* FakeServer.request(request, { from: "10.0.0.1" })
      yield* FakeServer.request(request, { from: "192.0.2.1" })
      const seen = (yield* receivedBy("http://a")).map(({ headers }) => [
        headers["x-forwarded-for"],
        headers["x-forwarded-proto"]
      ])
      assert.deepStrictEqual(seen, [["203.0.113.9, 10.0.0.1", "https"], ["192.0.2.1", "http"]])
    }).pipe(
      Effect.provide(lab({ "http://a": respond("hi") }, { isTrustedProxy: (address) => address === "10.0.0.1" }))
    ))

  it.effect("believes nobody's X-Forwarded fields unless a program says whose", () =>
    Effect.gen(function*() {
      yield* FakeServer.request(HttpClientRequest.get("/", { headers: { "x-forwarded-for": "203.0.113.9" } }))
      const [seen] = yield* receivedBy("http://a")
      assert.strictEqual(seen?.headers["x-forwarded-for"], "127.0.0.1")
    }).pipe(Effect.provide(lab({ "http://a": respond("hi") }))))

  it.effect.each<readonly [who: string, url: string, (request: HttpServerRequest.HttpServerRequest) => typeof request]>(
    [
      ["whoever changed the request", "http://lb/", (request) => request.modify({ protocol: "https" })],
      ["the head of its engine", "http://lb/", (request) =>
        Message.attachRequestHead(request, {
          method: "GET",
          target: "/",
          fields: [],
          body: undefined,
          protocol: "https"
        })],
      ["its URL", "https://lb/", (request) => request]
    ]
  )("came over TLS if %s says so", ([, url, from]) =>
    Effect.gen(function*() {
      yield* forward(from(HttpServerRequest.fromWeb(new Request(url))))
      const [seen] = yield* receivedBy("http://a")
      assert.strictEqual(seen?.headers["x-forwarded-proto"], "https")
    }).pipe(Effect.provide(lab({ "http://a": respond("hi") }))))

  it.effect("comes from no proxy where the client has no address", () => {
    const asked: Array<string> = []
    const isTrustedProxy = (address: string) => asked.push(address) > 0
    return Effect.gen(function*() {
      const headers = { "x-forwarded-proto": "https" }
      yield* forward(HttpServerRequest.fromWeb(new Request("http://lb/", { headers })))
      const [seen] = yield* receivedBy("http://a")
      assert.deepStrictEqual([asked, seen?.headers["x-forwarded-proto"]], [[], "http"])
    }).pipe(Effect.provide(lab({ "http://a": respond("hi") }, { isTrustedProxy })))
  })

  it.effect("is kept for another try until its answer is certain, and no longer", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const body: Message.RequestBody = {
        keep: () => said.push("keep"),
        settle: () => said.push("settle"),
        whenComplete: (done) => done(),
        isWhole: true,
        isAwaited: false
      }
      const request = HttpServerRequest.fromWeb(new Request("http://lb/", { method: "PUT", body: "hello" }))
      const head = { method: "PUT", target: "/", fields: ["Content-Length", "5"], body }
      const { status } = yield* forward(Message.attachRequestHead(request, head))
      assert.deepStrictEqual([status, said], [200, ["keep", "settle"]])
    }).pipe(Effect.provide(lab({ "http://a": refuses, "http://b": respond("hi") }))))

  it.effect("names the backend as its host if the option says so", () =>
    Effect.gen(function*() {
      yield* FakeServer.request("http://shop.example/")
      const [seen] = yield* receivedBy("http://a:81")
      assert.deepStrictEqual([seen?.headers["host"], seen?.headers["x-forwarded-host"]], ["a:81", "shop.example"])
    }).pipe(Effect.provide(lab({ "http://a:81": respond("hi") }, { hostHeader: "backend" }))))

  it.effect("has a request body if its framing says so, whatever its method", () =>
    Effect.gen(function*() {
      const withText = HttpClientRequest.bodyText("body")
      const withStream = HttpClientRequest.setBody(HttpBody.stream(stream("bo", "dy")))
      yield* FakeServer.request(HttpClientRequest.get("/").pipe(withText))
      yield* FakeServer.request(HttpClientRequest.delete("/").pipe(withStream))
      yield* FakeServer.request(HttpClientRequest.post("/"))
      yield* FakeServer.request(HttpClientRequest.put("/").pipe(HttpClientRequest.setHeader("content-length", "0")))
      const seen = (yield* receivedBy("http://a")).map(({ body, headers, method }) => [
        method,
        headers["content-length"] ?? headers["transfer-encoding"],
        body
      ])
      assert.deepStrictEqual(seen, [
        ["GET", "4", "body"],
        ["DELETE", "chunked", "body"],
        ["POST", undefined, ""],
        ["PUT", "0", ""]
      ])
    }).pipe(Effect.provide(lab({ "http://a": respond("ok") }))))

  it.effect("may come from a web Request, which needs no framing to have a body", () =>
    Effect.gen(function*() {
      const { handle } = yield* ForwarderService
      const handler = HttpEffect.toWebHandler(handle)
      const body = new Request("http://x/up", { method: "POST", body: "web body" })
      assert.strictEqual(yield* Effect.promise(async () => (await handler(body)).text()), "ok")
      yield* Effect.promise(async () => (await handler(new Request("http://x/", { method: "POST" }))).text())
      const seen = (yield* receivedBy("http://a")).map((request) => [
        request.headers["transfer-encoding"],
        request.body,
        request.outcome
      ])
      assert.deepStrictEqual(seen, [["chunked", "web body", "success"], [undefined, "", "success"]])
      assert.deepInclude(yield* loadOf("http://a"), { inFlight: 0, total: 2, failed: 0 })
    }).pipe(Effect.provide(lab({ "http://a": respond("ok") }))))

  it.effect("keeps repeated Set-Cookie fields and their values", () => {
    const cookies = ["a=1; Path=/; HttpOnly", "b=x%20y; Max-Age=60; Secure; SameSite=Lax", "c=q=r"]
    return Effect.gen(function*() {
      assert.deepStrictEqual((yield* FakeServer.request("/")).setCookie, cookies)
    }).pipe(Effect.provide(lab({ "http://a": respond("hi", { cookies: Cookies.fromSetCookie(cookies) }) })))
  })

  it.effect("has no body after HEAD, 204 and 304, and the length that it would have", () =>
    Effect.gen(function*() {
      const head = yield* FakeServer.request(HttpClientRequest.head("/"))
      assert.deepStrictEqual([head.status, head.text, head.headers["content-length"]], [200, "", "5"])
      const { script } = yield* Fakes
      yield* script("http://a", respond("", { status: 204 }))
      const noContent = yield* FakeServer.request("/")
      assert.deepStrictEqual([noContent.status, noContent.text, noContent.headers["content-length"]], [
        204,
        "",
        undefined
      ])
      yield* script("http://a", respond("hello", { status: 304 }))
      const notModified = yield* FakeServer.request("/")
      assert.deepStrictEqual([notModified.status, notModified.text, notModified.headers["content-length"]], [
        304,
        "",
        "5"
      ])
    }).pipe(Effect.provide(lab({ "http://a": respond("hello") }))))

  it.effect("has no content type and no length if the backend sent none", () =>
    Effect.gen(function*() {
      const reply = yield* FakeServer.request("/")
      assert.deepStrictEqual([reply.text, { ...reply.headers }], ["no type", {}])
    }).pipe(Effect.provide(lab({
      "http://a": handle(() =>
        Effect.succeed(HttpServerResponse.removeHeader(
          HttpServerResponse.setBody(
            HttpServerResponse.empty({ status: 200 }),
            HttpBody.stream(stream("no ", "type"), "")
          ),
          "content-type"
        ))
      )
    }))))

  it.effect("may be empty", () =>
    Effect.gen(function*() {
      const reply = yield* FakeServer.request("/")
      assert.deepStrictEqual([reply.status, reply.text], [200, ""])
    }).pipe(
      Effect.provide(lab({ "http://a": handle(() => Effect.succeed(HttpServerResponse.empty({ status: 200 }))) }))
    ))

  it.effect("is refused when it cannot be forwarded, and no backend hears of it", () =>
    Effect.gen(function*() {
      const twice = HttpClientRequest.get("/", { headers: { "content-length": "1", "transfer-encoding": "chunked" } })
      assert.strictEqual((yield* FakeServer.request(twice)).status, 400)
      const gzip = HttpClientRequest.get("/", { headers: { "transfer-encoding": "gzip, chunked" } })
      assert.strictEqual((yield* FakeServer.request(gzip)).status, 501)
      assert.deepStrictEqual(yield* receivedBy("http://a"), [])
    }).pipe(Effect.provide(lab({ "http://a": respond("hi") }))))
})

describe("the count of exchanges", () => {
  it.effect("has each from its begin to its end, also those that wait", () =>
    Effect.gen(function*() {
      const { inFlight } = yield* ForwarderService
      const fibers = [
        yield* Effect.forkChild(FakeServer.request("/")),
        yield* Effect.forkChild(FakeServer.request("/"))
      ]
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* inFlight, 2)
      yield* Fiber.interrupt(fibers[0]!)
      assert.strictEqual(yield* inFlight, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* inFlight, 0)
    }).pipe(Effect.provide(lab({ "http://a": unreachable }))))
})

describe("a request that fails", () => {
  it.effect("goes to the next backend while nothing was sent, with its whole body", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const request = HttpClientRequest.post("/up").pipe(HttpClientRequest.setBody(HttpBody.stream(stream("bo", "dy"))))
      const exit = yield* after(2000, FakeServer.request(request))
      assert.strictEqual(exit && Exit.isSuccess(exit) && exit.value.text, "here")
      assert.strictEqual((yield* receivedBy("http://c"))[0]?.body, "body")
      assert.deepStrictEqual(entries.map(pretty), [
        "REQUEST: POST /up -> http://a",
        "REQUEST: POST /up -> http://b",
        "REQUEST: POST /up -> http://c",
        "RESPONSE: POST /up <- http://c [200] 2000ms, 3 tries (http://a connect_failed, http://b connect_timeout)"
      ])
      assert.deepInclude(yield* loadOf("http://a"), { inFlight: 0, total: 1, failed: 1, consecutiveFailures: 1 })
      assert.deepInclude(yield* loadOf("http://b"), { inFlight: 0, total: 1, failed: 1, consecutiveFailures: 1 })
      assert.deepInclude(yield* loadOf("http://c"), { inFlight: 0, total: 1, failed: 0, consecutiveFailures: 0 })
    }).pipe(Effect.provide(
      lab({ "http://a": refuses, "http://b": unreachable, "http://c": respond("here") }, {}, entries)
    ))
  })

  it.effect("because of a bug gets 500 and is in the log, with the defect", () => {
    const said: Array<unknown> = []
    const isTrustedProxy = () => {
      throw new Error("a bug")
    }
    return Effect.gen(function*() {
      const { status, text } = yield* FakeServer.request("/")
      assert.deepStrictEqual([status, text.split("\n").at(-2)], [500, "reason: internal_error"])
      assert.deepStrictEqual(said, [[["A request could not be forwarded"], new Error("a bug")]])
      const json = yield* FakeServer.request(HttpClientRequest.get("/", { headers: { accept: "application/json" } }))
      assert.deepInclude(JSON.parse(json.text), { status: 500, reason: "internal_error" })
    }).pipe(Effect.provide(
      lab({ "http://a": respond("a") }, { isTrustedProxy }).pipe(
        Layer.provideMerge(
          Logger.layer([Logger.make(({ cause, message }) => said.push([message, Cause.squash(cause)]))])
        )
      )
    ))
  })

  it.effect("because the balancer is stopped is no bug for the log", () => {
    const said: Array<unknown> = []
    return Effect.gen(function*() {
      const { handle } = yield* ForwarderService
      const request = HttpServerRequest.fromWeb(new Request("http://lb/"))
      const fiber = yield* handle.pipe(
        Effect.provideService(HttpServerRequest.HttpServerRequest, request),
        Effect.scoped,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(said, [])
    }).pipe(Effect.provide(
      lab({ "http://a": hangs }).pipe(
        Layer.provideMerge(Logger.layer([Logger.make(({ message }) => said.push(message))]))
      )
    ))
  })

  it.effect("to have a key goes to any backend, and the bug is in the log", () => {
    const said: Array<unknown> = []
    const hashKey = () => {
      throw new Error("a bug")
    }
    return Effect.gen(function*() {
      assert.strictEqual((yield* FakeServer.request("/")).status, 200)
      assert.deepStrictEqual(said, [[
        "The strategy or its key has a bug, so that anybody is taken",
        new Error("a bug")
      ]])
    }).pipe(Effect.provide(
      lab({ "http://a": respond("a") }, { hashKey, strategy: strategies.maglev }).pipe(
        Layer.provideMerge(Logger.layer([Logger.make(({ message }) => said.push(message))]))
      )
    ))
  })

  it.effect("gets 503 and a hint when there is no backend, in the form that the client accepts", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const text = yield* FakeServer.request("/x?secret=1")
      assert.deepStrictEqual([text.status, text.headers["retry-after"]], [503, "2"])
      assert.include(text.text, "reason: no_backend")
      const json = yield* FakeServer.request(HttpClientRequest.get("/x", { headers: { accept: "application/json" } }))
      assert.strictEqual(json.headers["content-type"], "application/problem+json")
      assert.deepInclude(JSON.parse(json.text), { status: 503, reason: "no_backend" })
      assert.strictEqual(entries.map(pretty)[0], "RESPONSE: GET /x <- no backend [503] 0ms no_backend")
    }).pipe(Effect.provide(lab({}, {}, entries)))
  })

  it.effect("is cut when the backend breaks off, and never looks complete", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const error = yield* Effect.flip(FakeServer.request("/"))
      assert.deepStrictEqual([error.status, error.text], [200, "hel"])
      assert.strictEqual(pretty(entries.at(-1)!), "RESPONSE: GET / <- http://a [200] 0ms reset_mid_body")
      assert.deepInclude(yield* loadOf("http://a"), { inFlight: 0, total: 1, failed: 1 })
    }).pipe(Effect.provide(lab({ "http://a": breaksOff(3, respond("hello")) }, {}, entries)))
  })
})

describe("a tunnel", () => {
  it.effect("is known to the drain of its backend until it is over", () => {
    const said: Array<string> = []
    const drain = Layer.succeed(DrainService, {
      drain: () => Effect.void,
      tunnel: ({ backend }) => {
        said.push(`opened to ${backend.origin}`)
        return () => said.push("over")
      }
    })
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const request = HttpServerRequest.fromWeb(new Request("http://lb/"))
      yield* Effect.provideService(forward(request), Scope.Scope, scope)
      assert.deepStrictEqual(said, ["opened to http://a"])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(said, ["opened to http://a", "over"])
      yield* FakeServer.request("/")
      assert.lengthOf(said, 2)
    }).pipe(Effect.provide(
      lab(
        {
          "http://a": handle(() => Effect.succeed(HttpServerResponse.empty({ status: 101 }))),
          "http://b": respond("b")
        },
        { drain }
      )
    ))
  })
})

describe("the books of an exchange", () => {
  it.effect("count it in flight until the last byte of the body", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const lastByte = yield* Deferred.make<void>()
      const body = Stream.concat(stream("first"), Stream.fromEffectDrain(Deferred.await(lastByte)))
      yield* (yield* Fakes).script(
        "http://a",
        delayed(30, handle(() => Effect.succeed(HttpServerResponse.stream(body))))
      )
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(1000)
      assert.deepInclude(yield* loadOf("http://a"), { inFlight: 1, total: 1 })
      assert.deepStrictEqual(entries.map(({ _tag }) => _tag), ["Sent"])
      yield* Deferred.succeed(lastByte, undefined)
      assert.strictEqual((yield* Fiber.join(fiber)).text, "first")
      assert.deepInclude(yield* loadOf("http://a"), { inFlight: 0, failed: 0 })
      assert.strictEqual(pretty(entries.at(-1)!), "RESPONSE: GET / <- http://a [200] 1000ms")
    }).pipe(Effect.provide(lab({ "http://a": hangs }, {}, entries)))
  })

  it.effect("say that the client left, before the head or after it, and do not blame the backend", () => {
    const entries: Array<Entry> = []
    const endless = handle(() => Effect.succeed(HttpServerResponse.stream(Stream.concat(stream("x"), Stream.never))))
    return Effect.gen(function*() {
      for (const origin of ["http://a", "http://b"]) {
        const fiber = yield* Effect.forkChild(FakeServer.request("/"))
        yield* TestClock.adjust(5)
        assert.strictEqual((yield* Fakes).inFlight(origin), 1)
        yield* Fiber.interrupt(fiber)
        assert.deepInclude(yield* loadOf(origin), { inFlight: 0, total: 1, failed: 0 })
        assert.strictEqual((yield* receivedBy(origin))[0]?.outcome, "aborted")
      }
      assert.deepStrictEqual(entries.map(pretty).filter((line) => line.startsWith("RESPONSE")), [
        "RESPONSE: GET / <- http://a [499] 5ms client_aborted",
        "RESPONSE: GET / <- http://b [200] 5ms client_aborted"
      ])
    }).pipe(Effect.provide(lab({ "http://a": hangs, "http://b": endless }, {}, entries)))
  })

  it.effect("say so when the balancer stops in the middle of it", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(lab({ "http://a": hangs }, {}, entries), scope)
      const fiber = yield* Effect.forkChild(Effect.provideContext(FakeServer.request("/"), context))
      yield* TestClock.adjust(5)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(fiber)).status, 503)
      assert.strictEqual(pretty(entries.at(-1)!), "RESPONSE: GET / <- http://a [503] 5ms draining")
    })
  })

  it.effect("take 502, 503 and 504 of a backend for failures, and any other status for an answer", () => {
    const statuses = [200, 302, 404, 500, 502, 503, 504]
    return Effect.gen(function*() {
      const { script } = yield* Fakes
      const failed: Array<number> = []
      for (const status of statuses) {
        const before = (yield* loadOf("http://a")).failed
        yield* script("http://a", respond("their own words", { status }))
        const reply = yield* FakeServer.request("/")
        assert.deepStrictEqual([reply.status, reply.text], [status, "their own words"])
        if ((yield* loadOf("http://a")).failed !== before) failed.push(status)
      }
      assert.deepStrictEqual(failed, [502, 503, 504])
      assert.deepInclude(yield* loadOf("http://a"), { inFlight: 0, total: statuses.length })
    }).pipe(Effect.provide(lab({ "http://a": hangs })))
  })

  it.effect("name the client and the path without its query", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* FakeServer.request("/a?token=secret", { from: "192.0.2.1" })
      assert.deepInclude(entries.at(-1), { _tag: "Completed", client: "192.0.2.1", path: "/a", tries: 1, status: 200 })
    }).pipe(Effect.provide(lab({ "http://a": respond("hi") }, {}, entries)))
  })
})
