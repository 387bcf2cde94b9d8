/**
 * A backend that answered once and now accepts no connection: the operating system's queue for it is full,
 * so that whoever connects waits. It listens in a thread of its own, because a thread that accepts nothing
 * does nothing else either.
 */
import * as Net from "node:net"
import { Worker } from "node:worker_threads"
import type { Lab, Target } from "./Lab.ts"

const program = `
const { parentPort } = require("node:worker_threads")
const server = require("node:http").createServer((request, response) => {
  response.writeHead(200, { connection: "close" }).end()
})
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => parentPort.postMessage(server.address().port))
parentPort.once("message", () => {
  parentPort.postMessage("frozen")
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
`

/** The backend, and how to freeze it. */
export interface FrozenTarget extends Pick<Target, "origin"> {
  readonly freeze: () => Promise<void>
}

const said = <A>(worker: Worker): Promise<A> => new Promise((resolve) => worker.once("message", resolve))

/** Starts one. It is gone when the lab is closed. */
export const frozen = async (lab: Lab): Promise<FrozenTarget> => {
  const worker = new Worker(program, { eval: true })
  lab.afterwards(() => worker.terminate())
  const port = await said<number>(worker)
  const freeze = async () => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    worker.postMessage("freeze")
    await said(worker)
    // The queue holds two connections; the first one that does not fit gets no answer.
    for (let fits = true; fits;) {
      const socket = Net.connect(port, "127.0.0.1")
      lab.afterwards(() => socket.destroy())
      fits = await Promise.race([
        new Promise<boolean>((resolve) => socket.once("connect", () => resolve(true))),
        new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 100))
      ])
    }
  }
  return { origin: `http://127.0.0.1:${port}`, freeze }
}
