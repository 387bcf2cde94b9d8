/** Multipart forms that a server has received: persisted, as a stream, and refused. */
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { MaxBodySize } from "effect/http/HttpIncomingMessage"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest, schemaBodyForm, schemaBodyMultipart } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Multipart from "effect/http/Multipart"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { assert, onEachServer } from "./support/Rows.ts"
import { ask, connect, post, refused, seen, utf8 } from "./support/Serving.ts"

const part = (disposition: string, content: string, type?: string): string =>
  `--b\r\nContent-Disposition: form-data; ${disposition}\r\n${type === undefined ? "" : `Content-Type: ${type}\r\n`}` +
  `\r\n${content}\r\n`

const contentType = "Content-Type: multipart/form-data; boundary=b"

const form = (...parts: ReadonlyArray<string>): string => post(`${parts.join("")}--b--\r\n`, contentType)

const file = (content: string): string => part("name=\"doc\"; filename=\"a.bin\"", content, "application/x-a")

const persistedFile = (persisted: Multipart.Persisted, key: string): Multipart.PersistedFile => {
  const files = persisted[key]
  const [one] = Array.isArray(files) ? files : []
  return Multipart.isPersistedFile(one) ? one : assert.fail(`${key} is no file`)
}

onEachServer("a multipart form", (row) => {
  row(
    "has its fields as text",
    Effect.gen(function*() {
      const request = form(part("name=\"a\"", "1"), part("name=\"b\"", utf8("grüße\r\n")))
      const persisted = yield* seen((it) => it.multipart, request)
      assert.deepStrictEqual({ ...persisted }, { a: "1", b: "grüße\r\n" })
    })
  )

  row(
    "has repeated fields as a list",
    Effect.gen(function*() {
      const persisted = yield* seen((it) => it.multipart, form(part("name=\"a\"", "1"), part("name=\"a\"", "2")))
      assert.deepStrictEqual({ ...persisted }, { a: ["1", "2"] })
    })
  )

  row(
    "has its files on disk, byte for byte, with name and type",
    Effect.gen(function*() {
      const content = "\x00\xff\r\n--c\r\n".repeat(100_000)
      const read = Effect.fnUntraced(function*(request: HttpServerRequest) {
        const fileSystem = yield* FileSystem.FileSystem
        const { contentType, key, name, path } = persistedFile(yield* request.multipart, "doc")
        return { contentType, key, name, bytes: yield* fileSystem.readFile(path) }
      })
      const { bytes, ...info } = yield* seen(read, form(file(content)))
      assert.deepStrictEqual(info, { contentType: "application/x-a", key: "doc", name: "a.bin" })
      assert.isTrue(Buffer.from(bytes).equals(Buffer.from(content, "latin1")))
    })
  )

  row(
    "has its files until the request is over, and no longer",
    Effect.gen(function*() {
      const fileSystem = yield* FileSystem.FileSystem
      const left = yield* Deferred.make<boolean>()
      const answer = yield* ask(
        Effect.gen(function*() {
          const request = yield* HttpServerRequest
          let path = ""
          // What was acquired first is released last.
          yield* Effect.addFinalizer(() =>
            Effect.flatMap(Effect.orDie(fileSystem.exists(path)), (exists) => Deferred.succeed(left, exists))
          )
          path = persistedFile(yield* request.multipart, "doc").path
          return HttpServerResponse.stream(fileSystem.stream(path))
        }),
        form(file("content"))
      )
      assert.strictEqual(answer.body.toString(), "content")
      assert.isFalse(yield* Deferred.await(left))
    })
  )

  row(
    "is read once and kept",
    Effect.gen(function*() {
      const [one, two] = yield* seen((it) => Effect.all([it.multipart, it.multipart]), form(file("content")))
      assert.strictEqual(persistedFile(one, "doc").path, persistedFile(two, "doc").path)
    })
  )

  row(
    "is a stream of parts, in order",
    Effect.gen(function*() {
      const request = form(part("name=\"a\"", "1"), file("content"), part("name=\"b\"", "2"))
      const parts = yield* seen(
        (it) =>
          Stream.runCollect(Stream.mapEffect(it.multipartStream, (part) =>
            part._tag === "Field"
              ? Effect.succeed([part.key, part.value])
              : Effect.map(part.contentEffect, (bytes) => [part.name, Buffer.from(bytes).toString()]))),
        request
      )
      assert.deepStrictEqual(parts, [["a", "1"], ["a.bin", "content"], ["b", "2"]])
    })
  )

  row(
    "has the contents of a file as a stream",
    Effect.gen(function*() {
      const content = "0123456789".repeat(50_000)
      const texts = yield* seen((it) =>
        it.multipartStream.pipe(
          Stream.flatMap((part) => part._tag === "File" ? Stream.decodeText(part.content) : Stream.empty),
          Stream.mkString
        ), form(file(content)))
      assert.strictEqual(texts, content)
    })
  )

  row(
    "is decoded by a schema",
    Effect.gen(function*() {
      const decode = schemaBodyMultipart(Schema.Struct({ at: Schema.FiniteFromString, doc: Multipart.FilesSchema }))
      const { at, doc } = yield* seen(() => decode, form(part("name=\"at\"", "7"), file("content")))
      assert.deepStrictEqual([at, doc[0]!.name], [7, "a.bin"])
    })
  )

  for (
    const [kind, request] of [
      ["multipart", form(part("name=\"at\"", "7"))],
      ["urlencoded", post("at=7", "Content-Type: application/x-www-form-urlencoded")]
    ] as const
  ) {
    row(
      `is decoded by a schema for forms of any kind, when it is ${kind}`,
      Effect.gen(function*() {
        const decode = schemaBodyForm(Schema.Struct({ at: Schema.FiniteFromString }))
        assert.deepStrictEqual(yield* seen(() => decode, request), { at: 7 })
      })
    )
  }

  const limits = (options: Multipart.withLimits.Options) => Effect.provideContext(Multipart.limitsServices(options))

  for (
    const [what, reason, provide] of [
      ["with too many parts", "TooManyParts", limits({ maxParts: 1 })],
      ["with a field that is too large", "FieldTooLarge", limits({ maxFieldSize: 2 })],
      ["with a file that is too large", "FileTooLarge", limits({ maxFileSize: 2 })],
      ["that is too large in all", "BodyTooLarge", limits({ maxTotalSize: 2 })],
      [
        "that is larger than MaxBodySize",
        "BodyTooLarge",
        Effect.provideContext(
          Context.make(MaxBodySize, ByteSize.bytes(2))
        )
      ]
    ] as const
  ) {
    row(
      `${what} fails as ${reason}, which is answered with 413`,
      Effect.gen(function*() {
        const request = form(part("name=\"a\"", "123"), file("content"))
        const { error, status } = yield* refused((it) => provide(it.multipart), request)
        assert.deepStrictEqual([error._tag, error.reason._tag, status], ["MultipartError", reason, 413])
      })
    )
  }

  for (
    const [what, request] of [
      ["without a boundary", post("--b--\r\n", "Content-Type: multipart/form-data")],
      [
        "that ends before its last boundary",
        post("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1", contentType)
      ],
      ["of another type", post("{}", "Content-Type: application/json")]
    ] as const
  ) {
    row(
      `${what} fails as Parse, which is answered with 400`,
      Effect.gen(function*() {
        const { error, status } = yield* refused((it) => it.multipart, request)
        assert.deepStrictEqual([error.reason._tag, status], ["Parse", 400])
      })
    )
  }

  row(
    "is waited for with 100 Continue",
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(Effect.gen(function*() {
        const { multipart } = yield* HttpServerRequest
        return HttpServerResponse.jsonUnsafe(yield* multipart)
      }))
      const [fields, body] = form(part("name=\"a\"", "1")).split("\r\n\r\n--b", 2)
      const peer = yield* connect
      const interim = yield* Effect.promise(() => peer.exchange(`${fields}\r\nExpect: 100-continue\r\n\r\n`))
      assert.strictEqual(interim.status, 100)
      const answer = yield* Effect.promise(() => peer.exchange(`--b${body}`))
      assert.strictEqual(answer.body.toString(), "{\"a\":\"1\"}")
    })
  )
})
