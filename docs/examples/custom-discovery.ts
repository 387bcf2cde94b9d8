// Backends that come and go: a source of your own, here a registry that is asked again and again.
import { Console, Effect, Layer, Schedule, Stream } from "effect"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as RoundRobin from "evenkeel/layers/strategies/RoundRobin"
import * as Backend from "evenkeel/services/Backend"
import { Discovery } from "evenkeel/services/Discovery"
import { Pool } from "evenkeel/services/Pool"

/** Stands for a request to a real registry, which is down now and then. */
const answers = [["10.0.0.1"], undefined, ["10.0.0.1", "10.0.0.2"], ["10.0.0.2"]]
const askRegistry = Effect.suspend(() => {
  const hosts = answers.shift()
  return hosts === undefined ? Effect.fail("the registry is down") : Effect.succeed(hosts)
})

const Registry = Layer.succeed(Discovery, {
  name: "registry",
  // An answer is the full set of backends. Without an answer, the pool keeps what it has.
  backends: Stream.fromEffectSchedule(Effect.result(askRegistry), Schedule.spaced("50 millis")).pipe(
    Stream.filterMap((answer) => answer),
    Stream.map((hosts) => hosts.map((host) => Backend.make(`http://${host}`)))
  )
})

const program = Effect.gen(function*() {
  const pool = yield* Pool
  yield* pool.changes.pipe(
    Stream.take(3),
    Stream.runForEach(({ eligible }) => Console.log(eligible.map(({ backend }) => backend.origin).join(" ")))
  )
})

const balancer = LoadBalancer.layerBalancer().pipe(Layer.provide([Registry, RoundRobin.layer]))
await Effect.runPromise(Effect.provide(program, balancer))
