/** The heads of requests that a client sends, as a backend sees them, and the spans that they name. */
import * as Effect from "effect/Effect"
import type * as Cookies from "effect/http/Cookies"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { message, value, values } from "../e2e/support/Peer.ts"
import { sent } from "./support/Asking.ts"
import { answer, answering, silent } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"
import { traced } from "./support/Tracing.ts"

onEachClient("a request", (row) => {
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "QUERY"] as const) {
    row(
      `is sent with the method ${method}`,
      Effect.gen(function*() {
        assert.strictEqual((yield* sent((origin) => HttpClientRequest.make(method)(origin))).method, method)
      })
    )
  }

  row(
    "is sent to the path and with the query of its URL",
    Effect.gen(function*() {
      const request = yield* sent((origin) => HttpClientRequest.get(`${origin}/a/b%2Fc?d=e%20f&g`))
      assert.strictEqual(request.target, "/a/b%2Fc?d=e%20f&g")
    })
  )

  row(
    "is sent with its parameters after the query of its URL, and without its hash",
    Effect.gen(function*() {
      const request = yield* sent((origin) =>
        HttpClientRequest.get(`${origin}/a?b=1`).pipe(
          HttpClientRequest.appendUrlParams({ c: "2 3", d: ["4", "5"] }),
          HttpClientRequest.setHash("hash")
        )
      )
      assert.strictEqual(request.target, "/a?b=1&c=2+3&d=4&d=5")
    })
  )

  row(
    "is sent to / when its URL has no path",
    Effect.gen(function*() {
      assert.strictEqual((yield* sent((origin) => HttpClientRequest.get(origin))).target, "/")
    })
  )

  row(
    "names the host and port of its URL",
    Effect.gen(function*() {
      const { origin, requests } = yield* silent
      yield* HttpClient.get(`${origin}/`)
      assert.strictEqual(value(requests[0]!, "host"), new URL(origin).host)
    })
  )

  row(
    "may name another host",
    Effect.gen(function*() {
      const request = yield* sent((origin) => HttpClientRequest.get(origin, { headers: { host: "example.com" } }))
      assert.deepStrictEqual(values(request, "host"), ["example.com"])
    })
  )

  row(
    "has its headers",
    Effect.gen(function*() {
      const request = yield* sent((origin) =>
        HttpClientRequest.get(origin, { headers: { "X-A": "b", cookie: "c=d" } }).pipe(
          HttpClientRequest.bearerToken("secret"),
          HttpClientRequest.acceptJson
        )
      )
      const sentHeaders = ["x-a", "cookie", "authorization", "accept"].map((name) => value(request, name))
      assert.deepStrictEqual(sentHeaders, ["b", "c=d", "Bearer secret", "application/json"])
    })
  )

  row(
    "has the cookies that earlier responses have set",
    Effect.gen(function*() {
      const { origin, requests } = yield* answering(answer("", "Set-Cookie: a=1", "Set-Cookie: b=2; Path=/"))
      const jar = yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([])
      const client = HttpClient.withCookiesRef(yield* HttpClient.HttpClient, jar)
      yield* client.get(origin)
      yield* client.get(origin)
      assert.deepStrictEqual(requests.map((request) => value(request, "cookie")), [undefined, "a=1; b=2"])
    })
  )

  row(
    "may be prepared by the client",
    Effect.gen(function*() {
      const { origin, requests } = yield* silent
      const client = HttpClient.mapRequest(yield* HttpClient.HttpClient, HttpClientRequest.prependUrl(`${origin}/api`))
      yield* client.get("/users")
      assert.strictEqual(requests[0]!.target, "/api/users")
    })
  )
})

onEachClient("a span of the client", (row) => {
  row(
    "has the method as its name, and says what was asked and answered",
    Effect.gen(function*() {
      const { ended, trace } = yield* traced
      const { origin } = yield* answering(answer("hello"))
      yield* trace(HttpClient.get(`${origin}/a?b=c`))
      const { exit, span } = yield* ended
      assert.deepStrictEqual([span.name, span.kind, exit._tag], ["GET", "client", "Success"])
      const { attributes } = span
      assert.strictEqual(attributes.get("http.request.method"), "GET")
      assert.strictEqual(attributes.get("url.full"), `${origin}/a?b=c`)
      assert.strictEqual(attributes.get("server.address"), "127.0.0.1")
      assert.strictEqual(attributes.get("http.response.status_code"), 200)
    })
  )

  row(
    "is named to the backend, in the formats of W3C and B3",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const { origin, requests } = yield* answering(answer("hello"))
      yield* trace(HttpClient.get(origin))
      const { spanId, traceId } = spans[0]!
      assert.strictEqual(value(requests[0]!, "traceparent"), `00-${traceId}-${spanId}-01`)
      assert.strictEqual(value(requests[0]!, "b3"), `${traceId}-${spanId}-1`)
    })
  )

  row(
    "is the child of the span that it was asked in",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const { origin } = yield* answering(answer("hello"))
      yield* trace(Effect.withSpan(HttpClient.get(origin), "outer"))
      const [outer, inner] = spans
      assert.strictEqual(outer!.name, "outer")
      assert.strictEqual(Option.getOrThrow(inner!.parent).spanId, outer!.spanId)
    })
  )

  for (
    const [what, bytes, type] of [
      ["the status is an error", message("HTTP/1.1 404 Not Found", "Content-Length: 0"), "404"],
      ["there is no answer", "nonsense\r\n\r\n", undefined]
    ] as const
  ) {
    row(
      `fails when ${what}`,
      Effect.gen(function*() {
        const { ended, trace } = yield* traced
        const { origin } = yield* answering(bytes)
        yield* Effect.exit(trace(HttpClient.get(origin)))
        const { exit, span } = yield* ended
        assert.deepStrictEqual([exit._tag, span.attributes.get("error.type")], ["Failure", type])
      })
    )
  }

  row(
    "is not made, nor named, where tracing is disabled",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const { origin, requests } = yield* answering(answer("hello"))
      yield* trace(HttpClient.get(origin)).pipe(
        Effect.provideService(HttpClient.TracerDisabledWhen, ({ method }) => method === "GET")
      )
      assert.deepStrictEqual(spans, [])
      assert.deepStrictEqual(["traceparent", "b3"].map((name) => value(requests[0]!, name)), [undefined, undefined])
    })
  )

  row(
    "is not named where propagation is off",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const { origin, requests } = yield* answering(answer("hello"))
      yield* trace(HttpClient.get(origin)).pipe(Effect.provideService(HttpClient.TracerPropagationEnabled, false))
      assert.strictEqual(spans.length, 1)
      assert.deepStrictEqual(["traceparent", "b3"].map((name) => value(requests[0]!, name)), [undefined, undefined])
    })
  )
})
