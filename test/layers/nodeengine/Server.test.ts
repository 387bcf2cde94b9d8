/** The server on node:http: that it keeps nothing of connections and responses that are over. */
import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Http from "node:http"
import * as Net from "node:net"
import { queryObjects } from "node:v8"
import * as NodeEngine from "../../../src/layers/NodeEngine.ts"
import { head, port } from "../../contract/support/Serving.ts"
import { Peer } from "../../e2e/support/Peer.ts"

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
      const kept = () => [Net.Socket, Http.ServerResponse].map((kind) => Number(queryObjects(kind)))
      yield* connection
      const before = kept()
      for (let i = 0; i < 50; i++) yield* connection
      for (const [i, count] of kept().entries()) assert.isBelow(count - before[i]!, 25)
    }).pipe(
      Effect.scoped,
      Effect.provide(NodeEngine.layerServer({ host: "127.0.0.1", port: 0, shutdownTimeout: Duration.seconds(1) }))
    ))
}
