/** What surrounds the handlers of an application: context, middleware, tracing, routers and the scope of a request. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { value } from "../e2e/support/Peer.ts"
import { assert, onEachServer } from "./support/Rows.ts"
import { ask, connect, exchange, head, post } from "./support/Serving.ts"

class Greeting extends Context.Service<Greeting, string>()("test/contract/Greeting") {}

const hello = Effect.succeed(HttpServerResponse.text("hello"))

onEachServer("an application", (row) => {
  row(
    "has the services that were there when it was served",
    Effect.gen(function*() {
      const app = Effect.map(Greeting, (greeting) => HttpServerResponse.text(greeting))
      const answer = yield* Effect.provideService(ask(app), Greeting, "good day")
      assert.strictEqual(answer.body.toString(), "good day")
    })
  )

  row(
    "runs its middleware around the whole exchange",
    Effect.gen(function*() {
      const seen = yield* Deferred.make<number>()
      yield* HttpServer.serveEffect(
        hello,
        (app) => Effect.tap(app, (response) => Deferred.succeed(seen, response.status))
      )
      assert.strictEqual((yield* exchange(head("GET /"))).body.toString(), "hello")
      assert.strictEqual(yield* Deferred.await(seen), 200)
    })
  )

  row(
    "is answered for by its middleware when that does not ask it",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(hello, (_) => Effect.succeed(HttpServerResponse.text("no", { status: 403 })))
      const answer = yield* exchange(head("GET /"))
      assert.deepStrictEqual([answer.status, answer.body.toString()], [403, "no"])
    })
  )

  row(
    "is not answered for again when its middleware fails after it",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(hello, (app) => Effect.andThen(app, Effect.fail("too late")))
      const peer = yield* connect
      for (let i = 0; i < 2; i++) {
        assert.strictEqual((yield* Effect.promise(() => peer.exchange(head("GET /")))).body.toString(), "hello")
      }
    })
  )

  row(
    "whose middleware fails before it is answered for with 500",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(hello, (app) => Effect.andThen(Effect.fail("too early"), app))
      assert.strictEqual((yield* exchange(head("GET /"))).status, 500)
    })
  )

  row(
    "is logged by the logger with method, path and status",
    Effect.gen(function*() {
      const logged = yield* Deferred.make<Readonly<Record<string, unknown>>>()
      const logger = Logger.make(({ fiber }) => {
        Deferred.doneUnsafe(logged, Exit.succeed(fiber.getRef(References.CurrentLogAnnotations)))
      })
      yield* HttpServer.serveEffect(
        Effect.succeed(HttpServerResponse.empty({ status: 404 })),
        HttpMiddleware.logger
      ).pipe(Effect.provide(Logger.layer([logger])))
      yield* exchange(post("x").replace("/", "/a?b"))
      assert.deepStrictEqual({ ...(yield* Deferred.await(logged)) }, {
        "http.method": "POST",
        "http.url": "/a",
        "http.status": 404
      })
    })
  )

  row(
    "may change its responses on their way, last handler last",
    Effect.gen(function*() {
      const append = (letter: string) =>
        HttpEffect.appendPreResponseHandler((_, response) =>
          Effect.succeed(HttpServerResponse.setHeader(response, "x-a", `${response.headers["x-a"] ?? ""}${letter}`))
        )
      const answer = yield* ask(Effect.andThen(Effect.all([append("1"), append("2")]), hello))
      assert.strictEqual(value(answer, "x-a"), "12")
    })
  )

  row(
    "may change the responses to its failures too",
    Effect.gen(function*() {
      const app = HttpEffect.withPreResponseHandler(
        Effect.fail("a reason"),
        (_, response) => Effect.succeed(HttpServerResponse.setHeader(response, "x-status", `${response.status}`))
      )
      const answer = yield* ask(app)
      assert.deepStrictEqual([answer.status, value(answer, "x-status")], [500, "500"])
    })
  )

  row(
    "may be a router",
    Effect.gen(function*() {
      const routes = Layer.mergeAll(
        HttpRouter.add(
          "GET",
          "/users/:id",
          Effect.map(HttpRouter.params, ({ id }) => HttpServerResponse.text(`${id}`))
        ),
        HttpRouter.add(
          "POST",
          "/users",
          (request) => Effect.map(request.json, (json) => HttpServerResponse.jsonUnsafe(json, { status: 201 }))
        ),
        HttpRouter.add("GET", "/fail", Effect.fail("a reason"))
      )
      yield* Layer.build(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }))
      const peer = yield* connect
      for (
        const [request, status, body] of [
          [head("GET /users/a%20b?c"), 200, "a b"],
          [post("[1]").replace("/", "/users"), 201, "[1]"],
          [head("GET /nobody"), 404, ""],
          [head("GET /fail"), 500, ""],
          [head("DELETE /users/1"), 404, ""]
        ] as const
      ) {
        const answer = yield* Effect.promise(() => peer.exchange(request))
        assert.deepStrictEqual([answer.status, answer.body.toString()], [status, body])
      }
      const answer = yield* Effect.promise(() => peer.exchange(head("HEAD /users/7"), { noBody: true }))
      assert.deepStrictEqual([answer.status, value(answer, "content-length")], [200, "1"])
    })
  )
})

/** A tracer that tells of the spans that have ended. */
const ended = Effect.gen(function*() {
  const span = yield* Deferred.make<{ readonly span: Tracer.Span; readonly exit: Exit.Exit<unknown, unknown> }>()
  class Told extends Tracer.NativeSpan {
    override end(endTime: bigint, exit: Exit.Exit<unknown, unknown>): void {
      super.end(endTime, exit)
      Deferred.doneUnsafe(span, Exit.succeed({ span: this, exit }))
    }
  }
  return { span: Deferred.await(span), tracer: Tracer.make({ span: (options) => new Told(options) }) }
})

