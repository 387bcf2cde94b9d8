/** Upgrades to other protocols than WebSocket, as a server takes them. */
import * as Channel from "effect/Channel"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import { upgradeChannel } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import { value } from "../e2e/support/Peer.ts"
import { assert, onEachServer } from "./support/Rows.ts"
import { exchange, head } from "./support/Serving.ts"
import { noUpgrades } from "./support/Subjects.ts"
import { echo, serveSocket, upgraded } from "./support/Upgrading.ts"

onEachServer("an upgrade to another protocol", (row) => {
  const request = head("GET /", "Connection: upgrade", "Upgrade: echo/1")
  const withBody = head("POST /", "Connection: upgrade", "Upgrade: echo/1", "Content-Length: 5") + "helloearly"

  row(
    "is accepted with 101, and carries bytes both ways",
    Effect.gen(function*() {
      yield* serveSocket(echo)
      const { answer, peer } = yield* upgraded(request)
      assert.match(`${value(answer, "connection")} ${value(answer, "upgrade")}`, /^upgrade echo\/1$/i)
      assert.deepStrictEqual([value(answer, "content-length"), value(answer, "transfer-encoding")], [
        undefined,
        undefined
      ])
      for (const bytes of ["one\0\xff", "GET / HTTP/1.1\r\n\r\n"]) {
        yield* Effect.promise(() => peer.send(bytes))
        assert.strictEqual((yield* Effect.promise(() => peer.bytes(bytes.length))).toString("latin1"), bytes)
      }
    }),
    noUpgrades
  )

  row(
    "takes what comes with the request",
    Effect.gen(function*() {
      yield* serveSocket(echo)
      const { peer } = yield* upgraded(`${request}early`)
      assert.strictEqual((yield* Effect.promise(() => peer.bytes(5))).toString(), "early")
    }),
    noUpgrades
  )

  row(
    "may have headers",
    Effect.gen(function*() {
      yield* serveSocket(echo, (request) => request.upgradeWith({ headers: { "x-a": "ä" } }))
      assert.strictEqual(value((yield* upgraded(request)).answer, "x-a"), "ä")
    }),
    noUpgrades
  )

  for (
    const [what, headers] of [
      ["that the server sets itself", { connection: "close" }],
      ["about a body", { "content-length": "5" }],
      ["with a line break", { "x-a": "b\r\nX-Injected: c" }],
      ["with a bad name", { "x a": "b" }]
    ] as const
  ) {
    row(
      `cannot have headers ${what}, and is answered with 500`,
      Effect.gen(function*() {
        yield* serveSocket(echo, (request) => request.upgradeWith({ headers }))
        const answer = yield* exchange(request)
        assert.strictEqual(answer.status, 500)
        assert.isUndefined(value(answer, "x-injected"))
      }),
      noUpgrades
    )
  }

  row(
    "comes after the body of its request",
    Effect.gen(function*() {
      yield* serveSocket(
        echo,
        (request) => Effect.flatMap(request.text, (text) => request.upgradeWith({ headers: { "x-text": text } }))
      )
      const { answer, peer } = yield* upgraded(withBody)
      assert.strictEqual(value(answer, "x-text"), "hello")
      assert.strictEqual((yield* Effect.promise(() => peer.bytes(5))).toString(), "early")
    }),
    noUpgrades
  )

  row(
    "may be a channel",
    Effect.gen(function*() {
      const all = Stream.fromChannel(
        Stream.toChannel(Stream.make("one", "two")).pipe(Channel.pipeTo(upgradeChannel()))
      )
      const first = yield* Deferred.make<Uint8Array>()
      yield* HttpServer.serveEffect(
        Stream.runForEach(all, (bytes) => Deferred.succeed(first, bytes)).pipe(
          Effect.ignore,
          Effect.as(HttpServerResponse.empty())
        )
      )
      const { peer } = yield* upgraded(request)
      assert.strictEqual((yield* Effect.promise(() => peer.bytes(6))).toString(), "onetwo")
      yield* Effect.promise(() => peer.send("hello"))
      assert.strictEqual(Buffer.from(yield* Deferred.await(first)).toString(), "hello")
    }),
    noUpgrades
  )

  row(
    "skips a body that nobody has read",
    Effect.gen(function*() {
      yield* serveSocket(echo)
      const { peer } = yield* upgraded(withBody)
      assert.strictEqual((yield* Effect.promise(() => peer.bytes(5))).toString(), "early")
    }),
    noUpgrades
  )

  row(
    "ends the reader with 1000 when the client has said all",
    Effect.gen(function*() {
      const ended = yield* Deferred.make<Socket.SocketError>()
      yield* serveSocket((socket) => echo(socket).pipe(Effect.catch((error) => Deferred.succeed(ended, error))))
      const { peer } = yield* upgraded(request)
      peer.end()
      const { reason } = yield* Deferred.await(ended)
      assert(reason._tag === "SocketCloseError")
      assert.strictEqual(reason.code, 1000)
    }),
    noUpgrades
  )

  row(
    "is closed when the handler is through, after all that it has written",
    Effect.gen(function*() {
      const all = "0123456789".repeat(10_000)
      yield* serveSocket(Effect.fnUntraced(function*(socket) {
        yield* socket.reader
        yield* (yield* socket.writer).write(all)
      }))
      const { peer } = yield* upgraded(request)
      assert.strictEqual((yield* Effect.promise(() => peer.bytes(all.length))).toString(), all)
      assert.strictEqual(yield* Effect.promise(() => peer.untilOver()), "ended")
    }),
    noUpgrades
  )

  row(
    "that the handler does not take is answered as any request",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.text("no", { status: 403 })))
      const answer = yield* exchange(request)
      assert.deepStrictEqual([answer.status, answer.body.toString()], [403, "no"])
    })
  )
})
