// A backend is taken out for a deploy while a request is in flight, and comes back; then another strategy takes over.
import { Console, Effect, Layer } from "effect"
import * as Static from "evenkeel/layers/discovery/Static"
import * as DrainLayer from "evenkeel/layers/Drain"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as LeastRequests from "evenkeel/layers/strategies/LeastRequests"
import * as RoundRobin from "evenkeel/layers/strategies/RoundRobin"
import * as Backend from "evenkeel/services/Backend"
import { Balancer } from "evenkeel/services/Balancer"
import { Drain } from "evenkeel/services/Drain"
import { Pool } from "evenkeel/services/Pool"
import { anonymous, Strategy } from "evenkeel/services/Strategy"

const backends = ["a", "b"].map((name) => Backend.make(`http://${name}.example`, { id: name }))

const Balancing = DrainLayer.layer().pipe(
  Layer.provideMerge(LoadBalancer.layerBalancer()),
  Layer.provide([RoundRobin.layer, Static.layer(backends)])
)

const program = Effect.gen(function*() {
  const balancer = yield* Balancer
  const drain = yield* Drain
  const pool = yield* Pool
  const request = balancer.use(anonymous, ({ backend }) => Effect.delay(Console.log(`answered by ${backend.id}`), 50))

  yield* Effect.forkChild(request, { startImmediately: true })
  yield* drain.drain("a", "deploy 41")
  yield* Console.log("a is drained")
  yield* request
  yield* pool.signal("a", { _tag: "ModeSet", mode: "Ready", why: "deployed" })

  // Latencies, failures and what is in flight stay beside each backend, so the new strategy starts warm.
  yield* balancer.swap(yield* Effect.provide(Strategy, LeastRequests.layer))
  yield* Effect.all([request, request], { concurrency: "unbounded" })
})

await Effect.runPromise(Effect.provide(program, Balancing))
