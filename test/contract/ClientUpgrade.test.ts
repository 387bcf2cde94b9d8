/** Upgrades that a client asks for. */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Socket from "effect/socket/Socket"
import { message, type Peer, value } from "../e2e/support/Peer.ts"
import { answering, backend } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"

onEachClient("an upgrade", (row) => {
  const echo = message("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: echo/1")

  const ask = Effect.fnUntraced(function*(script: (peer: Peer) => Promise<unknown>) {
    const made = yield* backend(async (peer) => {
      const request = await peer.requestHead()
      assert.match(`${value(request, "connection")} ${value(request, "upgrade")}`, /^upgrade echo\/1$/i)
      await script(peer)
    })
    const response = yield* HttpClient.execute(
      HttpClientRequest.get(made.origin).pipe(HttpClientRequest.upgrade("echo/1"))
    )
    return { ...made, response }
  })

  row(
    "that is taken hands the connection over, with what came with the answer first",
    Effect.gen(function*() {
      const { response } = yield* ask(async (peer) => {
        await peer.send(`${echo}early`)
        const bytes = await peer.bytes(5)
        await peer.send(bytes)
      })
      assert.deepStrictEqual([response.status, response.headers["upgrade"]], [101, "echo/1"])
      const socket = yield* response.upgrade
      const pull = yield* Socket.readerString(socket)
      assert.strictEqual((yield* pull).join(""), "early")
      yield* (yield* socket.writer).write("hello")
      assert.strictEqual((yield* pull).join(""), "hello")
    })
  )

  row(
    "that is over for the backend ends the reader with 1000",
    Effect.gen(function*() {
      const { response } = yield* ask(async (peer) => {
        await peer.send(`${echo}last`)
        peer.end()
      })
      const pull = yield* Socket.readerString(yield* response.upgrade)
      assert.strictEqual((yield* pull).join(""), "last")
      const { reason } = yield* Effect.flip(pull)
      assert(reason._tag === "SocketCloseError")
      assert.strictEqual(reason.code, 1000)
    })
  )

  row(
    "closes its connection when the scope of the reader is closed",
    Effect.gen(function*() {
      const { connected, response } = yield* ask((peer) => peer.send(echo))
      const socket = yield* response.upgrade
      yield* Effect.scoped(socket.reader)
      const peer = yield* connected()
      yield* Effect.promise(() => peer.untilOver())
    })
  )

  row(
    "that is refused is a response like any other, and gives no socket",
    Effect.gen(function*() {
      const refusal = message("HTTP/1.1 426 Upgrade Required", "Content-Length: 5") + "sorry"
      const { response } = yield* ask((peer) => peer.send(refusal))
      assert.deepStrictEqual([response.status, yield* response.text], [426, "sorry"])
      assert.strictEqual((yield* Effect.flip(response.upgrade)).reason._tag, "StatusCodeError")
    })
  )

  row(
    "that nobody asked for is a protocol error",
    Effect.gen(function*() {
      const { origin } = yield* answering(echo)
      assert.strictEqual((yield* Effect.flip(HttpClient.get(origin))).reason._tag, "TransportError")
    })
  )
})
