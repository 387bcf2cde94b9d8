/** What a client gets when an application fails, or responds with what cannot be sent. */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerError, RouteNotFound } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import { assert, onEachServer } from "./support/Rows.ts"
import { type App, ask, connect, head } from "./support/Serving.ts"

class Teapot extends Data.TaggedError("Teapot") {
  [HttpServerRespondable.symbol]() {
    return Effect.succeed(HttpServerResponse.text("short and stout", { status: 418 }))
  }
}

class Broken extends Data.TaggedError("Broken") {
  [HttpServerRespondable.symbol]() {
    return Effect.fail("no response either")
  }
}

const routeNotFound = Effect.flatMap(
  HttpServerRequest,
  (request) => Effect.fail(new HttpServerError({ reason: new RouteNotFound({ request }) }))
)

const failures: ReadonlyArray<
  readonly [what: string, app: App<unknown, HttpServerRequest>, status: number, body: string]
> = [
  ["fails", Effect.fail("a reason"), 500, ""],
  ["dies", Effect.die(new Error("a defect")), 500, ""],
  ["throws", Effect.sync(() => assert.fail("a defect")), 500, ""],
  ["is interrupted by itself", Effect.interrupt, 503, ""],
  ["finds no route", routeNotFound, 404, ""],
  ["does not find an element", Effect.fail(new Cause.NoSuchElementError()), 404, ""],
  ["fails with an error that knows its response", Effect.fail(new Teapot()), 418, "short and stout"],
  ["dies of an error that knows its response", Effect.die(new Teapot()), 418, "short and stout"],
  ["fails with an error whose response fails", Effect.fail(new Broken()), 500, ""],
  ["fails with a response", Effect.fail(HttpServerResponse.text("no", { status: 409 })), 409, "no"],
  ["dies with a response", Effect.die(HttpServerResponse.text("no", { status: 409 })), 409, "no"]
]

onEachServer("an application that", (row) => {
  for (const [what, app, status, body] of failures) {
    row(
      `${what} is answered for with ${status}`,
      Effect.gen(function*() {
        const answer = yield* ask(app)
        assert.deepStrictEqual([answer.status, answer.ending, answer.body.toString()], [status, "complete", body])
      })
    )
  }

  row(
    "fails once serves the next request of the connection",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(
        Effect.flatMap(
          HttpServerRequest,
          ({ url }) => url === "/fail" ? Effect.die("a defect") : Effect.succeed(HttpServerResponse.text("fine"))
        )
      )
      const peer = yield* connect
      assert.strictEqual((yield* Effect.promise(() => peer.exchange(head("GET /fail")))).status, 500)
      assert.strictEqual((yield* Effect.promise(() => peer.exchange(head("GET /")))).body.toString(), "fine")
    })
  )
})

const injection = "a\r\nX-Injected: yes\r\n\r\nGET / HTTP/1.1"

const unsendable: ReadonlyArray<readonly [what: string, response: HttpServerResponse.HttpServerResponse]> = [
  ["the value of a header has a line break", HttpServerResponse.text("x", { headers: { "x-a": injection } })],
  ["the value of a header has a NUL", HttpServerResponse.text("x", { headers: { "x-a": "a\0" } })],
  ["the value of a header has a character beyond Latin-1", HttpServerResponse.text("x", { headers: { "x-a": "€" } })],
  ["the name of a header has a line break", HttpServerResponse.text("x", { headers: { [injection]: "a" } })],
  ["the name of a header has a space", HttpServerResponse.text("x", { headers: { "x a": "a" } })],
  ["a Set-Cookie header has a line break", HttpServerResponse.text("x", { headers: { "set-cookie": injection } })],
  ["the protocol that it offers has a line break", HttpServerResponse.text("x", { headers: { upgrade: injection } })],
  ["the type has a line break", HttpServerResponse.text("x", { contentType: injection })],
  ["the status is an interim one", HttpServerResponse.text("x", { status: 103 })],
  ["the status is 101 without an upgrade", HttpServerResponse.empty({ status: 101 })],
  ["the status is above 599", HttpServerResponse.text("x", { status: 600 })],
  ["the status is no number", HttpServerResponse.text("x", { status: NaN })],
  ["the head of a stream has a line break", HttpServerResponse.stream(Stream.never, { headers: { "x-a": injection } })]
]

