import { assert, describe, it } from "@effect/vitest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Stream from "effect/Stream"
import * as Message from "../../src/services/Message.ts"
import type { RequestBody } from "../../src/services/Message.ts"
import * as PlatformRequest from "../../src/services/PlatformRequest.ts"

const origin = "http://localhost:3001"

const requestHead = (fields: Partial<Message.SentHead> = {}): Message.SentHead => ({
  origin,
  method: "GET",
  target: "/",
  fields: [],
  body: undefined,
  ...fields
})

const hello = Stream.make(new TextEncoder().encode("hello"))

describe("received", () => {
  const received = (init?: RequestInit) =>
    PlatformRequest.headOf(HttpServerRequest.fromWeb(new Request("http://example.com/a%2Fb?c=%20", init)))

  it("is the head that the engine attached, untouched", () => {
    const body: RequestBody = {
      keep: () => {},
      isWhole: true,
      isAwaited: false,
      whenComplete: () => {},
      settle: () => {}
    }
    const head = requestHead({ target: "//a/../b?", fields: ["A", "1", "a", "2"], body })
    const request = Message.attachRequestHead(HttpServerRequest.fromWeb(new Request("http://example.com/")), head)
    assert.strictEqual(PlatformRequest.headOf(request), head)
  })

  it("is made of the platform's record for any other engine", () => {
    assert.deepStrictEqual(received({ headers: { "X-A": "1", "x-b": "2" } }), {
      method: "GET",
      target: "/a%2Fb?c=%20",
      fields: ["x-a", "1", "x-b", "2"],
      body: undefined
    })
  })

  it("says that there is a body where the record says nothing about it", () => {
    const { fields } = received({ method: "POST", body: "hello", headers: { "content-type": "text/plain" } })
    assert.deepStrictEqual(fields, ["content-type", "text/plain", "transfer-encoding", "chunked"])
  })

  it("leaves alone what the record does say", () => {
    const { fields } = received({
      method: "POST",
      body: "hello",
      headers: { "content-length": "5", "content-type": "text/plain" }
    })
    assert.deepStrictEqual(fields, ["content-length", "5", "content-type", "text/plain"])
  })

  it("has no body where there is none, whatever the method", () => {
    assert.deepStrictEqual(received({ method: "POST" }).fields, [])
    assert.deepStrictEqual(received({ method: "DELETE" }).fields, [])
  })
})

describe("toBackend", () => {
  it("keeps the head as it is to be on the wire", () => {
    const head = requestHead({ target: "/a?b", fields: ["Host", "a", "host", "b"] })
    assert.strictEqual(PlatformRequest.toBackend(head, undefined)[Message.sentHead], head)
  })

  it("has the method, the origin and the target for clients that know only the platform", () => {
    const request = PlatformRequest.toBackend(requestHead({ method: "PURGE", target: "/a%2Fb?c=%20&d" }), undefined)
    assert.deepStrictEqual([request.method, request.url], ["PURGE", "http://localhost:3001/a%2Fb?c=%20&d"])
  })

  // The hole of `new URL(target, origin)`: the target of a request must never choose the host.
  it.each([
    "/",
    "//evil.test/x",
    "///evil.test",
    "/\\evil.test",
    "/@evil.test",
    "/:80",
    "/..//evil.test",
    "@evil.test",
    ":80/",
    ".evil.test/",
    "http://evil.test/x",
    "https://evil.test",
    "\\\\evil.test\\x",
    "*",
    ""
  ])("goes to the backend and nobody else, with the target %j", (target) => {
    assert.strictEqual(new URL(PlatformRequest.toBackend(requestHead({ target }), undefined).url).origin, origin)
  })

  it("joins repeated fields as a record must: by a comma, and cookies by a semicolon (RFC 9110 §5.3, RFC 9113 §8.2.3)", () => {
    const fields = ["Accept", "a", "X-B", "1", "accept", "c", "Cookie", "a=1", "cookie", "b=2"]
    assert.deepStrictEqual({ ...PlatformRequest.toBackend(requestHead({ fields }), undefined).headers }, {
      accept: "a, c",
      "x-b": "1",
      cookie: "a=1; b=2"
    })
  })

  it("copes with names that mean something to JavaScript", () => {
    const fields = ["__proto__", "1", "constructor", "2", "__proto__", "3", "toString", "4"]
    const { headers } = PlatformRequest.toBackend(requestHead({ fields }), undefined)
    assert.deepStrictEqual(Object.entries(headers), [["__proto__", "1, 3"], ["constructor", "2"], ["tostring", "4"]])
    assert.notProperty({}, "1")
  })

  it("has no body unless there is one", () => {
    assert.strictEqual(PlatformRequest.toBackend(requestHead(), undefined).body._tag, "Empty")
  })

  it("has a stream as its body, with the type and the length of the fields", () => {
    const known = requestHead({ method: "POST", fields: ["Content-Type", "text/plain", "Content-Length", "5"] })
    const { body } = PlatformRequest.toBackend(known, () => hello)
    assert(body._tag === "Stream")
    assert.deepStrictEqual([body.contentType, body.contentLength], ["text/plain", 5])
    const unknown = PlatformRequest.toBackend(requestHead({ method: "POST" }), () => hello).body
    assert(unknown._tag === "Stream")
    assert.isUndefined(unknown.contentLength)
  })
})
