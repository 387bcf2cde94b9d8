/** What a server says of a request that it has received: all but its body. */
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { message } from "../e2e/support/Peer.ts"
import { assert, onEachServer } from "./support/Rows.ts"
import { ask, head, look, post, refused, seen } from "./support/Serving.ts"

onEachServer("a request", (row) => {
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "QUERY", "PROPFIND"]) {
    row(
      `has the method ${method}`,
      Effect.gen(function*() {
        assert.strictEqual(yield* look((request) => request.method, head(`${method} /`)), method)
      })
    )
  }

  row(
    "has the target as its url, byte for byte",
    Effect.gen(function*() {
      const target = "//a/../b/./%2F%20?x=%20&y&&=?"
      assert.strictEqual(yield* look((request) => request.url, head(`GET ${target}`)), target)
    })
  )

  row(
    "has * as the url of OPTIONS *",
    Effect.gen(function*() {
      const urls = yield* look(({ originalUrl, url }) => [url, originalUrl], head("OPTIONS *"))
      assert.deepStrictEqual(urls, ["*", "*"])
    })
  )

  row(
    "has an original url that names the host",
    Effect.gen(function*() {
      const request = message("GET /a?b HTTP/1.1", "Host: example.com:8080")
      assert.strictEqual(yield* look(({ originalUrl }) => originalUrl, request), "http://example.com:8080/a?b")
    })
  )

  row(
    "keeps its original url when the url is changed, as a router with a prefix does",
    Effect.gen(function*() {
      const changed = yield* look((request) => request.modify({ url: "/b" }), head("GET /a/b"))
      assert.deepStrictEqual([changed.url, changed.originalUrl], ["/b", "http://example.com/a/b"])
    })
  )

  row(
    "in absolute form has the path as its url, and the host of the target, whatever Host says (RFC 9112 §3.2.2)",
    Effect.gen(function*() {
      const request = message("GET http://target.example:81/a/../b?c HTTP/1.1", "Host: example.com")
      const said = yield* look(({ headers, originalUrl, url }) => [url, headers["host"], originalUrl], request)
      assert.deepStrictEqual(said, ["/b?c", "target.example:81", "http://target.example:81/a/../b?c"])
    })
  )

  row(
    "has a URL to parse",
    Effect.gen(function*() {
      const url = yield* look(HttpServerRequest.toURL, head("GET /a?b=c"))
      assert.strictEqual(Option.getOrThrow(url).href, "http://example.com/a?b=c")
    })
  )

  row(
    "has headers by lower-case name, without the space around values",
    Effect.gen(function*() {
      const headers = yield* look((request) => request.headers, head("GET /", "X-One:  a b \t", "x-two:", "X-THREE:3"))
      assert.strictEqual(headers["x-one"], "a b")
      assert.strictEqual(headers["x-two"], "")
      assert.deepStrictEqual(Headers.get(headers, "X-Three"), Option.some("3"))
      assert.isUndefined(headers["X-THREE"])
    })
  )

  row(
    "has repeated headers joined with a comma, in order",
    Effect.gen(function*() {
      const headers = yield* look((request) => request.headers, head("GET /", "X-A: 1", "X-B: 2", "x-a: 3", "X-A: 4"))
      assert.strictEqual(headers["x-a"], "1, 3, 4")
    })
  )

  row(
    "has the first of headers of which there is only one",
    Effect.gen(function*() {
      const fields = [
        "User-Agent: a",
        "User-Agent: b",
        "Authorization: c",
        "Authorization: d",
        "Referer: e",
        "Referer: f"
      ]
      const headers = yield* look((request) => request.headers, head("GET /", ...fields))
      const { authorization, referer, "user-agent": agent } = headers
      assert.deepStrictEqual([agent, authorization, referer], ["a", "c", "e"])
    })
  )

  row(
    "has bytes above 127 in headers as Latin-1",
    Effect.gen(function*() {
      assert.strictEqual(yield* look(({ headers }) => headers["x-a"], head("GET /", "X-A: \xe4\xff")), "\xe4\xff")
    })
  )

  row(
    "takes headers with the names of members of objects for what they are",
    Effect.gen(function*() {
      const headers = yield* look((request) => request.headers, head("GET /", "__proto__: a", "constructor: b"))
      assert.deepStrictEqual(Headers.get(headers, "constructor"), Option.some("b"))
    })
  )

  row(
    "has cookies of all its Cookie headers, decoded",
    Effect.gen(function*() {
      const request = head("GET /", "Cookie: a=1; b=\"two\"", "Cookie: c=%20x; d=y=z")
      const cookies = yield* look((request) => request.cookies, request)
      assert.deepStrictEqual({ ...cookies }, { a: "1", b: "two", c: " x", d: "y=z" })
    })
  )

  row(
    "without cookies has an empty record of them",
    Effect.gen(function*() {
      assert.deepStrictEqual({ ...(yield* look((request) => request.cookies, head("GET /"))) }, {})
    })
  )

  row(
    "has the address of the client as its remote address and as that of its peer",
    Effect.gen(function*() {
      const addresses = yield* look(({ peerAddress, remoteAddress }) => [remoteAddress, peerAddress], head("GET /"))
      assert.deepStrictEqual(addresses, [Option.some("127.0.0.1"), Option.some("127.0.0.1")])
    })
  )

  row(
    "has no protocol until a middleware sets one",
    Effect.gen(function*() {
      const protocols = yield* look((it) => [it.protocol, it.modify({ protocol: "https" }).protocol], head("GET /"))
      assert.deepStrictEqual(protocols, [undefined, "https"])
    })
  )

  row(
    "can be changed into another view, which leaves the first as it was",
    Effect.gen(function*() {
      const views = yield* look((request) => {
        const changed = request.modify({
          headers: Headers.fromInput({ cookie: "a=2" }),
          remoteAddress: Option.some("192.0.2.1"),
          peerAddress: Option.some("192.0.2.2")
        })
        return [request, changed, changed.modify({ url: "/c" })].map((view) => [
          view.url,
          view.method,
          view.cookies["a"],
          Option.getOrNull(view.remoteAddress),
          Option.getOrNull(view.peerAddress)
        ])
      }, head("PUT /a", "Cookie: a=1"))
      assert.deepStrictEqual(views, [
        ["/a", "PUT", "1", "127.0.0.1", "127.0.0.1"],
        ["/a", "PUT", "2", "192.0.2.1", "192.0.2.2"],
        ["/c", "PUT", "2", "192.0.2.1", "192.0.2.2"]
      ])
    })
  )

  row(
    "shows a changed remote address as that of the peer too, unless the peer's is said",
    Effect.gen(function*() {
      const changed = yield* look((it) => it.modify({ remoteAddress: Option.none() }), head("GET /"))
      assert.deepStrictEqual([changed.remoteAddress, changed.peerAddress], [Option.none(), Option.none()])
    })
  )

  row(
    "shares its body with its views, whoever reads it first",
    Effect.gen(function*() {
      const texts = yield* seen((request) => request.modify({ url: "/other" }).text, post("hello"))
      assert.strictEqual(texts, "hello")
    })
  )

  row(
    "has its headers decoded by a schema",
    Effect.gen(function*() {
      const decode = HttpServerRequest.schemaHeaders(Schema.Struct({ "x-n": Schema.FiniteFromString }))
      assert.deepStrictEqual(yield* seen(() => decode, head("GET /", "X-N: 7")), { "x-n": 7 })
    })
  )

  row(
    "has its cookies decoded by a schema",
    Effect.gen(function*() {
      const decode = HttpServerRequest.schemaCookies(Schema.Struct({ n: Schema.FiniteFromString }))
      assert.deepStrictEqual(yield* seen(() => decode, head("GET /", "Cookie: n=7")), { n: 7 })
    })
  )

  row(
    "whose headers do not fit the schema is answered with 400",
    Effect.gen(function*() {
      const decode = HttpServerRequest.schemaHeaders(Schema.Struct({ "x-n": Schema.FiniteFromString }))
      assert.strictEqual((yield* ask(Effect.as(decode, HttpServerResponse.empty()))).status, 400)
    })
  )

  row(
    "is shown in logs by method and url, with what is secret left out",
    Effect.gen(function*() {
      const json = yield* look((request) => JSON.stringify(request), head("GET /a", "Authorization: secret", "X-A: b"))
      assert.include(json, "http://example.com/a")
      assert.include(json, "\"x-a\":\"b\"")
      assert.notInclude(json, "secret")
    })
  )

  row(
    "becomes a request of a client with the same method, url, headers and body",
    Effect.gen(function*() {
      const sent = yield* look(HttpServerRequest.toClientRequest, post("hello", "X-A: b"))
      assert.deepStrictEqual([sent.method, sent.url, sent.headers["x-a"]], ["POST", "http://example.com/", "b"])
      assert.strictEqual(sent.body._tag, "Stream")
    })
  )

  row(
    "has a source of its own, which is an object",
    Effect.gen(function*() {
      assert.isObject(yield* look((request) => request.source, head("GET /")))
    })
  )

  row(
    "that does not ask for an upgrade cannot be upgraded",
    Effect.gen(function*() {
      const { error, status } = yield* refused((request) => request.upgrade, head("GET /"))
      assert.deepStrictEqual([error._tag, error.reason._tag, status], ["HttpServerError", "RequestParseError", 400])
    })
  )
})