onEachServer("a response", (row) => {
  for (const [what, response] of unsendable) {
    row(
      `is replaced by 500 when ${what}, and nothing of it is sent`,
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(
          Effect.map(HttpServerRequest, ({ url }) => url === "/bad" ? response : HttpServerResponse.text("fine"))
        )
        const peer = yield* connect
        const answer = yield* Effect.promise(() => peer.exchange(head("GET /bad")))
        assert.deepStrictEqual([answer.status, answer.body.toString()], [500, ""])
        assert.notMatch(answer.fields.join("\n"), /injected|x-a|set-cookie/i)
        // What came was one answer and no more than that.
        assert.strictEqual((yield* Effect.promise(() => peer.exchange(head("GET /")))).body.toString(), "fine")
      })
    )
  }

  row(
    "whose phrase has a line break is not sent",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.text("x", { statusText: injection })))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /", "Connection: close")))
      yield* Effect.promise(() => peer.untilOver())
      assert.notMatch(peer.unread, /^HTTP\/1.1 200|injected/i)
    })
  )

  const some = Stream.make(new TextEncoder().encode("some"))
  const nothing = Stream.empty

  const streamed = (end: Stream.Stream<never, string>, contentLength?: number) => (gate: Latch.Latch) =>
    HttpServerResponse.stream(
      Stream.concat(some, Stream.unwrap(Effect.as(gate.await, end))),
      contentLength === undefined ? {} : { contentLength }
    )

  const piped = (end: () => void, contentLength?: number) => (gate: Latch.Latch) =>
    HttpServerResponse.raw(
      Readable.from((async function*() {
        yield "some"
        await Effect.runPromise(gate.await)
        end()
      })()),
      contentLength === undefined ? {} : { contentLength }
    )

  const fail = () => assert.fail("a reason")

  for (
    const [what, make] of [
      ["a stream that fails", streamed(Stream.fail("a reason"))],
      ["a stream that dies", streamed(Stream.die("a defect"))],
      ["a stream of a known length that fails", streamed(Stream.fail("a reason"), 9)],
      ["a stream that is shorter than its length", streamed(nothing, 9)],
      ["a Node stream that fails", piped(fail)],
      ["a Node stream of a known length that fails", piped(fail, 9)],
      ["a Node stream that is shorter than its length", piped(() => {}, 9)]
    ] as const
  ) {
    row(
      `of ${what} is broken off, so that it does not look complete`,
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        yield* HttpServer.serveEffect(Effect.sync(() => make(gate)))
        const peer = yield* connect
        yield* Effect.promise(() => peer.send(head("GET /")))
        assert.match(yield* Effect.promise(() => peer.untilText("some")), /^HTTP\/1.1 200 OK\r\n/)
        yield* gate.open
        yield* Effect.promise(() => peer.untilOver())
        // No more than the end of the chunk.
        assert.include(["", "\r\n"], peer.unread)
      })
    )
  }

  for (
    const [what, make] of [
      ["a stream", () => HttpServerResponse.stream(some, { contentLength: 2 })],
      ["a Node stream", () => HttpServerResponse.raw(Readable.from(["some"]), { contentLength: 2 })]
    ] as const
  ) {
    row(
      `of ${what} that is longer than its length does not spill into the next response`,
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(Effect.sync(make))
        const peer = yield* connect
        yield* Effect.promise(() => peer.send(head("GET /")))
        yield* Effect.promise(() => peer.untilOver())
        assert.notMatch(peer.unread, /some/)
      })
    )
  }

  row(
    "whose length header is wrong for its text is not sent as if it were right",
    Effect.gen(function*() {
      const response = HttpServerResponse.text("hello").pipe(HttpServerResponse.setHeader("content-length", "9"))
      yield* HttpServer.serveEffect(Effect.succeed(response))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("GET /")))
      yield* Effect.promise(() => peer.until(() => peer.unread !== "" || peer.over, "an answer or an end"))
      assert.notMatch(peer.unread, /^HTTP\/1.1 200/)
    })
  )
})
