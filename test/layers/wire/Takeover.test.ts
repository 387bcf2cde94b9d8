/** Connections that go on in another protocol, as applications have them on both sides of the wire engine. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { Takeover } from "../../../src/layers/wire/Takeover.ts"
import * as WireClient from "../../../src/layers/wire/WireClient.ts"
import * as WireServer from "../../../src/layers/wire/WireServer.ts"
import { backend } from "../../contract/support/Backends.ts"
import { connect, head } from "../../contract/support/Serving.ts"
import { serveSocket, upgraded } from "../../contract/support/Upgrading.ts"
import { message, type Peer } from "../../e2e/support/Peer.ts"
import { FullSocket } from "./FullSocket.ts"

const server = WireServer.layer({ host: "127.0.0.1", port: 0, shutdownTimeout: "100 millis" })

const request = head("GET /", "Connection: upgrade", "Upgrade: echo/1")

/** All that comes up to the end. */
const readAll = Effect.fnUntraced(function*({ pull }: Socket.Reader) {
  let size = 0
  return yield* Effect.forever(Effect.map(pull, (pieces) => {
    for (const piece of pieces) size += piece.length
  })).pipe(Effect.catch(({ reason }) => Effect.succeed({ size, reason: reason._tag })))
})

const more = 8 * 1024 * 1024

