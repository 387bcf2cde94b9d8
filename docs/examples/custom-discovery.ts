// Backends that come and go: a source of your own, here a registry that is asked again and again.
import { Console, Effect, Layer, Schedule, Stream } from "effect"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as RoundRobin from "evenkeel/layers/strategies/RoundRobin"
import * as Backend from "evenkeel/services/Backend"
import { Discovery } from "evenkeel/services/Discovery"
import { Pool } from "evenkeel/services/Pool"

/** Stands for a request to a real registry, which is down now and then, and in which somebody mistypes a name. */
const answers = [["10.0.0.1"], undefined, ["10.0.0.1", "10.0.0.2", "10.0.0 3"], ["10.0.0.2"]]
const askRegistry = Effect.suspend(() => {
  const hosts = answers.shift()
  return hosts === undefined ? Effect.fail("the registry is down") : Effect.succeed(hosts)
})

/** Without an answer, the next one comes; of an answer, a wrong name loses only itself. */
const readRegistry = Effect.gen(function*() {
  const hosts = yield* askRegistry
  const [backends, wrong] = yield* Effect.partition(
    hosts,
    (host) => Effect.fromResult(Backend.decode(`http://${host}`))
  )
  for (const { message } of wrong) yield* Effect.logWarning(`registry: ${message}`)
  return backends
})

const Registry = Layer.succeed(Discovery, {
  name: "registry",
  // An answer is the full set of backends. Without an answer, the pool keeps what it has.
  backends: Stream.fromEffectSchedule(Effect.result(readRegistry), Schedule.spaced("50 millis")).pipe(
    Stream.filterMap((answer) => answer)
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
