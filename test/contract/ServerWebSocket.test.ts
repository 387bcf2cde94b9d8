/** WebSockets, as a server takes them. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Socket from "effect/socket/Socket"
import { value } from "../e2e/support/Peer.ts"
import { assert, onEachServer } from "./support/Rows.ts"
import { connect, exchange, head, port } from "./support/Serving.ts"
import { noUpgrades } from "./support/Subjects.ts"
import { echo, serveSocket, upgraded } from "./support/Upgrading.ts"

/** A client of WebSocket, and what happens to it, in order. */
const webSocket = Effect.gen(function*() {
  const socket = new WebSocket(`ws://127.0.0.1:${yield* port}/chat`)
  socket.binaryType = "arraybuffer"
  const closed = yield* Deferred.make<readonly [code: number, reason: string]>()
  const messages: Array<unknown> = []
  let wanted = 0
  let enough = () => {}
  socket.addEventListener("message", ({ data }) => {
    messages.push(data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data)
    if (messages.length >= wanted) enough()
  })
  socket.addEventListener("close", ({ code, reason }) => Deferred.doneUnsafe(closed, Effect.succeed([code, reason])))
  yield* Effect.promise(() =>
    new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve(), { once: true })
      socket.addEventListener("error", () => reject(new Error("no WebSocket")), { once: true })
    })
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.close()))
  return {
    socket,
    closed: Deferred.await(closed),
    messages: (count: number) =>
      Effect.as(
        Effect.promise(() =>
          new Promise<void>((resolve) => {
            wanted = count
            enough = resolve
            if (messages.length >= count) resolve()
          })
        ),
        messages
      )
  }
})

const key = "dGhlIHNhbXBsZSBub25jZQ=="

const handshake = (...fields: ReadonlyArray<string>): string =>
  head("GET /chat", "Connection: Upgrade", "Upgrade: websocket", ...fields)

const goodHandshake = handshake(`Sec-WebSocket-Key: ${key}`, "Sec-WebSocket-Version: 13")

