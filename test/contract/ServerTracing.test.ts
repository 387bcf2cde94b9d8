/** The spans that a server makes. */
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { assert, onEachServer } from "./support/Rows.ts"
import { ask, connect, head } from "./support/Serving.ts"
import { traced } from "./support/Tracing.ts"

const hello = Effect.succeed(HttpServerResponse.text("hello"))

const traceId = "0af7651916cd43dd8448eb211c80319c"
const traceparent = `traceparent: 00-${traceId}-b7ad6b7169203331-01`

onEachServer("a span of the server", (row) => {
  row(
    "has the method as its name, and says what was asked and answered",
    Effect.gen(function*() {
      const { ended, trace } = yield* traced
      const request = head("GET /a?b=c", "User-Agent: test")
      yield* trace(ask(Effect.succeed(HttpServerResponse.empty()), request))
      const { exit, span } = yield* ended
      assert.deepStrictEqual([span.name, span.kind, exit._tag], ["GET", "server", "Success"])
      const { attributes } = span
      assert.strictEqual(attributes.get("http.request.method"), "GET")
      assert.strictEqual(attributes.get("url.path"), "/a")
      assert.strictEqual(attributes.get("url.full"), "http://example.com/a?b=c")
      assert.strictEqual(attributes.get("user_agent.original"), "test")
      assert.strictEqual(attributes.get("client.address"), "127.0.0.1")
      assert.strictEqual(attributes.get("http.response.status_code"), 204)
    })
  )

  for (
    const [format, field] of [
      ["W3C", traceparent],
      ["B3", `b3: ${traceId}-b7ad6b7169203331-1`]
    ] as const
  ) {
    row(
      `has the parent that the client names, in the format of ${format}`,
      Effect.gen(function*() {
        const { ended, trace } = yield* traced
        yield* trace(ask(hello, head("GET /", field)))
        const { span } = yield* ended
        assert.strictEqual(span.traceId, traceId)
        assert.strictEqual(Option.getOrThrow(span.parent).spanId, "b7ad6b7169203331")
      })
    )
  }

  row(
    "is the parent of spans of the handler, whatever span there was when it was served",
    Effect.gen(function*() {
      const { ended, trace } = yield* traced
      const app = Effect.map(Effect.orDie(Effect.currentSpan), ({ spanId }) => HttpServerResponse.text(spanId))
      const answer = yield* trace(ask(app))
      assert.strictEqual(answer.body.toString(), (yield* ended).span.spanId)
    })
  )

  row(
    "fails when the answer is 500",
    Effect.gen(function*() {
      const { ended, trace } = yield* traced
      yield* trace(ask(Effect.fail("a reason")))
      const { exit, span } = yield* ended
      assert.deepStrictEqual([exit._tag, span.attributes.get("http.response.status_code")], ["Failure", 500])
    })
  )

  row(
    "lasts until the body is sent",
    Effect.gen(function*() {
      const { ended, trace } = yield* traced
      const proceed = yield* Latch.make()
      const bytes = new Uint8Array([1])
      const stream = Stream.concat(Stream.make(bytes), Stream.fromEffect(Effect.as(proceed.await, bytes)))
      yield* trace(HttpServer.serveEffect(Effect.succeed(HttpServerResponse.stream(stream))))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* Effect.promise(() => peer.until(() => peer.unread.endsWith("\x01\r\n"), "the first byte"))
      assert.isUndefined((yield* Effect.forkChild(ended)).pollUnsafe())
      yield* proceed.open
      assert.strictEqual((yield* ended).exit._tag, "Success")
    })
  )

  row(
    "is not made where tracing is disabled",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const app = Effect.map(Effect.option(Effect.currentSpan), (span) => HttpServerResponse.text(span._tag))
      const answer = yield* trace(ask(app)).pipe(
        Effect.provideService(HttpMiddleware.TracerDisabledWhen, ({ url }) => url === "/")
      )
      assert.deepStrictEqual([answer.body.toString(), spans], ["None", []])
    })
  )
})
