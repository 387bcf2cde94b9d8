/** The body of a response, however a client reads it. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { gzipSync } from "node:zlib"
import { message } from "../e2e/support/Peer.ts"
import { answer, answering, backend, chunked, closing } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"
import { notSoon, utf8 } from "./support/Serving.ts"

/** The response to a GET that is answered with these bytes. */
const got = (bytes: string | Uint8Array) =>
  Effect.flatMap(answering(bytes), ({ origin }) => HttpClient.get(`${origin}/`))

/** An answer whose body ends with the connection. */
const untilClose = (body: string) =>
  Effect.map(
    backend(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 200 OK") + body)
      peer.end()
    }),
    ({ origin }) => origin
  )

const texts = <E>(stream: Stream.Stream<Uint8Array, E>) => Stream.mkString(Stream.decodeText(stream))

onEachClient("the body of a response", (row) => {
  row(
    "is text, decoded as UTF-8",
    Effect.gen(function*() {
      assert.strictEqual(yield* (yield* got(answer(utf8("grüße")))).text, "grüße")
    })
  )

  row(
    "is bytes",
    Effect.gen(function*() {
      const buffer = yield* (yield* got(answer("\x00\xff\r\n"))).arrayBuffer
      assert.deepStrictEqual([...new Uint8Array(buffer)], [0, 255, 13, 10])
    })
  )

  row(
    "is JSON, or null if there is none",
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* got(answer("{\"a\":[1]}"))).json, { a: [1] })
      assert.isNull(yield* (yield* got(answer(""))).json)
    })
  )

  row(
    "is a form",
    Effect.gen(function*() {
      const params = yield* (yield* got(answer("?a=1&b=x+y%21"))).urlParamsBody
      assert.deepStrictEqual([UrlParams.getAll(params, "?a"), UrlParams.getAll(params, "b")], [["1"], ["x y!"]])
    })
  )

  row(
    "is form data",
    Effect.gen(function*() {
      const body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"
      const form = yield* (yield* got(answer(body, "Content-Type: multipart/form-data; boundary=b"))).formData
      assert.strictEqual(form.get("a"), "1")
    })
  )

  for (
    const [framing, bytes] of [
      ["of a known length", answer(utf8("grüße"))],
      ["in chunks that split a character", chunked("gr\xc3", "\xbc\xc3\x9fe")]
    ] as const
  ) {
    row(
      `comes whole ${framing}`,
      Effect.gen(function*() {
        assert.strictEqual(yield* (yield* got(bytes)).text, "grüße")
        assert.strictEqual(yield* texts((yield* got(bytes)).stream), "grüße")
      })
    )
  }

  row(
    "comes whole when it ends with the connection",
    Effect.gen(function*() {
      const response = yield* HttpClient.get(yield* untilClose("hello"))
      assert.strictEqual(yield* response.text, "hello")
    })
  )

  row(
    "comes whole when its backend closes the connection behind it, before anybody reads it",
    Effect.gen(function*() {
      // As much as undici holds until somebody reads.
      const body = "0123456789abcdef".repeat(2 ** 12)
      const { origin, over } = yield* closing(answer(body))
      const response = yield* HttpClient.get(origin)
      yield* over
      assert.isTrue((yield* response.text) === body)
    }),
    { "NodeHttpClient.layerUndici": "undici stops reading behind the last byte, and takes the body for cut" }
  )

  row(
    "is read once and kept: text, JSON and bytes can be asked for again",
    Effect.gen(function*() {
      const response = yield* got(answer("7"))
      const [one, json, buffer, two] = yield* Effect.all([
        response.text,
        response.json,
        response.arrayBuffer,
        response.text
      ])
      assert.deepStrictEqual([one, json, buffer.byteLength, two], ["7", 7, 1, "7"])
    })
  )

  row(
    "is a stream whose first bytes are there before the last are sent",
    Effect.gen(function*() {
      const proceed = yield* Latch.make()
      const { origin } = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 9") + "first")
        await Effect.runPromise(proceed.await)
        await peer.send("last")
      })
      const { stream } = yield* HttpClient.get(origin)
      assert.strictEqual(yield* texts(Stream.tap(stream, () => proceed.open)), "firstlast")
    })
  )

  row(
    "is a stream of a response that is yet to come",
    Effect.gen(function*() {
      const { origin } = yield* answering(answer("hello"))
      const client = yield* HttpClient.HttpClient
      assert.strictEqual(yield* texts(HttpClientResponse.stream(client.get(origin))), "hello")
    })
  )

  for (
    const [what, method, bytes] of [
      ["with HEAD", "HEAD", message("HTTP/1.1 200 OK", "Content-Length: 5")],
      ["with 204", "GET", message("HTTP/1.1 204 No Content")],
      ["with 304", "GET", message("HTTP/1.1 304 Not Modified", "Content-Length: 5")]
    ] as const
  ) {
    row(
      `is empty ${what}, whatever its headers say`,
      Effect.gen(function*() {
        const { origin } = yield* answering(bytes)
        const get = HttpClient.execute(HttpClientRequest.make(method)(origin))
        assert.strictEqual(yield* (yield* get).text, "")
        assert.strictEqual(yield* texts((yield* get).stream), "")
      })
    )
  }

  row(
    "is left as it was encoded",
    Effect.gen(function*() {
      const body = gzipSync("hello")
      const response = yield* got(answer(body.toString("latin1"), "Content-Encoding: gzip"))
      assert.isTrue(Buffer.from(yield* response.arrayBuffer).equals(body))
    })
  )

  row(
    "may be large",
    Effect.gen(function*() {
      const large = "0123456789abcdefg".repeat(2 ** 20)
      assert.isTrue((yield* (yield* got(answer(large))).text) === large)
      const lengths = Stream.map((yield* got(chunked(large, large))).stream, ({ length }) => length)
      assert.strictEqual(yield* Stream.runFold(lengths, () => 0, (sum, length) => sum + length), 2 * large.length)
    })
  )

  row(
    "waits with the backend while nobody reads on",
    Effect.gen(function*() {
      const chunk = Buffer.alloc(2 ** 20)
      const total = 32
      const started = yield* Latch.make()
      const sent = yield* Latch.make()
      const { origin } = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", `Content-Length: ${total * chunk.length}`))
        for (let i = 0; i < total; i++) await peer.send(chunk)
        sent.openUnsafe()
      })
      const proceed = yield* Latch.make()
      const { stream } = yield* HttpClient.get(origin)
      let length = 0
      const reading = yield* Effect.forkScoped(
        Stream.runForEach(stream, (bytes) => {
          length += bytes.length
          return Effect.andThen(started.open, proceed.await)
        })
      )
      yield* started.await
      yield* notSoon(sent.await, "all of it was taken")
      yield* proceed.open
      yield* Fiber.join(reading)
      assert.strictEqual(length, total * chunk.length)
    })
  )

  row(
    "is decoded by a schema",
    Effect.gen(function*() {
      const schema = Schema.Struct({ at: Schema.FiniteFromString })
      const decode = HttpClientResponse.schemaBodyJson(schema)
      assert.deepStrictEqual(yield* Effect.flatMap(got(answer("{\"at\":\"7\"}")), decode), { at: 7 })
      assert.strictEqual((yield* Effect.flip(Effect.flatMap(got(answer("{}")), decode)))._tag, "SchemaError")
    })
  )

  row(
    "is decoded by a schema together with status and headers",
    Effect.gen(function*() {
      const decode = HttpClientResponse.schemaJson(Schema.Struct({
        status: Schema.Literal(200),
        headers: Schema.Struct({ "x-a": Schema.String }),
        body: Schema.Struct({ at: Schema.Finite })
      }))
      const decoded = yield* Effect.flatMap(got(answer("{\"at\":7}", "X-A: b")), decode)
      assert.deepStrictEqual(decoded, { status: 200, headers: { "x-a": "b" }, body: { at: 7 } })
    })
  )
})
