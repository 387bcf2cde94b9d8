/** The bodies of requests that a client sends, as a backend sees them. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import { type Asked, ok, value } from "../e2e/support/Peer.ts"
import { sent } from "./support/Asking.ts"
import { answer, backend, silent } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"
import { notSoon } from "./support/Serving.ts"

/** The request with this body that a backend gets. */
const posted = (body: HttpBody.HttpBody) =>
  sent((origin) => HttpClientRequest.setBody(HttpClientRequest.post(`${origin}/`), body))

const framing = (request: Asked) => [value(request, "content-length"), value(request, "transfer-encoding")]

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const megabyte = Buffer.alloc(2 ** 20, "0123456789abcdefg")

onEachClient("a request", (row) => {
  row(
    "without a body is sent without one",
    Effect.gen(function*() {
      assert.deepStrictEqual(framing(yield* sent(HttpClientRequest.get)), [undefined, undefined])
      assert.deepStrictEqual(framing(yield* sent(HttpClientRequest.post)), ["0", undefined])
    })
  )

  for (
    const [kind, body, type, content] of [
      ["text", HttpBody.text("grüße"), "text/plain", "grüße"],
      ["empty text", HttpBody.text(""), "text/plain", ""],
      ["JSON", HttpBody.jsonUnsafe({ a: "ü" }), "application/json", "{\"a\":\"ü\"}"],
      ["a form", HttpBody.urlParams({ a: "1 2", b: ["3", "4"] }), "application/x-www-form-urlencoded", "a=1+2&b=3&b=4"],
      ["bytes", HttpBody.uint8Array(bytes("hello"), "a/b"), "a/b", "hello"],
      ["a stream of a known length", HttpBody.stream(Stream.make(bytes("hel"), bytes("lo")), "a/b", 5), "a/b", "hello"],
      ["a raw string", HttpBody.raw("hello", { contentType: "a/b", contentLength: 5 }), "a/b", "hello"]
    ] as const
  ) {
    row(
      `has a body of ${kind}, with its type and length`,
      Effect.gen(function*() {
        const request = yield* posted(body)
        assert.deepStrictEqual([request.ending, request.body.toString()], ["complete", content])
        assert.deepStrictEqual(framing(request), [`${Buffer.byteLength(content)}`, undefined])
        assert.strictEqual(value(request, "content-type")?.split(";")[0], type)
      })
    )
  }

  row(
    "has a body of a stream of an unknown length",
    Effect.gen(function*() {
      const request = yield* posted(HttpBody.stream(Stream.make(bytes("hel"), bytes("lo"))))
      assert.deepStrictEqual([request.ending, request.body.toString()], ["complete", "hello"])
      // A short one may be read before it is sent, and its length known then.
      assert.include([",chunked", "5,"], framing(request).join())
    })
  )

  row(
    "has a body of an empty stream",
    Effect.gen(function*() {
      const request = yield* posted(HttpBody.stream(Stream.empty))
      assert.deepStrictEqual([request.ending, request.body.length], ["complete", 0])
    })
  )

  row(
    "has a body of a Node stream",
    Effect.gen(function*() {
      const { origin, requests } = yield* silent
      const body = HttpBody.raw(Readable.from(["hel", "lo"]))
      yield* HttpClient.post(origin, { body })
      assert.strictEqual(requests[0]!.body.toString(), "hello")
    })
  )

  row(
    "has a body of form data",
    Effect.gen(function*() {
      const body = HttpBody.formDataRecord({ a: "1", doc: new File(["content"], "a.bin") })
      const request = yield* posted(body)
      const type = value(request, "content-type") ?? ""
      const form = yield* Effect.promise(() =>
        new Response(request.body.toString(), { headers: { "content-type": type } }).formData()
      )
      const file = form.get("doc")
      assert(file instanceof File)
      const content = yield* Effect.promise(() => file.text())
      assert.deepStrictEqual([form.get("a"), file.name, content], ["1", "a.bin", "content"])
    })
  )

  row(
    "has a body of a file",
    Effect.gen(function*() {
      const fileSystem = yield* FileSystem.FileSystem
      const path = yield* fileSystem.makeTempFileScoped()
      yield* fileSystem.writeFileString(path, "0123456789")
      const request = yield* posted(yield* HttpBody.file(path, { offset: 2 }))
      assert.deepStrictEqual([request.body.toString(), ...framing(request)], ["23456789", "8", undefined])
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  row(
    "has its body with GET too",
    Effect.gen(function*() {
      const request = yield* sent((origin) => HttpClientRequest.bodyText(HttpClientRequest.get(origin), "hello"))
      assert.deepStrictEqual([request.method, request.body.toString()], ["GET", "hello"])
    })
  )

  for (
    const [kind, body] of [
      ["bytes", HttpBody.uint8Array(Buffer.concat(Array.from({ length: 16 }, () => megabyte)))],
      ["a stream", HttpBody.stream(Stream.take(Stream.forever(Stream.make(megabyte)), 16))]
    ] as const
  ) {
    row(
      `may have a large body of ${kind}`,
      Effect.gen(function*() {
        const request = yield* posted(body)
        assert.strictEqual(request.body.length, 16 * megabyte.length)
        assert.isTrue(request.body.subarray(-megabyte.length).equals(megabyte))
      })
    )
  }

  row(
    "has a stream whose first bytes are sent before the last are there",
    Effect.gen(function*() {
      const proceed = yield* Latch.make()
      const { connected, origin } = yield* backend(async (peer) => {
        await peer.untilText("first")
        proceed.openUnsafe()
        await peer.untilText("0\r\n\r\n")
        await peer.send(ok)
      })
      const last = Stream.unwrap(Effect.as(proceed.await, Stream.make(bytes("last"))))
      const body = HttpBody.stream(Stream.concat(Stream.make(bytes("first")), last))
      assert.strictEqual((yield* HttpClient.post(origin, { body })).status, 200)
      yield* connected()
    })
  )

  row(
    "holds its stream back while the backend does not read",
    Effect.gen(function*() {
      const first = yield* Latch.make()
      const { connected, origin } = yield* backend(async (peer) => {
        peer.socket.pause()
        first.openUnsafe()
        const request = await peer.request()
        await peer.send(answer(`${request.body.length}`))
      })
      const all = yield* Latch.make()
      const body = HttpBody.stream(
        Stream.range(1, 32).pipe(Stream.rechunk(1), Stream.map(() => megabyte), Stream.ensuring(all.open))
      )
      const fiber = yield* Effect.forkScoped(Effect.flatMap(HttpClient.post(origin, { body }), ({ text }) => text))
      yield* first.await
      yield* notSoon(all.await, "all of it was taken")
      const peer = yield* connected()
      peer.socket.resume()
      assert.strictEqual(yield* Fiber.join(fiber), `${32 * megabyte.length}`)
    })
  )
})