onEachServer("a WebSocket", (row) => {
  row(
    "is accepted as RFC 6455 §4.2.2 says",
    Effect.gen(function*() {
      yield* serveSocket(echo)
      const { answer } = yield* upgraded(goodHandshake)
      assert.strictEqual(value(answer, "sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
      assert.match(`${value(answer, "connection")} ${value(answer, "upgrade")}`, /^upgrade websocket$/i)
    }),
    noUpgrades
  )

  row(
    "carries text and bytes both ways, each message for itself and in order",
    Effect.gen(function*() {
      yield* serveSocket(echo)
      const { messages, socket } = yield* webSocket
      socket.send("grüße")
      socket.send(new Uint8Array([0, 255]))
      socket.send("")
      socket.send("last")
      assert.deepStrictEqual(yield* messages(4), ["grüße", [0, 255], "", "last"])
    }),
    noUpgrades
  )

  row(
    "carries large messages",
    Effect.gen(function*() {
      yield* serveSocket(echo)
      const { messages, socket } = yield* webSocket
      const large = "0123456789".repeat(200_000)
      socket.send(large)
      assert.isTrue((yield* messages(1))[0] === large)
    }),
    noUpgrades
  )

  row(
    "may be spoken to first by the server",
    Effect.gen(function*() {
      yield* serveSocket(Effect.fnUntraced(function*(socket) {
        const { pull } = yield* socket.reader
        yield* (yield* socket.writer).write("welcome")
        yield* pull
      }))
      const { messages } = yield* webSocket
      assert.deepStrictEqual(yield* messages(1), ["welcome"])
    }),
    noUpgrades
  )

  row(
    "has a request with headers and cookies",
    Effect.gen(function*() {
      const seen = yield* Deferred.make<readonly [string, string, string | undefined]>()
      yield* serveSocket(echo, (request) =>
        Effect.andThen(
          Deferred.succeed(seen, [request.method, request.url, request.cookies["a"]]),
          request.upgrade
        ))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(goodHandshake.replace("\r\n\r\n", "\r\nCookie: a=b\r\n\r\n")))
      assert.deepStrictEqual(yield* Deferred.await(seen), ["GET", "/chat", "b"])
      assert.strictEqual((yield* Effect.promise(() => peer.response())).status, 101)
    }),
    noUpgrades
  )

  row(
    "answers pings (RFC 6455 §5.5.2)",
    Effect.gen(function*() {
      yield* serveSocket(echo)
      const { peer } = yield* upgraded(goodHandshake)
      yield* Effect.promise(() => peer.send("\x89\x82\0\0\0\0hi"))
      assert.strictEqual((yield* Effect.promise(() => peer.bytes(4))).toString("latin1"), "\x8a\x02hi")
    }),
    noUpgrades
  )

  row(
    "takes frames that come with the handshake",
    Effect.gen(function*() {
      yield* serveSocket(echo)
      const { peer } = yield* upgraded(`${goodHandshake}\x81\x82\0\0\0\0hi`)
      assert.strictEqual((yield* Effect.promise(() => peer.bytes(4))).toString("latin1"), "\x81\x02hi")
    }),
    noUpgrades
  )

  row(
    "that the client closes ends the reader with its code and reason",
    Effect.gen(function*() {
      const ended = yield* Deferred.make<Socket.SocketError>()
      yield* serveSocket((socket) => echo(socket).pipe(Effect.catch((error) => Deferred.succeed(ended, error))))
      const { closed, socket } = yield* webSocket
      socket.close(4001, "enough")
      const { reason } = yield* Deferred.await(ended)
      assert(reason._tag === "SocketCloseError")
      assert.deepStrictEqual([reason.code, reason.closeReason], [4001, "enough"])
      assert.deepStrictEqual(yield* closed, [4001, "enough"])
    }),
    noUpgrades
  )

  row(
    "whose client is gone ends the reader with 1006",
    Effect.gen(function*() {
      const ended = yield* Deferred.make<Socket.SocketError>()
      yield* serveSocket((socket) => echo(socket).pipe(Effect.catch((error) => Deferred.succeed(ended, error))))
      const { peer } = yield* upgraded(goodHandshake)
      peer.destroy()
      const { reason } = yield* Deferred.await(ended)
      assert(reason._tag === "SocketCloseError")
      assert.strictEqual(reason.code, 1006)
    }),
    noUpgrades
  )

  row(
    "is closed by the server with the code and reason that it says",
    Effect.gen(function*() {
      yield* serveSocket(Effect.fnUntraced(function*(socket) {
        const { pull } = yield* socket.reader
        yield* (yield* socket.writer).write(new Socket.CloseEvent(4002, "go"))
        yield* Effect.ignore(pull)
      }))
      const { closed } = yield* webSocket
      assert.deepStrictEqual(yield* closed, [4002, "go"])
    }),
    noUpgrades
  )

  for (
    const [what, code, end] of [
      ["succeeds", 1000, Effect.void],
      ["fails", 1011, Effect.fail("a reason")],
      ["is interrupted", 1001, Effect.interrupt]
    ] as const
  ) {
    row(
      `is closed with ${code} when the handler ${what}`,
      Effect.gen(function*() {
        yield* serveSocket((socket) => Effect.andThen(socket.reader, end))
        const { closed } = yield* webSocket
        assert.strictEqual((yield* closed)[0], code)
      }),
      noUpgrades
    )
  }

  for (
    const [what, request] of [
      ["without a key", handshake("Sec-WebSocket-Version: 13")],
      ["of an old version", handshake(`Sec-WebSocket-Key: ${key}`, "Sec-WebSocket-Version: 7")],
      ["with a bad key", handshake("Sec-WebSocket-Key: short", "Sec-WebSocket-Version: 13")]
    ] as const
  ) {
    row(
      `is refused with 400 when it is asked for ${what}`,
      Effect.gen(function*() {
        yield* serveSocket(echo)
        assert.strictEqual((yield* exchange(request)).status, 400)
      })
    )
  }

  row(
    "cannot have headers in its handshake",
    Effect.gen(function*() {
      yield* serveSocket(echo, (request) => request.upgradeWith({ headers: { "x-a": "b" } }))
      assert.strictEqual((yield* exchange(goodHandshake)).status, 500)
    }),
    noUpgrades
  )

  row(
    "that the handler does not take is answered as any request",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.text("no", { status: 403 })))
      const answer = yield* exchange(goodHandshake)
      assert.deepStrictEqual([answer.status, answer.body.toString()], [403, "no"])
    })
  )

  row(
    "is a response of 101 for middleware",
    Effect.gen(function*() {
      const seen = yield* Deferred.make<number>()
      const app = Effect.gen(function*() {
        const socket = yield* (yield* HttpServerRequest).upgrade
        yield* socket.reader
        return HttpServerResponse.empty()
      })
      yield* HttpServer.serveEffect(app, (app) => Effect.tap(app, ({ status }) => Deferred.succeed(seen, status)))
      yield* upgraded(goodHandshake)
      assert.strictEqual(yield* Deferred.await(seen), 101)
    }),
    noUpgrades
  )
})
