/**
 * Applications of any kind on the server of the wire engine, and programs of any kind with its client: what is its own.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { MaxBodySize } from "effect/http/HttpIncomingMessage"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Readable } from "node:stream"
import * as WireClient from "../../../src/layers/wire/WireClient.ts"
import * as WireServer from "../../../src/layers/wire/WireServer.ts"
import * as PlatformRequest from "../../../src/services/PlatformRequest.ts"
import * as PlatformResponse from "../../../src/services/PlatformResponse.ts"
import { answer, answering, backend, nobody, silent } from "../../contract/support/Backends.ts"
import { answerOf, connect, exchange, head, look } from "../../contract/support/Serving.ts"
import { value } from "../../e2e/support/Peer.ts"

const server = WireServer.layer({ host: "127.0.0.1", port: 0, shutdownTimeout: "100 millis" })

const client = WireClient.layer()

const large = "0123456789abcdef".repeat(2 ** 21)

/** An answer that the kernel cannot hold, to a client that has not begun to read. */
const unread = Effect.gen(function*() {
  const isAsked = yield* Latch.make()
  yield* HttpServer.serveEffect(Effect.as(isAsked.open, HttpServerResponse.text(large)))
  const peer = yield* connect
  peer.socket.pause()
  yield* Effect.promise(() => peer.send(head("GET /", "Connection: close")))
  yield* isAsked.await
  return peer
})

describe("a large response to a client that reads slowly", () => {
  it.effect("is not cut, also when the connection ends with it", () =>
    Effect.gen(function*() {
      const peer = yield* unread
      // Much may come out of the kernel before the server sees that it is read: that is less than four parts.
      for (const part of [4, 8, 12, 16, 20, 24, 28]) {
        peer.socket.resume()
        yield* Effect.promise(() => peer.until(() => peer.bytesReceived > part * 2 ** 20, "a part of the answer"))
        peer.socket.pause()
        yield* TestClock.adjust("15 seconds")
      }
      peer.socket.resume()
      const { body, ending } = yield* Effect.promise(() => peer.response())
      assert.deepStrictEqual([ending, body.length], ["complete", large.length])
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.effect("is cut when the client does not read at all", () =>
    Effect.gen(function*() {
      const peer = yield* unread
      yield* TestClock.adjust("5 minutes")
      peer.socket.resume()
      yield* Effect.promise(() => peer.untilOver())
      assert.isBelow(peer.bytesReceived, large.length)
    }).pipe(Effect.scoped, Effect.provide(server)))
})

describe("a client that waits for 100", () => {
  it.live("gets none in the middle of a response that echoes its request", () =>
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(Effect.map(HttpServerRequest, ({ stream }) => HttpServerResponse.stream(stream)))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("POST /", "Content-Length: 5", "Expect: 100-continue")))
      // The head of the response says enough.
      assert.strictEqual(yield* Effect.promise(() => peer.untilText("\r\n")), "HTTP/1.1 200 OK\r\n")
      yield* Effect.promise(() => peer.send("hello"))
      const rest = yield* Effect.promise(() => peer.untilText("0\r\n\r\n"))
      assert.include(rest, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
      assert.notInclude(rest, "100")
    }).pipe(Effect.scoped, Effect.provide(server)))
})

describe("a response that has no body", () => {
  it.live("does not keep a Node stream open, whatever the reason", () =>
    Effect.gen(function*() {
      const bodies = [204, 205, 304, 199].map((status) => [status, new Readable({ read: () => {} })] as const)
      for (const [status, body] of bodies) {
        yield* Effect.scoped(
          Effect.provide(answerOf(HttpServerResponse.raw(body, { status })), server, { local: true })
        )
        assert.isTrue(body.destroyed, `${status}`)
      }
    }))
})

