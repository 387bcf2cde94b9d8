/** How long connections and servers last. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Peer, value } from "../e2e/support/Peer.ts"
import { anyPort, assert, onEachServer } from "./support/Rows.ts"
import { type App, connect, exchange, hang, head, isClientAbort, notSoon, port, post } from "./support/Serving.ts"
import type { Server } from "./support/Subjects.ts"

onEachServer("a connection", (row) => {
  const url = Effect.map(HttpServerRequest, ({ url }) => HttpServerResponse.text(url))

  row(
    "serves many requests, one after the other",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(url)
      const peer = yield* connect
      for (const path of ["/a", "/b", "/c"]) {
        assert.strictEqual((yield* Effect.promise(() => peer.exchange(head(`GET ${path}`)))).body.toString(), path)
      }
    })
  )

  row(
    "serves requests that were sent without waiting, in order",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(url)
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /a") + post("x") + head("GET /c")))
      const answers = yield* Effect.promise(async () => [
        await peer.response(),
        await peer.response(),
        await peer.response()
      ])
      assert.deepStrictEqual(answers.map(({ body }) => body.toString()), ["/a", "/", "/c"])
    })
  )

  row(
    "is one of many that are served at once",
    Effect.gen(function*() {
      const all = yield* Latch.make()
      let waiting = 0
      yield* HttpServer.serveEffect(Effect.gen(function*() {
        if (++waiting === 50) yield* all.open
        yield* all.await
        return yield* url
      }))
      const paths = Array.from({ length: 50 }, (_, i) => `/${i}`)
      const answers = yield* Effect.forEach(paths, (path) => exchange(head(`GET ${path}`)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answers.map(({ body }) => body.toString()), paths)
    })
  )

  row(
    "is closed after the answer when the client says so",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(url)
      const peer = yield* connect
      yield* Effect.promise(() => peer.exchange(head("GET /", "Connection: close")))
      assert.strictEqual(yield* Effect.promise(() => peer.untilOver()), "ended")
    })
  )

  row(
    "holds a stream back while the client does not read",
    Effect.gen(function*() {
      const chunk = Buffer.alloc(2 ** 20)
      const total = 32
      const first = yield* Latch.make()
      const pulled = yield* Latch.make()
      const stream = Stream.range(1, total).pipe(
        Stream.tap((n) => n === 1 ? first.open : Effect.void),
        Stream.map(() => chunk),
        Stream.rechunk(1),
        Stream.ensuring(pulled.open)
      )
      yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.stream(stream)))
      const peer = yield* connect
      peer.socket.pause()
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* first.await
      yield* notSoon(pulled.await, "all of it was taken")
      peer.socket.resume()
      const answer = yield* Effect.promise(() => peer.response())
      assert.strictEqual(answer.body.length, total * chunk.length)
    })
  )
})

/** A server of its own that serves an application, with a way to close it. */
const running = Effect.fnUntraced(function*<E>(
  { layer }: Server,
  app: App<E, HttpServerRequest | Scope.Scope>,
  shutdownTimeout = Duration.seconds(10)
) {
  const scope = yield* Scope.make()
  const close = yield* Effect.cached(Scope.close(scope, Exit.void))
  yield* Effect.addFinalizer(() => close)
  const served = Layer.provideMerge(HttpServer.serve(app), layer({ ...anyPort, shutdownTimeout }))
  const context = yield* Layer.buildWithScope(Layer.fresh(served), scope)
  const at = yield* Effect.provideContext(port, context)
  const peer = yield* Effect.acquireRelease(
    Effect.promise(() => Peer.connect(at)),
    (peer) => Effect.sync(() => peer.destroy())
  )
  return { close, peer, port: at }
})

onEachServer("a server", (row, server) => {
  row(
    "says where it listens",
    Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      assert.strictEqual(HttpServer.formatAddress(address), `http://127.0.0.1:${yield* port}`)
      assert.isAbove(yield* port, 0)
    })
  )

  row(
    "whose port is taken fails with a ServeError",
    Effect.gen(function*() {
      const taken = yield* port
      const error = yield* Effect.flip(Layer.build(Layer.fresh(server.layer({ ...anyPort, port: taken }))))
      assert.strictEqual(error._tag, "ServeError")
      assert.propertyVal(error.cause, "code", "EADDRINUSE")
    })
  )

  row(
    "whose start is interrupted does not take its port after all",
    Effect.gen(function*() {
      const start = (listening = anyPort) =>
        Effect.scoped(
          Layer.build(Layer.fresh(server.layer(listening))).pipe(
            Effect.flatMap((context) => Effect.provideContext(port, context))
          )
        )
      const again = start({ ...anyPort, port: yield* start() })
      // It looks up the name of its address first.
      yield* Fiber.interrupt(yield* Effect.forkChild(again, { startImmediately: true }))
      yield* again
    }),
    { NodeHttpServer: "it listens when the name has been looked up" }
  )

  row(
    "that is closed refuses new connections and closes idle ones",
    Effect.gen(function*() {
      const { close, peer, port } = yield* running(server, Effect.succeed(HttpServerResponse.text("hello")))
      yield* Effect.promise(() => peer.exchange(head("GET /")))
      yield* close
      yield* Effect.promise(() => peer.untilOver())
      const refused = yield* Effect.exit(Effect.tryPromise(() => Peer.connect(port)))
      assert.isTrue(Exit.isFailure(refused))
    })
  )

  row(
    "that is closed finishes what is in flight, and is closed only then",
    Effect.gen(function*() {
      const started = yield* Latch.make()
      const proceed = yield* Latch.make()
      const app = Effect.as(Effect.andThen(started.open, proceed.await), HttpServerResponse.text("done"))
      const { close, peer } = yield* running(server, app)
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* started.await
      const closing = yield* Effect.forkScoped(close)
      yield* notSoon(Fiber.join(closing), "it did not wait")
      yield* proceed.open
      assert.strictEqual((yield* Effect.promise(() => peer.response())).body.toString(), "done")
      peer.destroy()
      yield* Fiber.join(closing)
    })
  )

  row(
    "that is closed closes connections after what was in flight on them",
    Effect.gen(function*() {
      const started = yield* Latch.make()
      const proceed = yield* Latch.make()
      const app = Effect.as(Effect.andThen(started.open, proceed.await), HttpServerResponse.text("done"))
      const { close, peer, port } = yield* running(server, app)
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* started.await
      yield* Effect.forkScoped(close)
      // It has begun to close when nobody can connect any more.
      yield* Effect.eventually(Effect.flip(Effect.tryPromise(() => Peer.connect(port))))
      yield* proceed.open
      yield* Effect.promise(() => peer.response())
      yield* Effect.promise(() => peer.untilOver()).pipe(
        Effect.timeout("500 millis"),
        Effect.ensuring(Effect.sync(() => peer.destroy()))
      )
    }),
    { NodeHttpServer: "it leaves that to its keep-alive timeout" }
  )

  row(
    "that is closed lets go of what takes too long, which is answered with 503",
    Effect.gen(function*() {
      const started = yield* Latch.make()
      const ended = yield* Deferred.make<Exit.Exit<never>>()
      const { close, peer } = yield* running(server, hang(started, ended), Duration.millis(50))
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* started.await
      yield* close
      const answer = yield* Effect.promise(() => peer.response())
      assert.deepStrictEqual([answer.status, value(answer, "content-length") ?? "0"], [503, "0"])
      assert.isFalse(isClientAbort(yield* Deferred.await(ended)))
    })
  )
})
