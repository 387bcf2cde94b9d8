/** How long requests last, and what becomes of them when their client leaves. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import type { Peer } from "../e2e/support/Peer.ts"
import { assert, onEachServer } from "./support/Rows.ts"
import { ask, connect, exchange, hang, head, isClientAbort } from "./support/Serving.ts"

const byte = Stream.make(new Uint8Array([46]))

onEachServer("the scope of a request", (row) => {
  for (
    const [what, app, tag] of [
      ["succeeds", Effect.succeed(HttpServerResponse.text("hello")), "Success"],
      ["fails", Effect.fail("a reason"), "Failure"]
    ] as const
  ) {
    row(
      `is closed after the answer when the handler ${what}, and knows of it`,
      Effect.gen(function*() {
        const closed = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
        yield* ask(Effect.andThen(Effect.addFinalizer((exit) => Deferred.succeed(closed, exit)), app))
        assert.strictEqual((yield* Deferred.await(closed))._tag, tag)
      })
    )
  }

  row(
    "is open until the last byte of a stream is sent",
    Effect.gen(function*() {
      const log: Array<string> = []
      const closed = yield* Latch.make()
      const note = (what: string) => Effect.sync(() => void log.push(what))
      yield* ask(Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.andThen(note("scope"), closed.open))
        return HttpServerResponse.stream(Stream.concat(byte, Stream.unwrap(Effect.as(note("stream"), byte))))
      }))
      yield* closed.await
      assert.deepStrictEqual(log, ["stream", "scope"])
    })
  )

  row(
    "is open until the last byte of a Node stream is sent",
    Effect.gen(function*() {
      const ended = yield* Deferred.make<boolean>()
      yield* ask(Effect.gen(function*() {
        const body = Readable.from(["a", "b"])
        yield* Effect.addFinalizer(() => Deferred.succeed(ended, body.readableEnded))
        return HttpServerResponse.raw(body)
      }))
      assert.isTrue(yield* Deferred.await(ended))
    })
  )
})

onEachServer("a client that leaves", (row) => {
  for (
    const [how, leave] of [
      ["in good order", (peer: Peer) => peer.destroy()],
      ["with a reset", (peer: Peer) => peer.reset()]
    ] as const
  ) {
    row(
      `${how} interrupts the handler, which can tell why`,
      Effect.gen(function*() {
        const started = yield* Latch.make()
        const ended = yield* Deferred.make<Exit.Exit<never>>()
        yield* HttpServer.serveEffect(hang(started, ended))
        const peer = yield* connect
        yield* Effect.promise(() => peer.send(head("GET /")))
        yield* started.await
        leave(peer)
        assert.isTrue(isClientAbort(yield* Deferred.await(ended)))
      })
    )
  }

  row(
    "interrupts a route of a router, which need not say that it can be interrupted",
    Effect.gen(function*() {
      const started = yield* Latch.make()
      const ended = yield* Deferred.make<Exit.Exit<never>>()
      const route = Effect.andThen(started.open, Effect.never).pipe(
        Effect.onExit((exit) => Deferred.succeed(ended, exit))
      )
      yield* Layer.build(
        HttpRouter.serve(HttpRouter.add("GET", "/", route), { disableLogger: true, disableListenLog: true })
      )
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* started.await
      peer.destroy()
      assert.isTrue(isClientAbort(yield* Deferred.await(ended)))
    })
  )

  row(
    "does not interrupt a handler that has not said that it can be interrupted",
    Effect.gen(function*() {
      const started = yield* Latch.make()
      const proceed = yield* Latch.make()
      const ended = yield* Deferred.make<Exit.Exit<void>>()
      yield* HttpServer.serveEffect(Effect.gen(function*() {
        const { url } = yield* HttpServerRequest
        if (url === "/next") return HttpServerResponse.text("next")
        yield* started.open
        yield* Effect.onExit(proceed.await, (exit) => Deferred.succeed(ended, exit))
        return HttpServerResponse.text("for nobody")
      }))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* started.await
      peer.destroy()
      assert.strictEqual((yield* exchange(head("GET /next"))).body.toString(), "next")
      yield* proceed.open
      assert.strictEqual((yield* Deferred.await(ended))._tag, "Success")
      assert.strictEqual((yield* exchange(head("GET /next"))).body.toString(), "next")
    })
  )

  row(
    "closes the scope of the request",
    Effect.gen(function*() {
      const started = yield* Latch.make()
      const closed = yield* Latch.make()
      const ended = yield* Deferred.make<Exit.Exit<never>>()
      yield* HttpServer.serveEffect(Effect.andThen(Effect.addFinalizer(() => closed.open), hang(started, ended)))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* started.await
      peer.destroy()
      yield* closed.await
    })
  )

  row(
    "interrupts the stream of its answer",
    Effect.gen(function*() {
      const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      const stream = Stream.concat(byte, Stream.never).pipe(Stream.onExit((exit) => Deferred.succeed(ended, exit)))
      yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.stream(stream)))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* Effect.promise(() => peer.untilText("."))
      peer.destroy()
      assert(Exit.hasInterrupts(yield* Deferred.await(ended)))
    })
  )

  row(
    "destroys the Node stream of its answer",
    Effect.gen(function*() {
      const body = new Readable({ read: () => {} })
      body.push(".")
      body.on("error", () => {})
      yield* HttpServer.serveEffect(Effect.sync(() => HttpServerResponse.raw(body)))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* Effect.promise(() => peer.untilText("."))
      const closed = new Promise<void>((resolve) => body.once("close", () => resolve()))
      peer.destroy()
      yield* Effect.promise(() => closed)
    })
  )
})

const ends = "it ends the connection as after a whole answer"

onEachServer("a server that is closed while a request goes on", (row, server) => {
  /** Serves, lets something happen meanwhile, and closes the server. Clients stay until the end of the row. */
  const closing = <A, E, R>(
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest | Scope.Scope>,
    meanwhile: Effect.Effect<A, E, R>
  ) =>
    Effect.scoped(Effect.andThen(HttpServer.serveEffect(app), meanwhile)).pipe(
      Effect.provide(server.layer({ port: 0, shutdownTimeout: Duration.millis(50) }), { local: true })
    )

  row(
    "waits for the end of its handler, which still has what it uses",
    Effect.gen(function*() {
      const clients = yield* Effect.scope
      const log: Array<string> = []
      const note = (what: string) => Effect.sync(() => void log.push(what))
      const started = yield* Latch.make()
      const handler = Effect.andThen(started.open, Effect.never).pipe(
        Effect.onInterrupt(() => Effect.andThen(Effect.sleep("50 millis"), note("the handler has ended"))),
        Effect.interruptible
      )
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.addFinalizer(() => note("what it uses is closed"))
        yield* closing(
          handler,
          Effect.gen(function*() {
            const peer = yield* Scope.provide(connect, clients)
            yield* Effect.promise(() => peer.send(head("GET /")))
            yield* started.await
          })
        )
      }))
      assert.deepStrictEqual(log, ["the handler has ended", "what it uses is closed"])
    })
  )

  row(
    "sends what a handler that cannot be interrupted answers after all",
    Effect.gen(function*() {
      const clients = yield* Effect.scope
      const started = yield* Latch.make()
      const peer = yield* closing(
        Effect.andThen(started.open, Effect.as(Effect.sleep("200 millis"), HttpServerResponse.text("late"))),
        Effect.gen(function*() {
          const peer = yield* Scope.provide(connect, clients)
          yield* Effect.promise(() => peer.send(head("GET /")))
          yield* started.await
          return peer
        })
      )
      assert.strictEqual((yield* Effect.promise(() => peer.response())).body.toString(), "late")
    })
  )

  for (
    const [what, finalizer] of [
      ["at once", Effect.void],
      ["in the next turn", Effect.yieldNow],
      ["with a promise", Effect.promise(() => Promise.resolve())],
      ["after a while", Effect.sleep("20 millis")]
    ] as const
  ) {
    row(
      `cuts a stream whose finalizer ends ${what}, so that it does not look complete (RFC 9112 §8)`,
      Effect.gen(function*() {
        const clients = yield* Effect.scope
        const stream = Stream.concat(byte, Stream.never).pipe(Stream.ensuring(finalizer))
        const peers = yield* closing(
          Effect.succeed(HttpServerResponse.stream(stream)),
          Effect.gen(function*() {
            const peers = [yield* Scope.provide(connect, clients), yield* Scope.provide(connect, clients)]
            yield* Effect.promise(() => peers[0]!.send(head("GET /")))
            yield* Effect.promise(() => peers[1]!.send(head("GET /").replace("HTTP/1.1", "HTTP/1.0")))
            for (const peer of peers) yield* Effect.promise(() => peer.untilText("."))
            return peers
          })
        )
        for (const peer of peers) assert.strictEqual(yield* Effect.promise(() => peer.untilOver()), "reset")
      }),
      { NodeHttpServer: ends, "NodeEngine.layerServer": ends }
    )
  }
})
