import { assert, describe, it } from "@effect/vitest"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import * as Message from "../../src/services/Message.ts"
import * as PlatformResponse from "../../src/services/PlatformResponse.ts"

const origin = "http://localhost:3001"

const responseHead = (fields: Partial<Message.ResponseHead> = {}): Message.ResponseHead => ({
  status: 200,
  statusText: "",
  fields: [],
  body: undefined,
  ...fields
})

const hello = Stream.make(new TextEncoder().encode("hello"))

const toWeb = (head: Message.ResponseHead): Response =>
  HttpServerResponse.toWeb(PlatformResponse.toClient(head, () => hello))

describe("answered", () => {
  const request = HttpClientRequest.get(`${origin}/`)

  it("is the head that the engine attached, untouched", () => {
    const head = responseHead({ status: 299, statusText: "Fine", fields: ["A", "1"] })
    const response = Message.attachResponseHead(HttpClientResponse.fromWeb(request, new Response(null)), head)
    assert.strictEqual(PlatformResponse.headOf(response), head)
  })

  it("is made of the platform's record for any other engine, and cookies stay apart", () => {
    const headers = new Headers({ "X-A": "1" })
    headers.append("Set-Cookie", "a=1; Path=/")
    headers.append("Set-Cookie", "b=2; Expires=Thu, 05 Nov 2026 12:00:00 GMT")
    const response = HttpClientResponse.fromWeb(request, new Response(null, { status: 404, headers }))
    assert.deepStrictEqual(PlatformResponse.headOf(response), {
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
    assert.strictEqual(PlatformResponse.toClient(head, () => hello)[Message.responseHead], head)
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
