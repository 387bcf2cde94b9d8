/** What becomes of a body that nobody reads, and of one that is sent only when somebody does. */
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { value } from "../e2e/support/Peer.ts"
import { assert, onEachServer } from "./support/Rows.ts"
import { connect, head, post } from "./support/Serving.ts"

const chunked = (...chunks: ReadonlyArray<string>): string =>
  head("POST /", "Transfer-Encoding: chunked") +
  chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("") +
  "0\r\n\r\n"

const text = Effect.flatMap(HttpServerRequest, (request) => request.text)
const echo = Effect.map(text, (text) => HttpServerResponse.text(text))
const ignore = Effect.succeed(HttpServerResponse.text("done"))

/** More than fits into the buffers of two sockets. */
const large = "0123456789abcdef".repeat(2 ** 19)

onEachServer("a body that nobody reads", (row) => {
  for (const [framing, request] of [["of a known length", post("hello")], ["in chunks", chunked("hello")]] as const) {
    row(
      `and that is ${framing} is not taken for the next request`,
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(ignore)
        const peer = yield* connect
        for (let i = 0; i < 3; i++) {
          assert.strictEqual((yield* Effect.promise(() => peer.exchange(request))).body.toString(), "done")
        }
      })
    )
  }

  row(
    "and that comes after the answer does not hurt the next request",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(ignore)
      const peer = yield* connect
      const early = yield* Effect.promise(() => peer.exchange(head("POST /", "Content-Length: 5")))
      const next = yield* Effect.promise(() => peer.exchange("hello" + head("GET /")))
      assert.deepStrictEqual([early, next].map(({ body }) => body.toString()), ["done", "done"])
    })
  )

  row(
    "and that is large costs the connection, but not the answer, even if its length is not known",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(ignore)
      const counted = yield* connect
      const inChunks = yield* connect
      void counted.send(post(large))
      void inChunks.send(chunked(...Array.from({ length: 64 }, () => "x".repeat(2 ** 18))))
      const answers = yield* Effect.promise(() => Promise.all([counted.response(), inChunks.response()]))
      assert.deepStrictEqual(answers.map(({ body }) => body.toString()), ["done", "done"])
      assert.strictEqual(value(answers[0], "connection"), "close")
      yield* Effect.promise(() => Promise.all([counted.untilOver(), inChunks.untilOver()]))
    })
  )

  row(
    "to its end, but only in part, does not hurt the next request",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(
        Effect.flatMap(HttpServerRequest, ({ stream }) => Stream.runDrain(Stream.take(stream, 1))).pipe(
          Effect.andThen(ignore)
        )
      )
      const peer = yield* connect
      for (let i = 0; i < 3; i++) {
        const answer = yield* Effect.promise(() => peer.exchange(chunked("x".repeat(1_000), "y".repeat(100_000))))
        assert.strictEqual(answer.body.toString(), "done")
      }
    })
  )
})

onEachServer("a client that waits for 100 Continue", (row) => {
  const expecting = head("POST /", "Content-Length: 5", "Expect: 100-continue")

  for (
    const [how, app] of [
      ["text", echo],
      [
        "a stream",
        Effect.flatMap(HttpServerRequest, ({ stream }) => Stream.mkString(Stream.decodeText(stream))).pipe(
          Effect.map((text) => HttpServerResponse.text(text))
        )
      ]
    ] as const
  ) {
    row(
      `gets it when the body is read as ${how}`,
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(app)
        const peer = yield* connect
        const interim = yield* Effect.promise(() => peer.exchange(expecting))
        assert.strictEqual(interim.status, 100)
        const answer = yield* Effect.promise(() => peer.exchange("hello"))
        assert.deepStrictEqual([answer.status, answer.body.toString()], [200, "hello"])
      })
    )
  }

  row(
    "gets it once, whoever reads",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(Effect.gen(function*() {
        const request = yield* HttpServerRequest
        yield* request.modify({ url: "/b" }).text
        return HttpServerResponse.text(yield* request.text.pipe(Effect.orElseSucceed(() => "")))
      }))
      const peer = yield* connect
      assert.strictEqual((yield* Effect.promise(() => peer.exchange(expecting))).status, 100)
      assert.strictEqual((yield* Effect.promise(() => peer.exchange("hello"))).status, 200)
    })
  )

  row(
    "gets the answer at once when nobody reads, and may not send another request",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(ignore)
      const peer = yield* connect
      const answer = yield* Effect.promise(() => peer.exchange(expecting))
      assert.deepStrictEqual([answer.status, answer.body.toString()], [200, "done"])
      yield* Effect.promise(() => peer.untilOver())
    })
  )
})
