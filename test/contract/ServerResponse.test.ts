/** The bodies that a server makes of responses, of every kind. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import { value } from "../e2e/support/Peer.ts"
import { assert, onEachServer } from "./support/Rows.ts"
import { answerOf, ask, connect, head } from "./support/Serving.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const hello = Stream.make(bytes("hel"), bytes("lo"))

const megabyte = 2 ** 20

onEachServer("the body of a response", (row) => {
  for (
    const [kind, response, type, length, body] of [
      ["nothing", HttpServerResponse.empty({ status: 200 }), undefined, undefined, ""],
      ["text", HttpServerResponse.text("grüße"), "text/plain", "7", "grüße"],
      ["empty text", HttpServerResponse.text(""), "text/plain", "0", ""],
      ["HTML", HttpServerResponse.html("<p>"), "text/html", "3", "<p>"],
      ["JSON", HttpServerResponse.jsonUnsafe({ a: "ü" }), "application/json", "10", "{\"a\":\"ü\"}"],
      ["a form", HttpServerResponse.urlParams({ a: "1 2" }), "application/x-www-form-urlencoded", "5", "a=1+2"],
      ["bytes", HttpServerResponse.uint8Array(bytes("hello")), "application/octet-stream", "5", "hello"],
      ["a stream", HttpServerResponse.stream(hello), "application/octet-stream", undefined, "hello"],
      ["a stream of a known length", HttpServerResponse.stream(hello, { contentLength: 5 }), undefined, "5", "hello"],
      ["an empty stream", HttpServerResponse.stream(Stream.empty), undefined, undefined, ""],
      ["a raw string", HttpServerResponse.raw("hello"), undefined, undefined, "hello"],
      ["raw bytes", HttpServerResponse.raw(bytes("hello"), { contentType: "a/b" }), "a/b", undefined, "hello"],
      ["text of another type", HttpServerResponse.text("a", { contentType: "text/x-a" }), "text/x-a", "1", "a"]
    ] as const
  ) {
    row(
      `may be ${kind}`,
      Effect.gen(function*() {
        const answer = yield* answerOf(response)
        assert.deepStrictEqual([answer.status, answer.ending, answer.body.toString()], [200, "complete", body])
        if (type !== undefined) assert.strictEqual(value(answer, "content-type")?.split(";")[0], type)
        if (length !== undefined) assert.strictEqual(value(answer, "content-length"), length)
      })
    )
  }

  row(
    "may be a Node stream",
    Effect.gen(function*() {
      const answer = yield* ask(Effect.sync(() => HttpServerResponse.raw(Readable.from(["hel", "lo"]))))
      assert.deepStrictEqual([answer.ending, answer.body.toString()], ["complete", "hello"])
    })
  )

  row(
    "may be a Node stream of a known length",
    Effect.gen(function*() {
      const answer = yield* ask(
        Effect.sync(() => HttpServerResponse.raw(Readable.from(["hel", "lo"]), { contentLength: 5 }))
      )
      assert.deepStrictEqual([value(answer, "content-length"), answer.body.toString()], ["5", "hello"])
    })
  )

  row(
    "may be form data",
    Effect.gen(function*() {
      const formData = new FormData()
      formData.append("a", "1")
      formData.append("doc", new Blob(["content"]), "a.bin")
      const answer = yield* answerOf(HttpServerResponse.formData(formData))
      const type = value(answer, "content-type") ?? ""
      assert.match(type, /^multipart\/form-data; boundary=/)
      const received = yield* Effect.promise(() =>
        new Response(answer.body.toString(), { headers: { "content-type": type } }).formData()
      )
      assert.strictEqual(received.get("a"), "1")
      const file = received.get("doc")
      assert(file instanceof File)
      assert.deepStrictEqual([file.name, yield* Effect.promise(() => file.text())], ["a.bin", "content"])
    })
  )

  row(
    "may be a file, with its type, length, date and tag",
    Effect.gen(function*() {
      const fileSystem = yield* FileSystem.FileSystem
      const path = yield* fileSystem.makeTempFileScoped({ suffix: ".json" })
      yield* fileSystem.writeFileString(path, "0123456789")
      const answer = yield* ask(HttpServerResponse.file(path))
      assert.deepStrictEqual([answer.body.toString(), value(answer, "content-length")], ["0123456789", "10"])
      assert.strictEqual(value(answer, "content-type"), "application/json")
      assert.isDefined(value(answer, "last-modified"))
      assert.match(value(answer, "etag") ?? "", /^(W\/)?".+"$/)
    })
  )

  row(
    "may be a part of a file",
    Effect.gen(function*() {
      const fileSystem = yield* FileSystem.FileSystem
      const path = yield* fileSystem.makeTempFileScoped()
      yield* fileSystem.writeFileString(path, "0123456789")
      const answer = yield* ask(HttpServerResponse.file(path, { offset: 3, bytesToRead: 4, status: 206 }))
      assert.deepStrictEqual([answer.status, answer.body.toString()], [206, "3456"])
    })
  )

  row(
    "may be a File",
    Effect.gen(function*() {
      const file = new File(["hello"], "a.txt", { type: "text/x-a" })
      const answer = yield* ask(HttpServerResponse.fileWeb(file))
      assert.deepStrictEqual([answer.body.toString(), value(answer, "content-type")], ["hello", "text/x-a"])
    })
  )

  for (
    const [size, length] of [["just below", megabyte - 1], ["of", megabyte], ["far above", 16 * megabyte]] as const
  ) {
    row(
      `may be bytes ${size} a megabyte`,
      Effect.gen(function*() {
        const body = Buffer.alloc(length, "0123456789abcdefg")
        const answer = yield* answerOf(HttpServerResponse.uint8Array(body))
        assert.isTrue(answer.body.equals(body))
      })
    )
  }

  row(
    "may be a long stream",
    Effect.gen(function*() {
      const chunk = Buffer.alloc(64 * 1024, "0123456789abcdefg")
      const answer = yield* answerOf(HttpServerResponse.stream(Stream.take(Stream.forever(Stream.make(chunk)), 256)))
      assert.strictEqual(answer.body.length, 256 * chunk.length)
      assert.isTrue(answer.body.subarray(-chunk.length).equals(chunk))
    })
  )

  for (
    const [kind, response, length] of [
      ["text", HttpServerResponse.text("hello"), "5"],
      ["a stream of a known length", HttpServerResponse.stream(hello, { contentLength: 5 }), "5"],
      ["a stream", HttpServerResponse.stream(Stream.never), undefined],
      ["nothing", HttpServerResponse.empty({ status: 200 }), undefined]
    ] as const
  ) {
    row(
      `is not sent in answer to HEAD, but its length is, if it is ${kind}`,
      Effect.gen(function*() {
        yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.setHeader(response, "x-a", "b")))
        const peer = yield* connect
        for (let i = 0; i < 2; i++) {
          const answer = yield* Effect.promise(() => peer.exchange(head("HEAD /"), { noBody: true }))
          assert.deepStrictEqual([answer.status, value(answer, "x-a")], [200, "b"])
          if (length !== undefined) assert.strictEqual(value(answer, "content-length"), length)
        }
      })
    )
  }

  for (const status of [204, 205, 304]) {
    row(
      `is not sent with ${status}`,
      Effect.gen(function*() {
        const answer = yield* answerOf(HttpServerResponse.text("hello", { status }))
        assert.deepStrictEqual([answer.status, answer.body.length], [status, 0])
        // An empty body in chunks is nothing too, where a body is allowed (RFC 9110 §15.3.6).
        if (status !== 205) assert.isUndefined(value(answer, "transfer-encoding"))
        assert.include([undefined, status === 304 ? "5" : "0"], value(answer, "content-length"))
      })
    )
  }

  row(
    "is not read, if it is a stream that is not sent",
    Effect.gen(function*() {
      let pulled = false
      const stream = Stream.suspend(() => {
        pulled = true
        return hello
      })
      const answer = yield* answerOf(HttpServerResponse.stream(stream, { status: 299 }), head("HEAD /"))
      assert.deepStrictEqual([answer.status, pulled], [299, false])
    })
  )

  row(
    "is destroyed, if it is a Node stream that is not sent",
    Effect.gen(function*() {
      const body = new Readable({ read: () => {} })
      yield* answerOf(HttpServerResponse.raw(body), head("HEAD /"))
      assert.isTrue(body.destroyed)
    })
  )

  row(
    "goes to a client of HTTP/1.0 without chunks, up to the end of the connection",
    Effect.gen(function*() {
      const answer = yield* answerOf(HttpServerResponse.stream(hello), "GET / HTTP/1.0\r\n\r\n")
      assert.deepStrictEqual([answer.ending, answer.body.toString()], ["complete", "hello"])
      assert.isUndefined(value(answer, "transfer-encoding"))
    })
  )
})
