// A load balancer inside a program of your own: two backends, the balancer in front of them, and two requests.
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { HttpClient, HttpServer, HttpServerResponse } from "effect/http"
import * as AccessLog from "evenkeel/layers/AccessLog"
import * as Configuration from "evenkeel/layers/Configuration"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as Wire from "evenkeel/layers/Wire"
import { createServer } from "node:http"

/** Listens on a free port until the scope closes. Succeeds with its URL. */
const startBackend = Effect.fn(function*(name: string) {
  const server = yield* NodeHttpServer.make(createServer, { host: "localhost", port: 0 })
  yield* server.serve(Effect.succeed(HttpServerResponse.text(`hello from ${name}`)))
  return HttpServer.formatAddress(server.address)
})

/** What your program does while the load balancer runs. */
const sendRequests = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  for (let i = 0; i < 2; i++) {
    const response = yield* HttpClient.get(HttpServer.formatAddress(address))
    yield* Console.log(response.status, yield* response.text)
  }
})

const program = Effect.gen(function*() {
  const settings = Configuration.make({
    listen: "localhost:0",
    to: [yield* startBackend("a"), yield* startBackend("b")],
    strategy: "round-robin",
    health: { interval: "1s" }
  })
  const balancer = LoadBalancer.layer(settings).pipe(
    Layer.provideMerge(Wire.layer(settings)),
    Layer.provide(AccessLog.layerNone)
  )
  yield* Effect.provide(sendRequests, balancer)
})

NodeRuntime.runMain(Effect.scoped(program))
