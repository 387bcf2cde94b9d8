/**
 * A queueing model on `TestClock`: requests of many clients that come at random, each a fiber, to backends that work
 * for a while.
 *
 * The strategy is the real one, and so are the numbers that it reads; nothing else of the balancer takes part. An hour
 * with 180,000 requests takes a second or two.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"
import type { Backend } from "../../src/services/Backend.ts"
import * as Load from "../../src/services/Load.ts"
import { anonymous, type PickContext, Strategy } from "../../src/services/Strategy.ts"
import { randomFrom } from "../Random.ts"

/** The strategy of a layer, on a clock that is moved by hand and with the random numbers of this seed. */
export const build = (layer: Layer.Layer<Strategy>, seed: number, clock: Clock.Clock): Strategy["Service"] =>
  Effect.runSync(
    Strategy.pipe(Effect.provide(layer), Random.withSeed(seed), Effect.provideService(Clock.Clock, clock))
  )

/** What is simulated. Times are milliseconds. */
export interface Scenario {
  readonly backends: ReadonlyArray<Backend>
  /** How long a backend works on a request that comes at this time, `Infinity` for ever. */
  readonly duration: (backend: number, now: number, random: () => number) => number
  /** How many requests a backend works on at once; more wait there. Without it nobody waits. */
  readonly workers?: number
  readonly requestsPerSecond: number
  /** How long requests come in. */
  readonly length: number
  /** For the strategy and for what comes to it. */
  readonly seed: number
  /** Told of each request: when it came, to whom it went and, unless that is never, how long it took. */
  readonly onRequest?: (at: number, backend: number, duration: number) => void
}

/** When each worker of a backend is free. */
type Workers = Float64Array | undefined

/** How long a request takes that comes now: its own time after the first worker is free, who is busy with it then. */
const takenBy = (workers: Workers, now: number, duration: number): number => {
  if (workers === undefined) return duration
  let first = 0
  for (let i = 1; i < workers.length; i++) if (workers[i]! < workers[first]!) first = i
  workers[first] = Math.max(now, workers[first]!) + duration
  return workers[first]! - now
}

/** As many clients as a strategy that goes by the client may meet. */
const clients: ReadonlyArray<PickContext> = Array.from(
  { length: 1_000 },
  (_, i) => ({ ...anonymous, key: () => `10.0.${i >> 8}.${i & 255}` })
)

/**
 * Runs a scenario with the strategy of a layer, and as long again for the last answers. Gives the latencies of all
 * answers, in milliseconds, in ascending order.
 */
export const simulate = (layer: Layer.Layer<Strategy>, scenario: Scenario): Effect.Effect<Float64Array> => {
  const { backends, duration, length, onRequest, requestsPerSecond, seed } = scenario
  const workers = backends.map((): Workers =>
    scenario.workers === undefined ? undefined : new Float64Array(scenario.workers)
  )
  const random = randomFrom(seed)
  const endpoints = backends.map((backend): Load.Endpoint => ({ backend, load: Load.make() }))
  const positions = new Map(endpoints.map((endpoint, i) => [endpoint, i]))
  const latencies: Array<number> = []

  return Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const picker = (yield* Strategy).make(endpoints)

    const exchange = Effect.suspend(() => {
      const now = clock.currentTimeMillisUnsafe()
      const endpoint = picker.pick(clients[Math.floor(random() * clients.length)]!)!
      const backend = positions.get(endpoint)!
      Load.begin(endpoint.load)
      const takes = takenBy(workers[backend], now, duration(backend, now, random))
      onRequest?.(now, backend, takes)
      return Effect.map(Effect.sleep(takes), () => {
        latencies.push(takes)
        Load.end(endpoint.load, "success", takes, clock.currentTimeMillisUnsafe())
        picker.observe?.(endpoint, "success", takes)
        picker.ended?.(endpoint)
      })
    })

    const requests = Effect.gen(function*() {
      for (let due = 0; due < length; due -= Math.log(1 - random()) * (1000 / requestsPerSecond)) {
        yield* Effect.sleep(due - clock.currentTimeMillisUnsafe())
        yield* Effect.forkScoped(exchange, { startImmediately: true })
      }
    })

    yield* Effect.forkScoped(requests)
    yield* TestClock.adjust(2 * length)
    return Float64Array.from(latencies).sort()
  }).pipe(
    Effect.scoped,
    Effect.provide(layer),
    Random.withSeed(seed),
    Effect.provide(TestClock.layer()),
    // Without a turn of the event loop for each of its steps, a request takes a quarter less.
    Effect.provideService(Scheduler.Scheduler, new Scheduler.MixedScheduler("sync"))
  )
}

/** The latency that this share of the answers does not exceed. */
export const quantile = (latencies: Float64Array, share: number): number =>
  latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? NaN
