/**
 * The forwarder in an application of one's own, between any server and any client: what that changes in requests and
 * answers, and what is said of an answer that breaks off behind a middleware.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Net from "node:net"
import { gzipSync } from "node:zlib"
import { type App, fine, listening, onEachPair, send } from "./support/Pairs.ts"

const breaksOff = listening((response) => {
  response.writeHead(200, { "content-length": "10" })
  response.write("hello", () => (response.socket as Net.Socket).resetAndDestroy())
})

const goesOn = listening((response) => response.writeHead(200, { "content-type": "text/plain" }).write("hello"))

const says = listening((response) => response.writeHead(200, { "x-secret": "1", "x-other": "1" }).end("fine"))

const much = "much of the same. ".repeat(1_000)

const saysMuch = listening((response) => response.setHeader("content-type", "text/plain").end(much))

/** What comes after the end of a line is a field, or another request. */
const injection = "HTTP/1.1\r\nx-evil: 1\r\n\r\nGET /evil"

const changing = (change: (request: HttpServerRequest) => HttpServerRequest) => (handle: App): App =>
  Effect.updateService(handle, HttpServerRequest, change)

/** It does nothing, and all the same the platform tells nobody behind it that an answer has failed. */
const middleware = (): HttpMiddleware.HttpMiddleware => (app) => app

/** Its end comes after that of the connection, of which nobody can be told. */
const lasting = (isRead: Effect.Effect<void>): HttpMiddleware.HttpMiddleware =>
  Effect.ensuring(Effect.andThen(isRead, Effect.sleep("20 millis")))

const places = [["", {}], [" behind a middleware", { middleware }], [" behind one that goes on", {
  middleware: lasting
}]] as const

