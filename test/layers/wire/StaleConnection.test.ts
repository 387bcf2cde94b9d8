/** A connection that is of no use any more while this process was too busy to notice. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { once } from "node:events"
import * as Net from "node:net"
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

/** Says more than it was asked for, when it is told to. */
const talkative = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly talk: () => void; readonly close: () => void }>((resume) => {
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {}).on("close", () => sockets.delete(socket))
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nasked"))
    }).listen(0, "127.0.0.1", () => {
      const address = server.address()
      assert.ok(address !== null && typeof address === "object")
      resume(Effect.succeed({
        port: address.port,
        close: () => {
          server.close()
          for (const socket of sockets) socket.destroy()
        },
        talk: () => {
          for (const socket of sockets) socket.write("HTTP/1.1 408 Late\r\nContent-Length: 7\r\n\r\nunasked")
        }
      }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

describe("what a backend says before the request has left", () => {
  it.live("is not the answer, and the request goes on another connection", () =>
    Effect.gen(function*() {
      const { port, talk } = yield* talkative
      const client = yield* HttpClient.HttpClient
      const get = Effect.flatMap(client.get(`http://127.0.0.1:${port}/`), (response) => response.text)
      assert.strictEqual(yield* get, "asked")
      // In one turn of the event loop: it is read before the turn ends, and so before the request leaves.
      yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      talk()
      assert.strictEqual(yield* get, "asked")
    }).pipe(Effect.scoped, Effect.provide(WireClient.layer())))
})
