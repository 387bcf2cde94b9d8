/** Every client with every server: whole exchanges, as an application with a backend of its own kind has them. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import { ClientAbort } from "effect/http/HttpServerError"
import { HttpServerRequest, toClientRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import { assert, onEachServer } from "./support/Rows.ts"
import { port } from "./support/Serving.ts"
import { clients, type Differences, noUpgrades, type Served, type ServerName } from "./support/Subjects.ts"

const origin = Effect.map(port, (port) => `http://127.0.0.1:${port}`)

const echo = Effect.map(
  HttpServerRequest,
  ({ headers, stream }) =>
    HttpServerResponse.stream(stream, { contentType: headers["content-type"], headers: { "x-a": headers["x-a"] } })
)

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

onEachServer("an exchange", (row) => {
  for (const client of clients) {
    const pair = (
      name: string,
      run: Effect.Effect<unknown, unknown, HttpClient.HttpClient | Served | Scope.Scope>,
      differences: Differences<ServerName> = {}
    ) => row(`${name}, asked by ${client.name}`, Effect.provide(run, client.layer, { local: true }), differences)

    pair(
      "brings headers and bodies there and back",
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(echo)
        const response = yield* HttpClient.post(yield* origin, {
          headers: { "x-a": "b" },
          body: HttpBody.text("grüße", "text/x-a")
        })
        const { "content-type": type, "x-a": a } = response.headers
        assert.deepStrictEqual([type, a, yield* response.text], ["text/x-a", "b", "grüße"])
      })
    )

    pair(
      "goes both ways at once: the answer begins while the request goes on",
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(echo)
        const words = yield* Queue.unbounded<Uint8Array>()
        yield* Queue.offer(words, bytes("one"))
        const body = HttpBody.stream(Stream.take(Stream.fromQueue(words), 3))
        const { stream } = yield* HttpClient.post(yield* origin, { body })
        const next = ["two", "three"]
        const said = yield* stream.pipe(
          Stream.decodeText,
          Stream.tap(() => Queue.offerAll(words, next.splice(0, 1).map(bytes))),
          Stream.runCollect
        )
        assert.deepStrictEqual(said, ["one", "two", "three"])
      })
    )

    pair(
      "is one of many at once",
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(echo)
        const url = yield* origin
        const texts = Array.from({ length: 100 }, (_, i) => `${i}`.repeat(1_000))
        const answers = yield* Effect.forEach(
          texts,
          (text) => Effect.flatMap(HttpClient.post(url, { body: HttpBody.text(text) }), ({ text }) => text),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(answers, texts)
      })
    )

    pair(
      "that is interrupted by the client interrupts the handler",
      Effect.gen(function*() {
        const started = yield* Latch.make()
        const aborted = yield* Deferred.make<boolean>()
        yield* HttpServer.serveEffect(
          Effect.andThen(started.open, Effect.never).pipe(
            Effect.onExit((exit) =>
              Deferred.succeed(
                aborted,
                exit._tag === "Failure" &&
                  exit.cause.reasons.some(({ annotations }) => annotations.has(ClientAbort.key))
              )
            ),
            Effect.interruptible
          )
        )
        const fiber = yield* Effect.forkChild(HttpClient.get(yield* origin))
        yield* started.await
        yield* Fiber.interrupt(fiber)
        assert.isTrue(yield* Deferred.await(aborted))
      })
    )

    pair(
      "may be forwarded with the means of the platform",
      Effect.gen(function*() {
        const url = yield* origin
        const context = yield* Effect.context<HttpClient.HttpClient>()
        const forward = Effect.gen(function*() {
          const request = yield* HttpServerRequest
          if (request.url === "/echo") return yield* echo
          const response = yield* HttpClient.execute(
            HttpClientRequest.setUrl(toClientRequest(request), `${url}/echo`)
          )
          return HttpServerResponse.fromClientResponse(response)
        })
        yield* HttpServer.serveEffect(Effect.provideContext(forward, context))
        const response = yield* HttpClient.post(url, { headers: { "x-a": "b" }, body: HttpBody.text("hello") })
        assert.deepStrictEqual([response.headers["x-a"], yield* response.text], ["b", "hello"])
      })
    )

    pair(
      "may be upgraded",
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(Effect.gen(function*() {
          const socket = yield* (yield* HttpServerRequest).upgrade
          const { pull } = yield* socket.reader
          const { writeAll } = yield* socket.writer
          return yield* Effect.forever(Effect.flatMap(pull, writeAll))
        }))
        const response = yield* HttpClient.execute(
          HttpClientRequest.get(yield* origin).pipe(HttpClientRequest.upgrade("echo/1"))
        )
        const socket = yield* response.upgrade
        const pull = yield* Socket.readerString(socket)
        yield* (yield* socket.writer).write("hello")
        assert.strictEqual((yield* pull).join(""), "hello")
      }),
      noUpgrades
    )
  }
})
