/** Backends for the client of a row, which speak bytes and are closed after it. */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { type Asked, message, ok, Peer } from "../../e2e/support/Peer.ts"
import { Waiting } from "../../e2e/support/Waiting.ts"

export interface Backend {
  readonly origin: string
  /** Every connection that was ever made, in order. */
  readonly peers: ReadonlyArray<Peer>
  /** Waits until this many connections were made, and gives the last one. */
  readonly connected: (count?: number) => Effect.Effect<Peer>
}

const portOf = (server: Net.Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

const listen = Effect.fnUntraced(function*(server: Net.Server) {
  yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
  return `http://127.0.0.1:${portOf(server)}`
})

/** A backend that runs a script for each connection. A script that fails cuts its connection. */
export const backend = (
  script: (peer: Peer, nth: number) => Promise<unknown>
): Effect.Effect<Backend, never, Scope.Scope> =>
  Effect.gen(function*() {
    const peers: Array<Peer> = []
    const waiting = new Waiting()
    const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
      const peer = new Peer(socket)
      peers.push(peer)
      script(peer, peers.length - 1).catch(() => peer.destroy())
      waiting.wake()
    })
    yield* Effect.addFinalizer(() =>
      Effect.promise(() =>
        new Promise<void>((resolve) => {
          server.close(() => resolve())
          for (const peer of peers) peer.destroy()
        })
      )
    )
    const connected = (count = 1) =>
      Effect.promise(async () => {
        await waiting.until(() => peers.length >= count, `${count} connections`, () => `there are ${peers.length}`)
        return peers[count - 1]!
      })
    return { origin: yield* listen(server), peers, connected }
  })

/** A backend that reads the head of one request and then does this. */
export const afterHead = (act: (peer: Peer) => unknown) =>
  backend(async (peer) => {
    await peer.requestHead()
    await act(peer)
  })

/** A backend that answers each request with these bytes, and the requests that it got. */
export const answering = Effect.fnUntraced(function*(
  bytes: string | Uint8Array | ((request: Asked, nth: number) => string | Uint8Array)
) {
  const requests: Array<Asked> = []
  const made = yield* backend(async (peer) => {
    while (true) {
      const request = await peer.request()
      requests.push(request)
      await peer.send(typeof bytes === "function" ? bytes(request, requests.length - 1) : bytes)
    }
  })
  return { ...made, requests }
})

/** A backend that closes the connection behind these bytes. Nothing more can come on it when it is over. */
export const closing = Effect.fnUntraced(function*(bytes: string) {
  const over = yield* Latch.make()
  const { origin } = yield* backend(async (peer) => {
    await peer.request()
    await peer.send(bytes)
    peer.end()
    await peer.untilOver()
    over.openUnsafe()
  })
  return { origin, over: over.await }
})

/** A backend that answers with nothing, and the requests that it got. */
export const silent = answering(ok)

/** An origin that nobody listens on. */
export const nobody = Effect.gen(function*() {
  const server = Net.createServer()
  const origin = yield* listen(server)
  yield* Effect.promise(() => new Promise((resolve) => server.close(resolve)))
  return origin
})

/** An answer with a body of a known length. Text stands for bytes as Latin-1 does. */
export const answer = (body: string, ...fields: ReadonlyArray<string>): string =>
  message("HTTP/1.1 200 OK", `Content-Length: ${body.length}`, ...fields) + body

/** An answer with a body in chunks. */
export const chunked = (...chunks: ReadonlyArray<string>): string =>
  message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") +
  chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("") +
  "0\r\n\r\n"
