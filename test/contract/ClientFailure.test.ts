/** How a client says what went wrong. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import { message, type Peer } from "../e2e/support/Peer.ts"
import { readers } from "./support/Asking.ts"
import { afterHead, answer, answering, backend, chunked, nobody, silent } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"

/** The tag of the reason that a GET fails for. */
const reasonOf = (url: string) =>
  Effect.map(Effect.flip(HttpClient.get(url)), (error) => {
    assert.strictEqual(error._tag, "HttpClientError")
    assert.strictEqual(error.request.method, "GET")
    return error.reason._tag
  })

onEachClient("a request fails", (row) => {
  row(
    "as a TransportError when nobody listens",
    Effect.gen(function*() {
      assert.strictEqual(yield* reasonOf(yield* nobody), "TransportError")
    })
  )

  for (
    const [what, act] of [
      ["closes the connection", (peer: Peer) => peer.end()],
      ["resets the connection", (peer: Peer) => peer.reset()],
      ["closes the connection in the middle of a head", (peer: Peer) => {
        void peer.send("HTTP/1.1 200 OK\r\nX-A: ")
        peer.end()
      }],
      ["speaks something else", (peer: Peer) => peer.send("220 smtp.example.com ESMTP\r\n\r\n")],
      [
        "is not clear about a length",
        (peer: Peer) => peer.send(message("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2") + "ab")
      ]
    ] as const
  ) {
    row(
      `as a TransportError when the backend ${what}`,
      Effect.gen(function*() {
        const { origin } = yield* afterHead(act)
        assert.strictEqual(yield* reasonOf(origin), "TransportError")
      })
    )
  }

  for (const url of ["", "/relative", "http://", "http://a:b/", "nonsense"]) {
    row(
      `as an InvalidUrlError for ${JSON.stringify(url)}`,
      Effect.gen(function*() {
        assert.strictEqual(yield* reasonOf(url), "InvalidUrlError")
      })
    )
  }

  for (
    const [what, headers] of [
      ["value", { "x-a": "b\r\nX-Injected: c" }],
      ["name", { "x-a: b\r\nx-injected": "c" }],
      ["protocol", { "connection": "upgrade", "upgrade": "b\r\nX-Injected: c" }]
    ] as const
  ) {
    row(
      `when the ${what} of a header has a line break, and nothing of it is sent`,
      Effect.gen(function*() {
        const { origin, requests } = yield* silent
        const error = yield* Effect.flip(HttpClient.get(origin, { headers }))
        assert.strictEqual(error._tag, "HttpClientError")
        assert.deepStrictEqual(requests, [])
      })
    )
  }

  for (const method of ["GET /injected HTTP/1.1\r\nHost: x\r\n\r\nGET", "GET /", ""]) {
    row(
      `when the method is ${JSON.stringify(method)}, which is none, and nothing of it is sent`,
      Effect.gen(function*() {
        const { origin, requests } = yield* silent
        // What a program without types may set.
        const request = Object.assign(HttpClientRequest.get(origin), { method })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(HttpClient.execute(request))))
        assert.deepStrictEqual(requests, [])
      })
    )
  }

  for (const length of ["Infinity", "abc", "1e1", "-1"]) {
    row(
      `when it says that its stream is ${length} bytes long, and nothing of it is sent`,
      Effect.gen(function*() {
        const { origin, peers } = yield* backend(async (peer) => peer.until(() => peer.unread !== "", "a byte"))
        const body = HttpBody.stream(Stream.make(new Uint8Array(5)), "a/b")
        const request = HttpClientRequest.setHeader(HttpClientRequest.post(origin, { body }), "content-length", length)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.timeout(HttpClient.execute(request), "1 second"))))
        assert.deepStrictEqual(peers.map(({ unread }) => unread).join(""), "")
      })
    )
  }

  for (
    const [what, stream, length] of [
      ["fails", Stream.concat(Stream.make(new Uint8Array(5)), Stream.fail("a reason")), undefined],
      ["is shorter than its length", Stream.make(new Uint8Array(5)), 9],
      ["is longer than its length", Stream.make(new Uint8Array(5)), 3]
    ] as const
  ) {
    row(
      `when its stream ${what}, and the backend does not get all of it`,
      Effect.gen(function*() {
        const { origin, requests } = yield* silent
        const body = HttpBody.stream(stream, "a/b", length)
        const error = yield* Effect.flip(HttpClient.post(origin, { body }))
        assert.strictEqual(error._tag, "HttpClientError")
        if (what === "fails") assert.include(String(Cause.pretty(Cause.fail(error))), "a reason")
        assert.isTrue(requests.every(({ ending }) => ending !== "complete"))
      })
    )
  }
})

onEachClient("a body fails as a DecodeError", (row) => {
  for (
    const [what, act] of [
      ["closes the connection before its length", async (peer: Peer) => {
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 9") + "some")
        peer.end()
      }],
      ["closes the connection before the last chunk", async (peer: Peer) => {
        await peer.send(chunked("some").slice(0, -5))
        peer.end()
      }],
      ["sends a bad chunk", (peer: Peer) => peer.send(chunked("some").replace(/0\r\n\r\n$/, "nonsense\r\n"))]
    ] as const
  ) {
    for (const [how, read] of readers) {
      row(
        `when the backend ${what} and it is read as ${how}`,
        Effect.gen(function*() {
          const { origin } = yield* afterHead(act)
          const response = yield* HttpClient.get(origin)
          assert.strictEqual(response.status, 200)
          assert.strictEqual((yield* Effect.flip(read(response))).reason._tag, "DecodeError")
        })
      )
    }
  }

  row(
    "when it is no JSON, with the response",
    Effect.gen(function*() {
      const { origin } = yield* answering(answer("{"))
      const error = yield* Effect.flip(Effect.flatMap(HttpClient.get(origin), ({ json }) => json))
      assert.strictEqual(error.reason._tag, "DecodeError")
      assert.strictEqual(error.response?.status, 200)
    })
  )

  row(
    "when it is no form data",
    Effect.gen(function*() {
      const { origin } = yield* answering(answer("hello", "Content-Type: multipart/form-data; boundary=b"))
      const error = yield* Effect.flip(Effect.flatMap(HttpClient.get(origin), ({ formData }) => formData))
      assert.strictEqual(error.reason._tag, "DecodeError")
    })
  )
})
