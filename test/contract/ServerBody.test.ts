/** The body of a request that a server has received, however it is read. */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MaxBodySize } from "effect/http/HttpIncomingMessage"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest, schemaBodyJson, schemaBodyUrlParams } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { assert, onEachServer } from "./support/Rows.ts"
import { ask, connect, head, notSoon, post, refused, seen, utf8 } from "./support/Serving.ts"

const chunked = (...chunks: ReadonlyArray<string>): string =>
  head("POST /", "Transfer-Encoding: chunked") +
  chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("") +
  "0\r\n\r\n"

const limited = Effect.provideService(MaxBodySize, ByteSize.bytes(4))

const text = Effect.flatMap(HttpServerRequest, (request) => request.text)
const echo = Effect.map(text, (text) => HttpServerResponse.text(text))

/** More than fits into the buffers of two sockets. */
const large = "0123456789abcdef".repeat(2 ** 19)

onEachServer("the body of a request", (row) => {
  row(
    "is text, decoded as UTF-8",
    Effect.gen(function*() {
      assert.strictEqual(yield* seen((request) => request.text, post(utf8("grüße"))), "grüße")
    })
  )

  row(
    "is text, when it comes in chunks that split a character",
    Effect.gen(function*() {
      assert.strictEqual(yield* seen((request) => request.text, chunked("gr\xc3", "\xbc\xc3\x9fe")), "grüße")
    })
  )

  row(
    "is bytes",
    Effect.gen(function*() {
      const buffer = yield* seen((request) => request.arrayBuffer, post("\x00\xff\r\n\x80"))
      assert.deepStrictEqual([...new Uint8Array(buffer)], [0, 255, 13, 10, 128])
    })
  )

  row(
    "is JSON",
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* seen((request) => request.json, post("{\"a\":[1,null]}")), { a: [1, null] })
    })
  )

  row(
    "is null as JSON when it is empty",
    Effect.gen(function*() {
      assert.isNull(yield* seen((request) => request.json, head("GET /")))
      assert.isNull(yield* seen((request) => request.json, post("")))
    })
  )

  row(
    "that is no JSON fails as a RequestParseError, which is answered with 400",
    Effect.gen(function*() {
      const { error, status } = yield* refused((request) => request.json, post("{"))
      assert(error.reason._tag === "RequestParseError")
      assert.deepStrictEqual([error.reason.reason, error.request.method, status], ["Parse", "POST", 400])
    })
  )

  row(
    "is a form",
    Effect.gen(function*() {
      const params = yield* seen((request) => request.urlParamsBody, post("a=1&b=x+y%21&a=2"))
      assert.deepStrictEqual(UrlParams.getAll(params, "a"), ["1", "2"])
      assert.deepStrictEqual(UrlParams.getAll(params, "b"), ["x y!"])
    })
  )

  row(
    "is a form whose first name may begin with a question mark",
    Effect.gen(function*() {
      const params = yield* seen((request) => request.urlParamsBody, post("?a=1"))
      assert.deepStrictEqual(UrlParams.getAll(params, "?a"), ["1"])
    })
  )

  row(
    "is a stream of bytes",
    Effect.gen(function*() {
      const texts = yield* seen((it) => Stream.mkString(Stream.decodeText(it.stream)), chunked("one ", "two ", "three"))
      assert.strictEqual(texts, "one two three")
    })
  )

  row(
    "is an empty stream when there is none",
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* seen((request) => Stream.runCollect(request.stream), head("GET /")), [])
    })
  )

  row(
    "is a stream whose first bytes are there before the last are sent",
    Effect.gen(function*() {
      const first = yield* Latch.make()
      yield* HttpServer.serveEffect(Effect.gen(function*() {
        const { stream } = yield* HttpServerRequest
        const all = yield* Stream.mkString(Stream.decodeText(Stream.tap(stream, () => first.open)))
        return HttpServerResponse.text(all)
      }))
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("POST /", "Content-Length: 8") + "now "))
      yield* first.await
      const answer = yield* Effect.promise(() => peer.exchange("then"))
      assert.strictEqual(answer.body.toString(), "now then")
    })
  )

  row(
    "is read once and kept: text, JSON and bytes can be asked for again",
    Effect.gen(function*() {
      const read = yield* seen(
        (request) => Effect.all([request.text, request.json, request.arrayBuffer, request.text, request.urlParamsBody]),
        post("7")
      )
      const [one, json, buffer, two] = read
      assert.deepStrictEqual([one, json, buffer.byteLength, two], ["7", 7, 1, "7"])
    })
  )

  row(
    "can be asked for by two fibers at once",
    Effect.gen(function*() {
      const read = yield* seen(({ text }) => Effect.all([text, text], { concurrency: 2 }), post("hello"))
      assert.deepStrictEqual(read, ["hello", "hello"])
    })
  )

  row(
    "arrives whole when it is large",
    Effect.gen(function*() {
      const buffer = yield* seen((request) => request.arrayBuffer, post(large))
      assert.isTrue(Buffer.from(buffer).equals(Buffer.from(large)))
    })
  )

  row(
    "waits with the client while nobody reads on",
    Effect.gen(function*() {
      const proceed = yield* Latch.make()
      const started = yield* Latch.make()
      let length = 0
      yield* HttpServer.serveEffect(Effect.gen(function*() {
        const { stream } = yield* HttpServerRequest
        yield* Stream.runForEach(stream, (chunk) => {
          length += chunk.length
          return Effect.andThen(started.open, proceed.await)
        })
        return HttpServerResponse.empty()
      }))
      const peer = yield* connect
      // More than the kernel's buffers, so that what it takes shows how much the server has read.
      const chunk = Buffer.alloc(2 ** 20)
      const total = 32 * chunk.length
      const sending = yield* Effect.forkScoped(Effect.promise(async () => {
        await peer.send(head("POST /", `Content-Length: ${total}`))
        for (let sent = 0; sent < total; sent += chunk.length) await peer.send(chunk)
      }))
      yield* started.await
      yield* notSoon(Fiber.join(sending), "all of it was taken")
      yield* proceed.open
      yield* Fiber.join(sending)
      assert.strictEqual((yield* Effect.promise(() => peer.response())).status, 204)
      assert.strictEqual(length, total)
    })
  )

  for (
    const [framing, request] of [["known beforehand", post("hello")], ["in chunks", chunked("he", "llo")]] as const
  ) {
    row(
      `that is larger than MaxBodySize fails, its length ${framing}, and the client gets 413`,
      Effect.gen(function*() {
        const { error, status } = yield* refused(({ text }) => limited(text), request)
        assert(error.reason._tag === "RequestParseError")
        assert.deepStrictEqual([error.reason.reason, status], ["BodyTooLarge", 413])
      })
    )
  }

  row(
    "may be as large as MaxBodySize",
    Effect.gen(function*() {
      assert.strictEqual((yield* ask(limited(echo), post("four"))).body.toString(), "four")
    })
  )

  row(
    "is not limited by MaxBodySize as a stream",
    Effect.gen(function*() {
      const length = yield* seen(
        ({ stream }) => limited(Stream.runCount(Stream.flattenIterable(stream))),
        post("hello")
      )
      assert.strictEqual(length, 5)
    })
  )

  row(
    "that ends before its length fails",
    Effect.gen(function*() {
      const failed = yield* Latch.make()
      let tag = ""
      yield* HttpServer.serveEffect(
        Effect.flatMap(HttpServerRequest, ({ text }) => text).pipe(
          Effect.catch((error) => {
            tag = error.reason._tag
            return failed.open
          }),
          Effect.as(HttpServerResponse.empty())
        )
      )
      const peer = yield* connect
      yield* Effect.promise(() => peer.send(head("POST /", "Content-Length: 10") + "half"))
      peer.end()
      yield* failed.await
      assert.strictEqual(tag, "RequestParseError")
    })
  )

  row(
    "is decoded by a schema from JSON",
    Effect.gen(function*() {
      const decode = schemaBodyJson(Schema.Struct({ at: Schema.FiniteFromString }))
      assert.deepStrictEqual(yield* seen(() => decode, post("{\"at\":\"7\"}")), { at: 7 })
    })
  )

  row(
    "that does not fit its schema fails as a SchemaError, which is answered with 400",
    Effect.gen(function*() {
      const { error, status } = yield* refused(() => schemaBodyJson(Schema.Struct({ at: Schema.String })), post("{}"))
      assert.deepStrictEqual([error._tag, status], ["SchemaError", 400])
    })
  )

  row(
    "is decoded by a schema from a form",
    Effect.gen(function*() {
      const decode = schemaBodyUrlParams(Schema.Struct({ at: Schema.FiniteFromString }))
      assert.deepStrictEqual(yield* seen(() => decode, post("at=7")), { at: 7 })
    })
  )
})
