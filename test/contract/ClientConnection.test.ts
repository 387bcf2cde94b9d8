/** The connections of a client: how they are used again, and when they are closed. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { message, type Peer, value } from "../e2e/support/Peer.ts"
import { readers } from "./support/Asking.ts"
import { afterHead, answer, answering, backend } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"

const text = (url: string) => Effect.flatMap(HttpClient.get(url), ({ text }) => text)

onEachClient("a client", (row, client) => {
  row(
    "uses a connection again when its answer was read",
    Effect.gen(function*() {
      const { origin, peers } = yield* answering(answer("hello"))
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* text(origin), "hello")
        // It may take a turn to get back.
        yield* Effect.yieldNow
      }
      assert.strictEqual(peers.length, 1)
    })
  )

  row(
    "does not use a connection again that the backend is to close",
    Effect.gen(function*() {
      const { origin, peers } = yield* answering(answer("hello", "Connection: close"))
      assert.strictEqual(yield* text(origin), "hello")
      assert.strictEqual(yield* text(origin), "hello")
      assert.strictEqual(peers.length, 2)
    })
  )

  row(
    "does not use a connection again that the program wants closed, and says so to the backend",
    Effect.gen(function*() {
      const { origin, peers, requests } = yield* answering(answer("hello"))
      const closing = HttpClient.get(origin, { headers: { connection: "close" } })
      assert.strictEqual(yield* Effect.flatMap(closing, ({ text }) => text), "hello")
      assert.strictEqual(yield* text(origin), "hello")
      assert.strictEqual(peers.length, 2)
      assert.strictEqual(value(requests[0]!, "connection"), "close")
    })
  )

  row(
    "makes a new connection when the backend has closed the idle one",
    Effect.gen(function*() {
      const { origin, peers } = yield* answering(answer("hello"))
      yield* text(origin)
      yield* Effect.yieldNow
      peers[0]!.end()
      yield* Effect.promise(() => peers[0]!.untilClosed())
      assert.strictEqual(yield* text(origin), "hello")
      assert.strictEqual(peers.length, 2)
    })
  )

  row(
    "never has two requests on a connection at once, and many at once on many",
    Effect.gen(function*() {
      const waiting: Array<() => void> = []
      const { origin, peers } = yield* backend(async (peer) => {
        const { target } = await peer.request()
        await new Promise<void>((resolve) => {
          waiting.push(resolve)
          if (waiting.length === 100) { for (const proceed of waiting) proceed() }
        })
        await peer.send(answer(target))
      })
      const targets = Array.from({ length: 100 }, (_, i) => `/${i}`)
      const texts = yield* Effect.forEach(targets, (target) => text(origin + target), { concurrency: "unbounded" })
      assert.deepStrictEqual(texts, targets)
      assert.strictEqual(peers.length, 100)
    })
  )

  row(
    "speaks to many origins",
    Effect.gen(function*() {
      const one = yield* answering(answer("one"))
      const two = yield* answering(answer("two"))
      const texts = yield* Effect.all([text(one.origin), text(two.origin), text(one.origin)])
      assert.deepStrictEqual(texts, ["one", "two", "one"])
    })
  )

  for (
    const [what, script] of [
      ["idle", async (peer: Peer) => {
        await peer.request()
        await peer.send(answer("hello"))
      }],
      ["in use", async (peer: Peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 9") + "hello")
      }]
    ] as const
  ) {
    row(
      `closes connections that are ${what} when its layer is closed`,
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(Layer.fresh(client.layer), scope)
        const { connected, origin } = yield* backend(script)
        const response = yield* Effect.provideContext(HttpClient.get(origin), context)
        if (what === "idle") yield* response.text
        yield* Scope.close(scope, Exit.void)
        const peer = yield* connected()
        yield* Effect.promise(() => peer.untilOver())
      })
    )
  }
})

/** A backend that takes requests and answers with this, and no more. */
const hanging = (bytes = "") => afterHead((peer) => peer.send(bytes))

onEachClient("the connection is closed", (row) => {
  row(
    "when the request is interrupted",
    Effect.gen(function*() {
      const { connected, origin } = yield* hanging()
      const fiber = yield* Effect.forkChild(HttpClient.get(origin))
      const peer = yield* connected()
      yield* Effect.promise(() => peer.until(() => peer.requestsRead === 1, "a request"))
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => peer.untilOver())
    })
  )

  row(
    "when time is up",
    Effect.gen(function*() {
      const { connected, origin } = yield* hanging()
      const exit = yield* Effect.exit(Effect.timeout(HttpClient.get(origin), "50 millis"))
      assert(Exit.isFailure(exit) && Cause.hasFails(exit.cause))
      const peer = yield* connected()
      yield* Effect.promise(() => peer.untilOver())
    })
  )

  row(
    "when the request is interrupted while its body is sent",
    Effect.gen(function*() {
      const { connected, origin } = yield* hanging()
      const body = HttpBody.stream(Stream.concat(Stream.make(new Uint8Array(5)), Stream.never))
      const fiber = yield* Effect.forkChild(HttpClient.post(origin, { body }))
      const peer = yield* connected()
      yield* Effect.promise(() => peer.until(() => peer.requestsRead === 1, "a request"))
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => peer.untilOver())
    })
  )

  for (const [how, read] of readers) {
    row(
      `when reading the body as ${how} is interrupted`,
      Effect.gen(function*() {
        const { connected, origin } = yield* hanging(message("HTTP/1.1 200 OK", "Content-Length: 9") + "some")
        const response = yield* HttpClient.get(origin)
        const fiber = yield* Effect.forkChild(read(response), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        const peer = yield* connected()
        yield* Effect.promise(() => peer.untilOver())
      })
    )
  }

  row(
    "when only a part of the stream is wanted",
    Effect.gen(function*() {
      const { connected, origin } = yield* hanging(message("HTTP/1.1 200 OK", "Content-Length: 9") + "some")
      const { stream } = yield* HttpClient.get(origin)
      yield* Stream.runDrain(Stream.take(stream, 1))
      const peer = yield* connected()
      yield* Effect.promise(() => peer.untilOver())
    })
  )

  row(
    "when the scope of a response is closed before its body is read",
    Effect.gen(function*() {
      const { connected, origin } = yield* hanging(message("HTTP/1.1 200 OK", "Content-Length: 9") + "some")
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      const scope = yield* Scope.make()
      assert.strictEqual((yield* Scope.provide(client.get(origin), scope)).status, 200)
      yield* Scope.close(scope, Exit.void)
      const peer = yield* connected()
      yield* Effect.promise(() => peer.untilOver())
    })
  )

  row(
    "when the scope of a request is closed before its answer",
    Effect.gen(function*() {
      const { connected, origin } = yield* hanging()
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      const scope = yield* Scope.make()
      const fiber = yield* Effect.forkChild(Effect.flip(Scope.provide(client.get(origin), scope)))
      const peer = yield* connected()
      yield* Effect.promise(() => peer.until(() => peer.requestsRead === 1, "a request"))
      yield* Scope.close(scope, Exit.void)
      yield* Effect.promise(() => peer.untilOver())
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "TransportError")
    })
  )
})
