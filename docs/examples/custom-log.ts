// A log of your own: what has failed goes to the logger of your program, and nothing else is said.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { HttpClient, HttpServer } from "effect/http"
import * as Configuration from "evenkeel/layers/Configuration"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as Wire from "evenkeel/layers/Wire"
import { AccessLog, pretty } from "evenkeel/services/AccessLog"

const Failures = Layer.effect(
  AccessLog,
  Effect.gen(function*() {
    // With the loggers of the program. It does not wait for them.
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    return {
      write: (entry) => {
        if (entry._tag === "Completed" && entry.reason !== undefined) fork(Effect.logWarning(pretty(entry)))
      }
    }
  })
)

// Nobody listens on port 1.
const settings = Configuration.make({ listen: "localhost:0", to: ["http://localhost:1"], health: { kind: "off" } })

const balancer = LoadBalancer.layer(settings).pipe(
  Layer.provideMerge(Wire.layer(settings)),
  Layer.provide(Failures)
)

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const { text } = yield* HttpClient.get(HttpServer.formatAddress(address))
  yield* text
})

NodeRuntime.runMain(Effect.provide(program, balancer))