describe("a raw body", () => {
  for (
    const [what, make] of [
      ["a Blob", () => new Blob(["hel", "lo"])],
      ["a ReadableStream", () => new Blob(["hello"]).stream()],
      ["an ArrayBuffer", () => new TextEncoder().encode("hello").buffer],
      ["a Readable of bytes", () => Readable.from([Buffer.from("hel"), Buffer.from("lo")])]
    ] as const
  ) {
    it.live(`of a response may be ${what}`, () =>
      Effect.gen(function*() {
        const { body, ending } = yield* answerOf(HttpServerResponse.raw(make()))
        assert.deepStrictEqual([ending, body.toString()], ["complete", "hello"])
      }).pipe(Effect.scoped, Effect.provide(server)))

    it.live(`of a request may be ${what}`, () =>
      Effect.gen(function*() {
        const { origin, requests } = yield* silent
        yield* HttpClient.post(origin, { body: HttpBody.raw(make()) })
        assert.deepStrictEqual(requests.map(({ body, ending }) => [ending, body.toString()]), [["complete", "hello"]])
      }).pipe(Effect.scoped, Effect.provide(client)))
  }

  it.live("of a response that is nothing of the kind is answered with 500", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* answerOf(HttpServerResponse.raw({ a: 1 }))).status, 500)
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("of a request that is nothing of the kind is an EncodeError", () =>
    Effect.gen(function*() {
      const { origin } = yield* silent
      const error = yield* Effect.flip(HttpClient.post(origin, { body: HttpBody.raw({ a: 1 }) }))
      assert.strictEqual(error.reason._tag, "EncodeError")
    }).pipe(Effect.scoped, Effect.provide(client)))

  it.live("of a request that is never sent is destroyed, if it is a Node stream", () =>
    Effect.gen(function*() {
      const body = new Readable({ read: () => {} })
      yield* Effect.flip(HttpClient.post(yield* nobody, { body: HttpBody.raw(body) }))
      assert.isTrue(body.destroyed)
    }).pipe(Effect.scoped, Effect.provide(client)))
})

describe("a body that is too long for its reader", () => {
  it.live("is not read on, and the answer says that the connection ends", () =>
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(
        Effect.flatMap(HttpServerRequest, ({ text }) => text).pipe(
          Effect.map((text) => HttpServerResponse.text(text)),
          Effect.provideService(MaxBodySize, ByteSize.bytes(10))
        )
      )
      const peer = yield* connect
      const { status, ...answer } = yield* Effect.promise(() =>
        peer.exchange(head("POST /", "Content-Length: 1000000") + "01234567890")
      )
      assert.deepStrictEqual([status, value(answer, "connection")], [413, "close"])
    }).pipe(Effect.scoped, Effect.provide(server)))
})

describe("a view of a request", () => {
  it.live("keeps what is not changed", () =>
    Effect.gen(function*() {
      const seen = yield* look((request) => {
        const one = request.modify({ url: "/b", remoteAddress: Option.some("192.0.2.1") })
        const { headers, remoteAddress, url } = one.modify({ protocol: "https" })
        return [url, headers["host"], Option.getOrUndefined(remoteAddress)]
      }, head("GET /a"))
      assert.deepStrictEqual(seen, ["/b", "example.com", "192.0.2.1"])
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("has the target of CONNECT as its url", () =>
    Effect.gen(function*() {
      const urls = yield* look(
        ({ originalUrl, url }) => [url, originalUrl],
        "CONNECT a.test:1 HTTP/1.1\r\nHost: b\r\n\r\n"
      )
      assert.deepStrictEqual(urls, ["a.test:1", "a.test:1"])
    }).pipe(Effect.scoped, Effect.provide(server)))
})

describe("a CONNECT", () => {
  it.live("is the last request of its connection: what follows it is not HTTP (RFC 9110 §9.3.6)", () =>
    Effect.gen(function*() {
      const urls: Array<string> = []
      yield* HttpServer.serveEffect(Effect.map(HttpServerRequest, ({ url }) => {
        urls.push(url)
        return HttpServerResponse.text("yes")
      }))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send("CONNECT a.test:1 HTTP/1.1\r\nHost: b\r\n\r\n" + head("GET /smuggled")))
      const answer = yield* Effect.promise(() => peer.response())
      assert.strictEqual(value(answer, "connection"), "close")
      yield* Effect.promise(() => peer.untilOver())
      assert.deepStrictEqual([urls, peer.unread], [["a.test:1"], ""])
    }).pipe(Effect.scoped, Effect.provide(server)))
})

describe("a response of an application", () => {
  it.live("may end the connection with any spelling of `close`", () =>
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(
        Effect.succeed(HttpServerResponse.text("bye", { headers: { connection: "x-a, Close" } }))
      )
      assert.strictEqual(value(yield* exchange(head("GET /")), "connection"), "close")
    }).pipe(Effect.scoped, Effect.provide(server)))
})

