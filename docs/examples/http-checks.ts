// Checks of your own in the HTTP balancer: a backend says in JSON whether it is ready, and how far behind its data is.
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Schema } from "effect"
import { HttpClient, HttpClientResponse, HttpServer, HttpServerResponse } from "effect/http"
import * as AccessLog from "evenkeel/layers/AccessLog"
import * as Configuration from "evenkeel/layers/Configuration"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as Wire from "evenkeel/layers/Wire"
import { urlOf } from "evenkeel/services/Backend"
import { IsCheck, Probe, ProbeFailed } from "evenkeel/services/Probe"
import { createServer } from "node:http"

const Status = Schema.Struct({ isReady: Schema.Boolean, lagSeconds: Schema.Finite })

const ReadyAndFresh = Layer.effect(
  Probe,
  Effect.map(HttpClient.HttpClient, (client) => ({
    // Succeeds with what was seen, or fails with why the backend should have no traffic: both are for the log.
    check: ({ origin }) =>
      client.get(urlOf(origin, "/status")).pipe(
        Effect.flatMap(HttpClientResponse.schemaBodyJson(Status)),
        Effect.mapError(({ message }) => ProbeFailed.make({ message })),
        Effect.flatMap(({ isReady, lagSeconds }) =>
          isReady && lagSeconds < 10
            ? Effect.succeed(`${lagSeconds} s behind`)
            : ProbeFailed.make({ message: `not ready, or stale: ${lagSeconds} s behind`, answered: true })
        ),
        // The engine has a connection more for a check when all others are in use.
        Effect.provideService(IsCheck, true)
      )
  }))
)

/** Listens on a free port until the scope closes. Succeeds with its URL. */
const startBackend = Effect.fn(function*(status: typeof Status.Type) {
  const server = yield* NodeHttpServer.make(createServer, { host: "localhost", port: 0 })
  yield* server.serve(HttpServerResponse.json(status))
  return HttpServer.formatAddress(server.address)
})

const program = Effect.gen(function*() {
  const settings = Configuration.make({
    listen: "localhost:0",
    to: [
      yield* startBackend({ isReady: true, lagSeconds: 60 }),
      yield* startBackend({ isReady: true, lagSeconds: 1 })
    ],
    // Only what a check is changes: how often they are made and what follows is as it says here.
    health: { interval: "1s", initial: "down", panic: "0%" }
  })
  const balancer = LoadBalancer.layer(settings, { probe: ReadyAndFresh }).pipe(
    Layer.provideMerge(Wire.layer(settings)),
    Layer.provide(AccessLog.layerNone)
  )
  yield* Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    const ask = HttpClient.get(HttpServer.formatAddress(address))
    // 503 until the first checks are in.
    const { text } = yield* Effect.repeat(ask, { until: ({ status }) => status === 200 })
    yield* Console.log(yield* text)
  }).pipe(Effect.provide(balancer))
})

NodeRuntime.runMain(Effect.scoped(program))
