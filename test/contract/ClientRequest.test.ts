/** The heads of requests that a client sends, as a backend sees them. */
import * as Effect from "effect/Effect"
import type * as Cookies from "effect/http/Cookies"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Ref from "effect/Ref"
import { value, values } from "../e2e/support/Peer.ts"
import { answer, answering, silent } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"

/** The request that a backend gets. */
const sent = (make: (origin: string) => HttpClientRequest.HttpClientRequest) =>
  Effect.gen(function*() {
    const { origin, requests } = yield* silent
    yield* HttpClient.execute(make(origin))
    assert.strictEqual(requests.length, 1)
    return requests[0]!
  })

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
