// Only the choosing, of something that is not HTTP: read replicas of a database.
import { Console, Effect, Layer } from "effect"
import * as Static from "evenkeel/layers/discovery/Static"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as LeastRequests from "evenkeel/layers/strategies/LeastRequests"
import * as Backend from "evenkeel/services/Backend"
import { Balancer } from "evenkeel/services/Balancer"
import { anonymous } from "evenkeel/services/Strategy"

const replicas = [Backend.make("postgres://db-1:5432"), Backend.make("postgres://db-2:5432")]

const Replicas = LoadBalancer.layerBalancer().pipe(
  Layer.provide([LeastRequests.layer, Static.layer(replicas)])
)

/** Stands for a query on a real connection. */
const query = (sql: string, url: string) => Effect.delay(Console.log(`${sql} on ${url}`), "50 millis")

const program = Effect.gen(function*() {
  const balancer = yield* Balancer
  // In flight for exactly as long as the query runs, however it ends: so the second one goes to the other replica.
  const run = (sql: string) => balancer.use(anonymous, ({ backend }) => query(sql, backend.origin))
  yield* Effect.all([run("select 1"), run("select 2")], { concurrency: "unbounded" })
})

await Effect.runPromise(Effect.provide(program, Replicas))
