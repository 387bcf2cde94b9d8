// A strategy of your own: a client always gets the same backend, as long as the list of backends stays the same.
import { Console, Effect, Hash, Layer } from "effect"
import * as Static from "evenkeel/layers/discovery/Static"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as Backend from "evenkeel/services/Backend"
import { Balancer } from "evenkeel/services/Balancer"
import { anonymous, Strategy } from "evenkeel/services/Strategy"

const ByClient = Layer.succeed(Strategy, {
  name: "by-client",
  make: (endpoints) => ({
    // In a load balancer for HTTP, the key is the client's address.
    pick: (context) => endpoints[Math.abs(Hash.string(context.key() ?? "")) % endpoints.length]
  })
})

const backends = ["http://a", "http://b", "http://c"].map((origin) => Backend.make(origin))

const program = Effect.gen(function*() {
  const balancer = yield* Balancer
  for (const client of ["ann", "bob", "cy", "ann", "bob", "cy"]) {
    yield* balancer.use(
      { ...anonymous, key: () => client },
      ({ backend }) => Console.log(`${client} -> ${backend.origin}`)
    )
  }
})

const balancer = LoadBalancer.layerBalancer().pipe(Layer.provide([ByClient, Static.layer(backends)]))
await Effect.runPromise(Effect.provide(program, balancer))
