/** What surrounds the handlers of an application: context, middleware, loggers and routers. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as ErrorReporter from "effect/ErrorReporter"
import * as Exit from "effect/Exit"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { gunzipSync, gzipSync } from "node:zlib"
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
      yield* HttpServer.serveEffect(hello, () => Effect.succeed(HttpServerResponse.text("no", { status: 403 })))
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
    "has its failures reported",
    Effect.gen(function*() {
      const reported = yield* Deferred.make<Cause.Cause<unknown>>()
      const reporter = ErrorReporter.make(({ cause }) => {
        Deferred.doneUnsafe(reported, Exit.succeed(cause))
      })
      const serve = Effect.andThen(ask(Effect.die("a defect")), Deferred.await(reported))
      const cause = yield* Effect.provide(serve, ErrorReporter.layer([reporter]))
      assert.include(cause.reasons.map((reason) => Cause.isDieReason(reason) && reason.defect), "a defect")
    })
  )

  row(
    "may see its clients through proxies that it trusts",
    Effect.gen(function*() {
      const app = Effect.map(
        HttpServerRequest,
        ({ peerAddress, remoteAddress }) =>
          HttpServerResponse.jsonUnsafe([Option.getOrNull(remoteAddress), Option.getOrNull(peerAddress)])
      )
      const answer = yield* ask(
        HttpMiddleware.xForwardedHeaders({ trustedProxies: () => true })(app),
        head("GET /", "X-Forwarded-For: 192.0.2.1")
      )
      assert.strictEqual(answer.body.toString(), "[\"192.0.2.1\",\"127.0.0.1\"]")
    })
  )

  row(
    "may compress its responses",
    Effect.gen(function*() {
      const body = "0123456789".repeat(1_000)
      const app = HttpMiddleware.compression()(Effect.succeed(HttpServerResponse.text(body)))
      const answer = yield* ask(app, head("GET /", "Accept-Encoding: gzip"))
      assert.strictEqual(value(answer, "content-encoding"), "gzip")
      assert.strictEqual(gunzipSync(answer.body).toString(), body)
    })
  )

  row(
    "may decompress its requests",
    Effect.gen(function*() {
      const app = Effect.flatMap(
        HttpServerRequest,
        ({ text }) => Effect.map(text, (text) => HttpServerResponse.text(text))
      )
      const body = gzipSync("hello").toString("latin1")
      const answer = yield* ask(HttpMiddleware.decompression()(app), post(body, "Content-Encoding: gzip"))
      assert.strictEqual(answer.body.toString(), "hello")
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
