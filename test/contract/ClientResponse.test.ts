/** What a client says of a response: all but its body, and what it hands over after an upgrade. */
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Socket from "effect/socket/Socket"
import { message, type Peer, value } from "../e2e/support/Peer.ts"
import { answer, answering, backend } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"

/** The response to a GET that is answered with these bytes. */
const got = (bytes: string | Uint8Array) =>
  Effect.flatMap(answering(bytes), ({ origin }) => HttpClient.get(`${origin}/`))

onEachClient("a response", (row) => {
  for (const status of [200, 201, 299, 302, 404, 500, 599]) {
    row(
      `has the status ${status}, whatever that means`,
      Effect.gen(function*() {
        const response = yield* got(message(`HTTP/1.1 ${status} Whatever`, "Content-Length: 0"))
        assert.strictEqual(response.status, status)
      })
    )
  }

  row(
    "has headers by lower-case name, repeated ones joined in order",
    Effect.gen(function*() {
      const { headers } = yield* got(answer("", "X-A: 1", "X-B: \t two", "x-a: 3"))
      assert.deepStrictEqual([headers["x-a"], headers["x-b"]], ["1, 3", "two"])
    })
  )

  row(
    "has headers without the space after their values (RFC 9112 §5)",
    Effect.gen(function*() {
      assert.strictEqual((yield* got(answer("", "X-A: b \t"))).headers["x-a"], "b")
    }),
    {
      "NodeHttpClient.layerUndici": "undici leaves it there",
      "NodeEngine.layerClient": "undici leaves it there"
    }
  )

  row(
    "has the cookies that it sets, with their options",
    Effect.gen(function*() {
      const { cookies } = yield* got(answer("", "Set-Cookie: a=1%202; Path=/; HttpOnly", "Set-Cookie: b=3"))
      assert.deepStrictEqual(Cookies.toRecord(cookies), { a: "1 2", b: "3" })
      const cookie = Option.getOrThrow(Cookies.get(cookies, "a"))
      assert.deepStrictEqual([cookie.options?.path, cookie.options?.httpOnly], ["/", true])
    })
  )

  row(
    "has its request and the URL that was asked for, without the hash",
    Effect.gen(function*() {
      const { origin } = yield* answering(answer(""))
      const request = HttpClientRequest.get(`${origin}/a?b`).pipe(
        HttpClientRequest.setUrlParam("c", "d"),
        HttpClientRequest.setHash("hash")
      )
      const response = yield* HttpClient.execute(request)
      assert.strictEqual(response.url, `${origin}/a?b=&c=d`)
      assert.strictEqual(response.request.url, request.url)
    })
  )

  row(
    "comes after interim ones, which are nobody's concern",
    Effect.gen(function*() {
      const interim = message("HTTP/1.1 103 Early Hints", "Link: </a>") + message("HTTP/1.1 102 Processing")
      const response = yield* got(interim + answer("hello"))
      assert.deepStrictEqual([response.status, yield* response.text], [200, "hello"])
    })
  )

  row(
    "that redirects is one like any other, unless the client is to follow",
    Effect.gen(function*() {
      const { origin, requests } = yield* answering(({ target }) =>
        target === "/" ? message("HTTP/1.1 302 Found", "Location: /there", "Content-Length: 0") : answer("hello")
      )
      const client = yield* HttpClient.HttpClient
      assert.strictEqual((yield* client.get(origin)).status, 302)
      const followed = yield* HttpClient.followRedirects(client).get(origin)
      assert.deepStrictEqual([followed.status, yield* followed.text], [200, "hello"])
      assert.deepStrictEqual(requests.map(({ target }) => target), ["/", "/", "/there"])
    })
  )

  row(
    "whose status is not wanted fails as a StatusCodeError",
    Effect.gen(function*() {
      const response = yield* got(message("HTTP/1.1 404 Not Found", "Content-Length: 5") + "sorry")
      const { reason } = yield* Effect.flip(HttpClientResponse.filterStatusOk(response))
      assert(reason._tag === "StatusCodeError")
      assert.strictEqual(yield* reason.response.text, "sorry")
    })
  )
})

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
