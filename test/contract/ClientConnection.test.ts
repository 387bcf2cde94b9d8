/** The connections of a client. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { message, type Peer } from "../e2e/support/Peer.ts"
import { answer, answering, backend } from "./support/Backends.ts"
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
