/** A connection that a backend has closed while this process was too busy to notice. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import * as WireClient from "../../../src/layers/wire/WireClient.ts"

/** Answers each request, and closes its connections when told: in another thread, so that this one can be busy. */
const backend = `
  import * as Net from "node:net"
  import { parentPort } from "node:worker_threads"
  const sockets = new Set()
  let requests = 0
  const server = Net.createServer((socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    socket.on("data", () => {
      requests++
      socket.write("HTTP/1.1 200 OK\\r\\nContent-Length: 1\\r\\n\\r\\n" + requests)
    })
  }).listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port))
  parentPort.on("message", (closed) => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    setTimeout(() => { Atomics.store(closed, 0, 1); Atomics.notify(closed, 0) }, 20)
  })
`

describe("a connection that was closed unnoticed", () => {
  it.live.each(["POST", "GET"] as const)("does not take a %s with it", (method) =>
    Effect.gen(function*() {
      const worker = yield* Effect.acquireRelease(
        Effect.sync(() => new Worker(new URL(`data:text/javascript,${encodeURIComponent(backend)}`))),
        (worker) => Effect.promise(() => worker.terminate())
      )
      const [port] = yield* Effect.promise(() => once(worker, "message"))
      const client = yield* HttpClient.HttpClient
      const send = Effect.flatMap(
        method === "POST" ? client.post(`http://127.0.0.1:${port}/`) : client.get(`http://127.0.0.1:${port}/`),
        (response) => response.text
      )
      assert.strictEqual(yield* send, "1")
      for (let i = 2; i < 5; i++) {
        const closed = new Int32Array(new SharedArrayBuffer(4))
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is a worker and no window
        worker.postMessage(closed)
        // This thread sees nothing of the world until the connection is closed.
        Atomics.wait(closed, 0, 0)
        assert.strictEqual(yield* send, String(i))
      }
    }).pipe(Effect.scoped, Effect.provide(WireClient.layer())))
})
