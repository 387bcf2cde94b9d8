// The balancer in a router: one path is answered by the program itself, everything else by a backend.
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Ref } from "effect"
import { HttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as AccessLog from "evenkeel/layers/AccessLog"
import * as Configuration from "evenkeel/layers/Configuration"
import * as Static from "evenkeel/layers/discovery/Static"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import { strategyOf } from "evenkeel/layers/strategies/index"
import * as Wire from "evenkeel/layers/Wire"
import { Forwarder } from "evenkeel/services/Forwarder"
import { canServe, Pool } from "evenkeel/services/Pool"
import { createServer } from "node:http"

/** Listens on a free port until the scope closes. Succeeds with its URL. */
const startBackend = Effect.gen(function*() {
  const server = yield* NodeHttpServer.make(createServer, { host: "localhost", port: 0 })
  const answer = Effect.map(
    HttpServerRequest.HttpServerRequest,
    ({ url }) => HttpServerResponse.text(`backend: ${url}`)
  )
  yield* server.serve(answer)
  return HttpServer.formatAddress(server.address)
})

const Routes = HttpRouter.use(Effect.fn(function*(router) {
  const { handle } = yield* Forwarder
  const { state } = yield* Pool
  const ready = Effect.map(Ref.get(state), (pool) => HttpServerResponse.empty({ status: canServe(pool) ? 204 : 503 }))
  yield* router.add("GET", "/ready", ready)
  yield* router.prefixed("/api").add("*", "/*", handle)
  yield* router.add("*", "/*", handle)
}))

const program = Effect.gen(function*() {
  const settings = Configuration.make({ listen: "localhost:0", to: [yield* startBackend] })
  const balancer = LoadBalancer.layerForwarder(settings).pipe(
    Layer.provide([strategyOf(settings), Static.layer(settings.to), AccessLog.layerNone])
  )
  const app = HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(balancer),
    Layer.provideMerge(Wire.layer(settings))
  )
  yield* Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    for (const path of ["/ready", "/hello", "/api/users?id=7"]) {
      const { status, text } = yield* HttpClient.get(`${HttpServer.formatAddress(address)}${path}`)
      yield* Console.log(status, yield* text)
    }
  }).pipe(Effect.provide(app))
})

NodeRuntime.runMain(Effect.scoped(program))