describe("the connection of an upgrade", () => {
  it("owns what it has read, or says that it refers to it", () => {
    const takeover = new Takeover(new FullSocket())
    const small = Buffer.from("small")
    assert.isFalse(takeover.receive(small))
    small.fill("x")
    assert.strictEqual(String(takeover.read()), "small")
    const large = Buffer.alloc(10_000)
    assert.isTrue(takeover.receive(large))
  })

  it.live("can still be read when the application has said all", () =>
    Effect.gen(function*() {
      const read = yield* Deferred.make<{ readonly size: number }>()
      yield* serveSocket(Effect.fnUntraced(function*(socket) {
        const reader = yield* socket.reader
        yield* Effect.scoped(Effect.flatMap(socket.writer, ({ write }) => write("all")))
        yield* Deferred.succeed(read, yield* readAll(reader))
      }))
      const { peer } = yield* upgraded(request)
      yield* Effect.promise(() => peer.untilOver())
      yield* Effect.promise(() => peer.send("x".repeat(100_000)))
      peer.end()
      assert.strictEqual((yield* Deferred.await(read)).size, 100_000)
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("makes the peer wait when nobody reads", () =>
    Effect.gen(function*() {
      const proceed = yield* Latch.make()
      const read = yield* Deferred.make<{ readonly size: number }>()
      yield* serveSocket(Effect.fnUntraced(function*(socket) {
        const reader = yield* socket.reader
        yield* proceed.await
        yield* Deferred.succeed(read, yield* readAll(reader))
      }))
      const { peer } = yield* upgraded(request)
      const sending = peer.send("x".repeat(more))
      peer.end()
      // What the kernel takes is a matter of its buffers, so this is a matter of time.
      yield* Effect.sleep("100 millis")
      assert.isAbove(peer.socket.writableLength, 0)
      yield* proceed.open
      yield* Effect.promise(() => sending)
      assert.strictEqual((yield* Deferred.await(read)).size, more)
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("makes the application wait when the peer does not read", () =>
    Effect.gen(function*() {
      let isWritten = false
      yield* serveSocket(Effect.fnUntraced(function*(socket) {
        yield* socket.reader
        const { write } = yield* socket.writer
        yield* write("x".repeat(more))
        isWritten = true
      }))
      const { peer } = yield* upgraded(request)
      peer.socket.pause()
      yield* Effect.sleep("100 millis")
      assert.isFalse(isWritten)
      peer.socket.resume()
      assert.strictEqual((yield* Effect.promise(() => peer.bytes(more))).length, more)
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("interrupts its handler when the client resets it", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<boolean>()
      yield* serveSocket((socket) =>
        Effect.andThen(socket.reader, Effect.never).pipe(
          Effect.onExit((exit) => Deferred.succeed(ended, Exit.hasInterrupts(exit))),
          Effect.interruptible
        )
      )
      const { peer } = yield* upgraded(request)
      peer.reset()
      assert.isTrue(yield* Deferred.await(ended))
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("can be taken once", () =>
    Effect.gen(function*() {
      const second = yield* Deferred.make<string>()
      yield* serveSocket((socket) =>
        Effect.andThen(socket.reader, Effect.flip(Effect.scoped(socket.reader))).pipe(
          Effect.flatMap(({ reason }) => Deferred.succeed(second, reason._tag))
        )
      )
      yield* upgraded(request)
      assert.strictEqual(yield* Deferred.await(second), "SocketOpenError")
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("is not taken when the client has left before", () =>
    Effect.gen(function*() {
      const started = yield* Latch.make()
      const left = yield* Latch.make()
      const ended = yield* Deferred.make<string>()
      yield* serveSocket((socket) =>
        Effect.andThen(Effect.andThen(started.open, left.await), Effect.flip(Effect.scoped(socket.reader))).pipe(
          Effect.flatMap(({ reason }) => Deferred.succeed(ended, reason._tag)),
          Effect.uninterruptible
        )
      )
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(request))
      yield* started.await
      peer.reset()
      yield* Effect.sleep("50 millis")
      yield* left.open
      assert.strictEqual(yield* Deferred.await(ended), "SocketOpenError")
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("of a WebSocket is closed with 1001 when the server is closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const closed = yield* Deferred.make<number>()
      yield* Effect.gen(function*() {
        yield* serveSocket((socket) => Effect.andThen(socket.reader, Effect.interruptible(Effect.never)))
        const { address } = yield* HttpServer.HttpServer
        assert(address._tag !== "UnixPathAddress")
        const socket = new WebSocket(`ws://127.0.0.1:${address.port}`)
        socket.addEventListener("close", ({ code }) => Deferred.doneUnsafe(closed, Effect.succeed(code)))
        yield* Effect.promise(() => new Promise((resolve) => socket.addEventListener("open", resolve)))
      }).pipe(Effect.provide(server), Scope.provide(scope))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Deferred.await(closed), 1001)
    }).pipe(Effect.scoped))
})

const switching = message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: echo/1")

const asked = Effect.fnUntraced(function*(script: (peer: Peer) => Promise<unknown>) {
  const made = yield* backend(async (peer) => {
    await peer.request()
    await peer.send(switching)
    await script(peer)
  })
  const response = yield* HttpClient.execute(HttpClientRequest.upgrade(HttpClientRequest.get(made.origin), "echo/1"))
  return { ...made, socket: yield* response.upgrade }
})

describe("the connection of a response that accepts an upgrade", () => {
  it.live("makes the backend wait when nobody reads, and then hands on every byte", () =>
    Effect.gen(function*() {
      const { connected, socket } = yield* asked(async (peer) => {
        void peer.send("x".repeat(more))
        peer.end()
      })
      const reader = yield* socket.reader
      yield* Effect.sleep("100 millis")
      assert.isAbove((yield* connected()).socket.writableLength, 0)
      assert.deepStrictEqual(yield* readAll(reader), { size: more, reason: "SocketCloseError" })
    }).pipe(Effect.scoped, Effect.provide(WireClient.layer())))

  it.live("can be taken once", () =>
    Effect.gen(function*() {
      const { socket } = yield* asked(() => new Promise(() => {}))
      yield* socket.reader
      const error = yield* Effect.flip(Effect.scoped(socket.reader))
      assert.strictEqual(error.reason._tag, "SocketOpenError")
    }).pipe(Effect.scoped, Effect.provide(WireClient.layer())))

  it.live("fails its reader when the backend resets it", () =>
    Effect.gen(function*() {
      const { connected, socket } = yield* asked(() => new Promise(() => {}))
      const reader = yield* socket.reader
      ;(yield* connected()).reset()
      assert.strictEqual((yield* readAll(reader)).reason, "SocketReadError")
    }).pipe(Effect.scoped, Effect.provide(WireClient.layer())))

  it.live("is closed with the scope of its request", () =>
    Effect.gen(function*() {
      const made = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(switching)
      })
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      yield* Effect.scoped(Effect.gen(function*() {
        const response = yield* client.execute(
          HttpClientRequest.upgrade(HttpClientRequest.get(made.origin), "echo/1")
        )
        assert.strictEqual(response.status, 101)
      }))
      const peer = yield* made.connected()
      yield* Effect.promise(() => peer.untilOver())
    }).pipe(Effect.scoped, Effect.provide(WireClient.layer())))
})

describe("a request that names no protocol to go on with", () => {
  it.live("fails to upgrade, and can be answered", () =>
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(
        Effect.flatMap(HttpServerRequest, ({ upgrade }) => Effect.flip(upgrade)).pipe(
          Effect.map(({ reason }) =>
            HttpServerResponse.text(reason._tag, { status: 426, headers: { upgrade: "echo/1" } })
          )
        )
      )
      const peer = yield* connect
      const answer = yield* Effect.promise(() => peer.exchange(head("GET /")))
      assert.deepStrictEqual([answer.status, answer.body.toString()], [426, "RequestParseError"])
      // RFC 9110 §15.5.22
      assert.deepStrictEqual(
        answer.fields.filter(([name]) => /^(?:upgrade|connection)$/i.test(name)).map(([, value]) => value).sort(),
        ["echo/1", "upgrade"]
      )
    }).pipe(Effect.scoped, Effect.provide(server)))
})