/** A response whose body has begun. */
const begun = Effect.gen(function*() {
  const made = yield* backend(async (peer) => {
    await peer.request()
    await peer.send(answer("hello").slice(0, -2))
  })
  return { ...made, request: HttpClientRequest.get(made.origin) }
})

describe("a response whose scope is closed", () => {
  it.live("fails for whoever still reads", () =>
    Effect.gen(function*() {
      const { connected, request } = yield* begun
      const scope = yield* Scope.make()
      const scoped = HttpClient.withScope(yield* HttpClient.HttpClient)
      const response = yield* Scope.provide(scoped.execute(request), scope)
      const reading = yield* Effect.forkChild(Effect.flip(response.text), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(reading)).reason._tag, "DecodeError")
      assert.strictEqual((yield* Effect.flip(response.arrayBuffer)).reason._tag, "DecodeError")
      const peer = yield* connected()
      yield* Effect.promise(() => peer.untilOver())
    }).pipe(Effect.scoped, Effect.provide(client)))

  it.live("fails its request, if there is no answer yet", () =>
    Effect.gen(function*() {
      const made = yield* backend((peer) => peer.request())
      const scope = yield* Scope.make()
      const scoped = HttpClient.withScope(yield* HttpClient.HttpClient)
      const asking = yield* Effect.forkChild(
        Effect.flip(Scope.provide(scoped.execute(HttpClientRequest.get(made.origin)), scope))
      )
      const peer = yield* made.connected()
      yield* Effect.promise(() => peer.until(() => peer.requestsRead === 1, "the request"))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(asking)).reason._tag, "TransportError")
      yield* Effect.promise(() => peer.untilOver())
    }).pipe(Effect.scoped, Effect.provide(client)))
})

describe("a response that was given up", () => {
  it.live("fails when it is read once more, instead of waiting for ever", () =>
    Effect.gen(function*() {
      const { request } = yield* begun
      const response = yield* HttpClient.execute(request)
      yield* Stream.runDrain(Stream.take(response.stream, 1))
      assert.strictEqual((yield* Effect.flip(response.text)).reason._tag, "DecodeError")
    }).pipe(Effect.scoped, Effect.provide(client)))
})

describe("the length of a request without content", () => {
  for (const [method, length] of [["GET", undefined], ["DELETE", undefined], ["PUT", "0"], ["PATCH", "0"]] as const) {
    it.live(`of ${method} is said to be ${length ?? "nothing"} (RFC 9110 §8.6)`, () =>
      Effect.gen(function*() {
        const { origin, requests } = yield* answering(answer(""))
        yield* HttpClient.execute(HttpClientRequest.make(method)(origin))
        assert.deepStrictEqual(requests.map((request) => value(request, "content-length")), [length])
      }).pipe(Effect.scoped, Effect.provide(client)))
  }
})

describe("both ends together", () => {
  it.live("send a large body each way at once", () =>
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(
        Effect.map(HttpServerRequest, ({ stream }) => HttpServerResponse.stream(stream))
      )
      const { address } = yield* HttpServer.HttpServer
      assert(address._tag !== "UnixPathAddress")
      const response = yield* HttpClient.post(`http://127.0.0.1:${address.port}`, { body: HttpBody.text(large) })
      assert.isTrue((yield* response.text) === large)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(server, client))))

  it.live("let go of a backend whose answer is handed over when the client leaves, without being told to", () =>
    Effect.gen(function*() {
      const { connected, origin } = yield* begun
      const request = PlatformRequest.toBackend(
        { origin, method: "GET", target: "/", fields: ["Host", "a"], body: undefined },
        undefined
      )
      yield* HttpServer.serveEffect(
        Effect.map(
          HttpClient.execute(request),
          (response) => PlatformResponse.toClient(PlatformResponse.headOf(response), () => response.stream)
        )
      )
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* Effect.promise(() => peer.untilText("hel"))
      peer.destroy()
      const backend = yield* connected()
      yield* Effect.promise(() => backend.untilOver())
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(server, client))))
})
