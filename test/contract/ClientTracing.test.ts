/** The spans that a client makes. */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Option from "effect/Option"
import { message, value } from "../e2e/support/Peer.ts"
import { answer, answering } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"
import { traced } from "./support/Tracing.ts"

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
