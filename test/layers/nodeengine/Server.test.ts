/** The server on node:http: that it keeps nothing of connections and responses that are over. */
import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as DiagnosticsChannel from "node:diagnostics_channel"
import * as NodeEngine from "../../../src/layers/NodeEngine.ts"
import { head, port } from "../../contract/support/Serving.ts"
import { Peer } from "../../e2e/support/Peer.ts"
import { left } from "../../Garbage.ts"

/** What Node tells of on a channel while the scope is open. */
const told = (channel: string, key: string) => {
  const objects: Array<WeakRef<object>> = []
  const listen = (message: unknown): void => {
    const object: unknown = Object(message)[key]
    if (typeof object === "object" && object !== null) objects.push(new WeakRef(object))
  }
  return Effect.acquireRelease(
    Effect.sync(() => {
      DiagnosticsChannel.subscribe(channel, listen)
      return objects
    }),
    () => Effect.sync(() => DiagnosticsChannel.unsubscribe(channel, listen))
  )
}

const connections = 50

for (
  const [what, requests] of [
    ["connections on which nothing was said", []],
    ["connections with requests", [head("GET /"), head("GET /")]]
  ] as const
) {
  it.effect(`nothing is kept of ${what}, and of their responses`, () =>
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.text("hello")))
      const number = yield* port
      const connection = Effect.promise(async () => {
        const peer = await Peer.connect(number)
        for (const request of requests) assert.strictEqual((await peer.exchange(request)).status, 200)
        peer.end()
        await peer.untilClosed()
      })
      const sockets = yield* told("net.server.socket", "socket")
      const responses = yield* told("http.server.request.start", "response")
      for (let i = 0; i < connections; i++) yield* connection
      for (const [objects, count] of [[sockets, connections], [responses, connections * requests.length]] as const) {
        assert.strictEqual(objects.length, count)
        // The last ones may be on the stack of somebody.
        assert.isBelow(yield* Effect.promise(() => left(objects)), 10)
      }
    }).pipe(
      Effect.scoped,
      Effect.provide(NodeEngine.layerServer({ host: "127.0.0.1", port: 0, shutdownTimeout: Duration.seconds(1) }))
    ))
}
