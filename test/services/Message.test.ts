import { assert, describe, it } from "@effect/vitest"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import * as Message from "../../src/services/Message.ts"
import type { RequestBody } from "../../src/services/RetryPolicy.ts"

const origin = "http://localhost:3001"

const requestHead = (fields: Partial<Message.SentHead> = {}): Message.SentHead => ({
  origin,
  method: "GET",
  target: "/",
  fields: [],
  body: undefined,
  ...fields
})

const responseHead = (fields: Partial<Message.ResponseHead> = {}): Message.ResponseHead => ({
  status: 200,
  statusText: "",
  fields: [],
  body: undefined,
  ...fields
})

const hello = Stream.make(new TextEncoder().encode("hello"))

const toWeb = (head: Message.ResponseHead): Response => HttpServerResponse.toWeb(Message.toClient(head, () => hello))

describe("attached heads", () => {
  it("are found on what they were attached to, which stays the same object", () => {
    const object = { a: 1 }
    assert.isFalse(Message.hasRequestHead(object))
    assert.isFalse(Message.hasResponseHead(object))
    const request = Message.attachRequestHead(object, requestHead())
    assert.strictEqual<object>(request, object)
    assert.isTrue(Message.hasRequestHead(object))
    assert.isFalse(Message.hasResponseHead(object))
    Message.attachResponseHead(object, responseHead())
    assert.isTrue(Message.hasResponseHead(object))
  })

  it("do not show among the properties of a message", () => {
    assert.deepStrictEqual(Object.keys(Message.attachRequestHead({ a: 1 }, requestHead())), ["a"])
  })

  it("are found by every copy of this module in one program", () => {
    assert.strictEqual(Message.requestHead, Symbol.for("evenkeel/services/Message/requestHead"))
    assert.strictEqual(Message.responseHead, Symbol.for("evenkeel/services/Message/responseHead"))
  })
})

describe("received", () => {
  const received = (init?: RequestInit) =>
    Message.received(HttpServerRequest.fromWeb(new Request("http://example.com/a%2Fb?c=%20", init)))

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
    assert.strictEqual(Message.received(request), head)
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
    assert.strictEqual(Message.toBackend(head, undefined)[Message.sentHead], head)
  })

  it("has the method, the origin and the target for clients that know only the platform", () => {
    const request = Message.toBackend(requestHead({ method: "PURGE", target: "/a%2Fb?c=%20&d" }), undefined)
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
    assert.strictEqual(new URL(Message.toBackend(requestHead({ target }), undefined).url).origin, origin)
  })

  it("joins repeated fields as a record must: by a comma, and cookies by a semicolon (RFC 9110 §5.3, RFC 9113 §8.2.3)", () => {
    const fields = ["Accept", "a", "X-B", "1", "accept", "c", "Cookie", "a=1", "cookie", "b=2"]
    assert.deepStrictEqual({ ...Message.toBackend(requestHead({ fields }), undefined).headers }, {
      accept: "a, c",
      "x-b": "1",
      cookie: "a=1; b=2"
    })
  })

  it("copes with names that mean something to JavaScript", () => {
    const fields = ["__proto__", "1", "constructor", "2", "__proto__", "3", "toString", "4"]
    const { headers } = Message.toBackend(requestHead({ fields }), undefined)
    assert.deepStrictEqual(Object.entries(headers), [["__proto__", "1, 3"], ["constructor", "2"], ["tostring", "4"]])
    assert.notProperty({}, "1")
  })

  it("has no body unless there is one", () => {
    assert.strictEqual(Message.toBackend(requestHead(), undefined).body._tag, "Empty")
  })

  it("has a stream as its body, with the type and the length of the fields", () => {
    const known = requestHead({ method: "POST", fields: ["Content-Type", "text/plain", "Content-Length", "5"] })
    const { body } = Message.toBackend(known, () => hello)
    assert(body._tag === "Stream")
    assert.deepStrictEqual([body.contentType, body.contentLength], ["text/plain", 5])
    const unknown = Message.toBackend(requestHead({ method: "POST" }), () => hello).body
    assert(unknown._tag === "Stream")
    assert.isUndefined(unknown.contentLength)
  })
})

describe("answered", () => {
  const request = HttpClientRequest.get(`${origin}/`)

  it("is the head that the engine attached, untouched", () => {
    const head = responseHead({ status: 299, statusText: "Fine", fields: ["A", "1"] })
    const response = Message.attachResponseHead(HttpClientResponse.fromWeb(request, new Response(null)), head)
    assert.strictEqual(Message.answered(response), head)
  })

  it("is made of the platform's record for any other engine, and cookies stay apart", () => {
    const headers = new Headers({ "X-A": "1" })
    headers.append("Set-Cookie", "a=1; Path=/")
    headers.append("Set-Cookie", "b=2; Expires=Thu, 05 Nov 2026 12:00:00 GMT")
    const response = HttpClientResponse.fromWeb(request, new Response(null, { status: 404, headers }))
    assert.deepStrictEqual(Message.answered(response), {
      status: 404,
      statusText: "",
      fields: [
        "x-a",
        "1",
        "set-cookie",
        "a=1; Path=/",
        "set-cookie",
        "b=2; Expires=Thu, 05 Nov 2026 12:00:00 GMT"
      ],
      body: undefined
    })
  })
})

describe("toClient", () => {
  it("keeps the head as it is to be on the wire", () => {
    const head = responseHead({ fields: ["Set-Cookie", "a=1; SameSite=Strange", "X", "1", "x", "2"] })
    assert.strictEqual(Message.toClient(head, () => hello)[Message.responseHead], head)
  })

  it("has status, reason phrase, fields and body for servers that know only the platform", async () => {
    const response = toWeb(responseHead({
      status: 418,
      statusText: "Short and stout",
      fields: ["Content-Type", "text/tea", "Link", "<a>", "link", "<b>"]
    }))
    assert.deepStrictEqual([response.status, response.statusText], [418, "Short and stout"])
    assert.deepStrictEqual(Object.fromEntries(response.headers), { "content-type": "text/tea", link: "<a>, <b>" })
    assert.strictEqual(await response.text(), "hello")
  })

  it("keeps cookies apart, also those with a comma", () => {
    const cookies = ["a=1; Path=/", "b=2; Expires=Thu, 05 Nov 2026 12:00:00 GMT"]
    const response = toWeb(responseHead({ fields: cookies.flatMap((cookie) => ["Set-Cookie", cookie]) }))
    assert.deepStrictEqual(response.headers.getSetCookie(), cookies)
  })

  it("adds no content type where the backend sent none", () => {
    assert.deepStrictEqual([...toWeb(responseHead()).headers.keys()], [])
  })

  it("has the length that the backend said", () => {
    assert.strictEqual(toWeb(responseHead({ fields: ["Content-Length", "5"] })).headers.get("content-length"), "5")
  })
})