const traceId = "0af7651916cd43dd8448eb211c80319c"
const traceparent = `traceparent: 00-${traceId}-b7ad6b7169203331-01`

onEachServer("a span of the server", (row) => {
  row(
    "has the method as its name, and says what was asked and answered",
    Effect.gen(function*() {
      const { span: told, tracer } = yield* ended
      const request = head("GET /a?b=c", "User-Agent: test")
      yield* Effect.provideService(ask(Effect.succeed(HttpServerResponse.empty()), request), Tracer.Tracer, tracer)
      const { exit, span } = yield* told
      assert.deepStrictEqual([span.name, span.kind, exit._tag], ["GET", "server", "Success"])
      const { attributes } = span
      assert.strictEqual(attributes.get("http.request.method"), "GET")
      assert.strictEqual(attributes.get("url.path"), "/a")
      assert.strictEqual(attributes.get("url.full"), "http://example.com/a?b=c")
      assert.strictEqual(attributes.get("user_agent.original"), "test")
      assert.strictEqual(attributes.get("client.address"), "127.0.0.1")
      assert.strictEqual(attributes.get("http.response.status_code"), 204)
    })
  )

  for (
    const [format, field] of [
      ["W3C", traceparent],
      ["B3", `b3: ${traceId}-b7ad6b7169203331-1`]
    ] as const
  ) {
    row(
      `has the parent that the client names, in the format of ${format}`,
      Effect.gen(function*() {
        const { span: told, tracer } = yield* ended
        yield* Effect.provideService(ask(hello, head("GET /", field)), Tracer.Tracer, tracer)
        const { span } = yield* told
        assert.strictEqual(span.traceId, traceId)
        assert.strictEqual(Option.getOrThrow(span.parent).spanId, "b7ad6b7169203331")
      })
    )
  }

  row(
    "is the parent of spans of the handler, whatever span there was when it was served",
    Effect.gen(function*() {
      const { span: told, tracer } = yield* ended
      const app = Effect.flatMap(Effect.currentSpan, ({ spanId }) => Effect.succeed(HttpServerResponse.text(spanId)))
      const answer = yield* Effect.provideService(ask(app), Tracer.Tracer, tracer)
      assert.strictEqual(answer.body.toString(), (yield* told).span.spanId)
    })
  )

  row(
    "fails when the answer is 500",
    Effect.gen(function*() {
      const { span: told, tracer } = yield* ended
      yield* Effect.provideService(ask(Effect.fail("a reason")), Tracer.Tracer, tracer)
      const { exit, span } = yield* told
      assert.deepStrictEqual([exit._tag, span.attributes.get("http.response.status_code")], ["Failure", 500])
    })
  )

  row(
    "lasts until the body is sent",
    Effect.gen(function*() {
      const { span: told, tracer } = yield* ended
      const proceed = yield* Latch.make()
      const bytes = new Uint8Array([1])
      const stream = Stream.concat(Stream.make(bytes), Stream.fromEffect(Effect.as(proceed.await, bytes)))
      yield* Effect.provideService(
        HttpServer.serveEffect(Effect.succeed(HttpServerResponse.stream(stream))),
        Tracer.Tracer,
        tracer
      )
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* Effect.promise(() => peer.until(() => peer.unread.endsWith("\x01\r\n"), "the first byte"))
      assert.isUndefined((yield* Effect.forkChild(told)).pollUnsafe())
      yield* proceed.open
      assert.strictEqual((yield* told).exit._tag, "Success")
    })
  )

  row(
    "is not made where tracing is disabled",
    Effect.gen(function*() {
      const { tracer } = yield* ended
      const app = Effect.map(Effect.option(Effect.currentSpan), (span) => HttpServerResponse.text(span._tag))
      const answer = yield* ask(app).pipe(
        Effect.provideService(HttpMiddleware.TracerDisabledWhen, ({ url }) => url === "/"),
        Effect.provideService(Tracer.Tracer, tracer)
      )
      assert.strictEqual(answer.body.toString(), "None")
    })
  )
})
