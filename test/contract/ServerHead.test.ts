/** The heads that a server makes of responses. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { value, values } from "../e2e/support/Peer.ts"
import { assert, onEachServer } from "./support/Rows.ts"
import { answerOf, head } from "./support/Serving.ts"

onEachServer("the head of a response", (row) => {
  row(
    "has the status, with the usual phrase",
    Effect.gen(function*() {
      const { reason, status } = yield* answerOf(HttpServerResponse.empty({ status: 404 }))
      assert.deepStrictEqual([status, reason], [404, "Not Found"])
    })
  )

  row(
    "has the phrase that the application wants",
    Effect.gen(function*() {
      const { line } = yield* answerOf(HttpServerResponse.text("x", { status: 299, statusText: "Quite Well" }))
      assert.strictEqual(line, "HTTP/1.1 299 Quite Well")
    })
  )

  row(
    "has the headers, and a date",
    Effect.gen(function*() {
      const answer = yield* answerOf(HttpServerResponse.text("x", { headers: { "X-A": "b", "x-c": "" } }))
      assert.deepStrictEqual([value(answer, "x-a"), value(answer, "x-c")], ["b", ""])
      assert.match(value(answer, "date") ?? "", /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/)
    })
  )

  row(
    "has the date that the application wants",
    Effect.gen(function*() {
      const date = "Thu, 01 Jan 1970 00:00:00 GMT"
      assert.strictEqual(value(yield* answerOf(HttpServerResponse.text("x", { headers: { date } })), "date"), date)
    })
  )

  row(
    "has values above 127 as Latin-1",
    Effect.gen(function*() {
      assert.strictEqual(value(yield* answerOf(HttpServerResponse.text("", { headers: { "x-a": "ä" } })), "x-a"), "ä")
    })
  )

  row(
    "has each cookie in a line of its own",
    Effect.gen(function*() {
      const response = HttpServerResponse.text("x").pipe(
        HttpServerResponse.setCookieUnsafe("a", "1 2", { httpOnly: true, path: "/" }),
        HttpServerResponse.setCookieUnsafe("b", "3")
      )
      assert.deepStrictEqual(values(yield* answerOf(response), "set-cookie"), ["a=1%202; Path=/; HttpOnly", "b=3"])
    })
  )

  row(
    "has cookies beside a Set-Cookie header",
    Effect.gen(function*() {
      const response = HttpServerResponse.text("x", { headers: { "set-cookie": "c=4" } }).pipe(
        HttpServerResponse.setCookieUnsafe("a", "1")
      )
      assert.deepStrictEqual(values(yield* answerOf(response), "set-cookie"), ["a=1", "c=4"])
    })
  )

  row(
    "closes the connection when the application says so",
    Effect.gen(function*() {
      const answer = yield* answerOf(HttpServerResponse.text("x", { headers: { connection: "close" } }))
      assert.strictEqual(value(answer, "connection"), "close")
    })
  )

  row(
    "closes the connection when the client says so",
    Effect.gen(function*() {
      const answer = yield* answerOf(HttpServerResponse.text("x"), head("GET /", "Connection: close"))
      assert.strictEqual(value(answer, "connection"), "close")
    })
  )
})
