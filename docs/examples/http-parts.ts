// A strategy and a source of backends of your own in the HTTP balancer, and the settings for everything else.
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Stream, SubscriptionRef } from "effect"
import { HttpClient, HttpServer, HttpServerResponse } from "effect/http"
import * as AccessLog from "evenkeel/layers/AccessLog"
import * as Configuration from "evenkeel/layers/Configuration"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as Wire from "evenkeel/layers/Wire"
import * as Backend from "evenkeel/services/Backend"
import { Discovery } from "evenkeel/services/Discovery"
import { Pool } from "evenkeel/services/Pool"
import { Strategy } from "evenkeel/services/Strategy"
import { createServer } from "node:http"

/** Whoever has joined last gets everything. `context.request` is the request, for those who want to look at it. */
const Newest = Layer.succeed(Strategy, {
  name: "newest",
  make: (endpoints) => ({ pick: () => endpoints.at(-1) })
})

/** Listens on a free port until the scope closes. Succeeds with the backend that it is. */
const startBackend = Effect.fn(function*(name: string) {
  const server = yield* NodeHttpServer.make(createServer, { host: "localhost", port: 0 })
  yield* server.serve(Effect.succeed(HttpServerResponse.text(`hello from ${name}`)))
  return Backend.make(HttpServer.formatAddress(server.address), { id: name })
})

const program = Effect.gen(function*() {
  const [a, b] = [yield* startBackend("a"), yield* startBackend("b")]

  // The current set, and each that follows.
  const known = yield* SubscriptionRef.make([a])
  const Known = Layer.succeed(Discovery, { name: "known", backends: SubscriptionRef.changes(known) })

  // `strategy` and `to` do nothing here. `Static.layer(settings.to)` is the source of the settings.
  const settings = Configuration.make({ listen: "localhost:0" })
  const balancer = LoadBalancer.layerServe.pipe(
    Layer.provideMerge(LoadBalancer.layerForwarder(settings)),
    Layer.provide([Newest, Known]),
    Layer.provideMerge(Wire.layer(settings)),
    Layer.provide(AccessLog.layerNone)
  )

  yield* Effect.gen(function*() {
    const pool = yield* Pool
    const { address } = yield* HttpServer.HttpServer
    const ask = Effect.gen(function*() {
      const { text } = yield* HttpClient.get(HttpServer.formatAddress(address))
      yield* Console.log(yield* text)
    })
    yield* ask
    yield* SubscriptionRef.set(known, [a, b])
    // Whoever joins gets requests when it has passed its first check.
    yield* pool.changes.pipe(Stream.takeUntil(({ eligible }) => eligible.length === 2), Stream.runDrain)
    yield* ask
  }).pipe(Effect.provide(balancer))
})

NodeRuntime.runMain(Effect.scoped(program))