onEachPair((server, client) => {
  for (const [where, more] of places) {
    it.live(`cuts an answer that breaks off${where}, and says that this was its backend`, () =>
      Effect.gen(function*() {
        const { isCut, reason, status } = yield* send(server, client, [yield* breaksOff], more)
        assert.deepStrictEqual({ isCut, reason, status }, { isCut: true, reason: "reset_mid_body", status: 200 })
      }))
  }

  for (const [where, more] of places.slice(0, 2)) {
    it.live(`says that the client has left in the middle of an answer${where}`, () =>
      Effect.gen(function*() {
        const { reason, status } = yield* send(server, client, [yield* goesOn], { ...more, leaves: true })
        assert.deepStrictEqual({ reason, status }, { reason: "client_aborted", status: 200 })
      }))

    it.live(`says that there was no more time for an answer${where}`, () =>
      Effect.gen(function*() {
        const { reason, status } = yield* send(server, client, [yield* goesOn], { ...more, stops: true })
        assert.deepStrictEqual({ reason, status }, { reason: "draining", status: 200 })
      }))
  }

  // It reads the answer in a fiber of its own.
  for (
    const [where, more] of [
      ["by an application", { around: HttpMiddleware.compression() }],
      ["by a middleware", { middleware: () => HttpMiddleware.compression() }]
    ] as const
  ) {
    it.live(`says that the client has left in the middle of an answer that is compressed ${where}`, () =>
      Effect.gen(function*() {
        const { reason, status } = yield* send(server, client, [yield* goesOn], { ...more, leaves: true })
        assert.deepStrictEqual({ reason, status }, { reason: "client_aborted", status: 200 })
      }))
  }

  it.live("sends what an application has changed", () =>
    Effect.gen(function*() {
      const backend = yield* fine
      const init = { method: "PUT", body: "HELLO", headers: { "x-secret": "1", "x-other": "2" } }
      const change = (request: HttpServerRequest) => {
        const headers = Headers.set(Headers.remove(request.headers, "x-secret"), "x-user", "ann")
        return request.modify({ url: "/elsewhere?a", headers })
      }
      yield* send(server, client, [backend], { init, around: changing(change) })
      const [{ headers, url } = assert.fail("nothing came")] = backend.heads
      assert.strictEqual(url, "/elsewhere?a")
      const { "x-other": other, "x-secret": secret, "x-user": user } = headers
      assert.deepStrictEqual([other, secret, user], ["2", undefined, "ann"])
      assert.deepStrictEqual(backend.bodies, ["HELLO"])
    }))

  it.live("sends the client what an application has changed in the answer", () =>
    Effect.gen(function*() {
      const { headers, isCut, status } = yield* send(server, client, [yield* says], {
        around: Effect.map((response) =>
          HttpServerResponse.setHeader(
            HttpServerResponse.removeHeader(HttpServerResponse.setStatus(response, 203), "x-secret"),
            "x-more",
            "2"
          )
        )
      })
      const [secret, other, more] = ["x-secret", "x-other", "x-more"].map((name) => headers.get(name))
      assert.deepStrictEqual({ isCut, status, secret, other, more }, {
        isCut: false,
        status: 203,
        secret: null,
        other: "1",
        more: "2"
      })
    }))

  it.live("sends a body of which an application does not say any more how long it is", () =>
    Effect.gen(function*() {
      const backend = yield* fine
      const change = (request: HttpServerRequest) =>
        request.modify({ headers: Headers.remove(request.headers, "content-length") })
      const init = { method: "PUT", body: "HELLO" }
      yield* send(server, client, [backend], { init, around: changing(change) })
      assert.deepStrictEqual(backend.bodies, ["HELLO"])
    }))

  it.live("sends no body where there is none, although an application does not say so any more", () =>
    Effect.gen(function*() {
      const backend = yield* fine
      const change = (request: HttpServerRequest) =>
        request.modify({ headers: Headers.remove(request.headers, "content-length") })
      yield* send(server, client, [backend], { init: { method: "POST" }, around: changing(change) })
      assert.deepStrictEqual(backend.bodies, [""])
      assert.notProperty(backend.heads[0]?.headers, "transfer-encoding")
    }))

  it.live("does not say that a backend has failed where an application fails after its answer", () =>
    Effect.gen(function*() {
      const around = (handle: App): App => Effect.andThen(handle, Effect.fail("no"))
      const { reason, status } = yield* send(server, client, [yield* fine], { around })
      assert.deepStrictEqual({ reason, status }, { reason: "internal_error", status: 500 })
    }))

  // Other servers have no more than the record of what an application says.
  if (server.name === "WireServer") {
    it.live.each(["3", "300"])(
      "sends the body as it comes, whatever an application says of its length: %s",
      (length) =>
        Effect.gen(function*() {
          const backend = yield* fine
          const change = (request: HttpServerRequest) =>
            request.modify({ headers: Headers.set(request.headers, "content-length", length) })
          const init = { method: "PUT", body: "HELLO" }
          yield* send(server, client, [backend], { init, around: changing(change) })
          assert.deepStrictEqual(backend.bodies, ["HELLO"])
        })
    )
  }

  it.live("sends a body that a middleware has decoded", () =>
    Effect.gen(function*() {
      const backend = yield* fine
      const init = { method: "PUT", body: gzipSync("HELLO"), headers: { "content-encoding": "gzip" } }
      yield* send(server, client, [backend], { init, around: HttpMiddleware.decompression() })
      assert.deepStrictEqual(backend.bodies, ["HELLO"])
      assert.notProperty(backend.heads[0]?.headers, "content-encoding")
    }))

  for (
    const [what, body, reason, status] of [
      ["cannot be decoded", Buffer.from("no gzip at all"), "bad_request", 400],
      ["is longer than a middleware allows", gzipSync(Buffer.alloc(2_000)), "body_too_large", 413]
    ] as const
  ) {
    it.live(`says that the client is to blame for a body that ${what}`, () =>
      Effect.gen(function*() {
        const answer = yield* send(server, client, [yield* fine, yield* fine], {
          init: { method: "PUT", body, headers: { "content-encoding": "gzip" } },
          around: HttpMiddleware.decompression({ maxDecompressedSize: 1_000 })
        })
        assert.deepStrictEqual([answer.reason, answer.status, answer.bodies], [reason, status, []])
      }))
  }

  it.live("brings an answer that a middleware has compressed", () =>
    Effect.gen(function*() {
      const around = HttpMiddleware.compression({ algorithms: ["gzip"] })
      const { headers, text } = yield* send(server, client, [yield* saysMuch], { around })
      assert.deepStrictEqual([headers.get("content-encoding"), text], ["gzip", much])
    }))

  for (
    const [what, changes] of [
      ["a target", { url: `/a ${injection}` }],
      ["a field", { headers: Headers.fromInput({ host: "example.com", "x-a": `1 ${injection}` }) }]
    ] as const
  ) {
    it.live(`never sends ${what} that an application has made out of which the backend would read more`, () =>
      Effect.gen(function*() {
        const backend = yield* fine
        const change = (request: HttpServerRequest) => request.modify(changes)
        const { reason } = yield* send(server, client, [backend], { around: changing(change) })
        if (client.name === "WireClient") assert.strictEqual(reason, "bad_request")
        for (const { headers, url } of backend.heads) {
          assert.notProperty(headers, "x-evil")
          assert.notStrictEqual(url, "/evil")
        }
      }))
  }
})
