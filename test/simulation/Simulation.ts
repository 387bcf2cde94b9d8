/**
 * A queueing model: requests of many clients that come at random to backends that work for a while, in the time
 * of a clock of its own.
 *
 * The strategy is the real one, and so are the numbers that it reads; nothing else of the balancer takes part. An hour
 * with 360,000 requests takes less than a second.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as ManualClock from "../../src/layers/testing/ManualClock.ts"
import type { Backend } from "../../src/services/Backend.ts"
import * as Load from "../../src/services/Load.ts"
import { anonymous, type PickContext, Strategy } from "../../src/services/Strategy.ts"

/** Numbers from 0 to below 1, always the same for the same seed (mulberry32). */
export const randomNumbers = (seed: number): () => number => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The strategy of a layer, on this clock and with the random numbers of this seed. */
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
  readonly seed: number
  /** Told of each request: when it came, to whom it went and, unless that is never, how long it took. */
  readonly onRequest?: (at: number, backend: number, duration: number) => void
}

/** Answers to come, in the order of their times: a binary heap. */
class Answers {
  readonly #times: Array<number> = []
  readonly #backends: Array<number> = []
  readonly #begins: Array<number> = []

  get next(): number {
    return this.#times[0] ?? Infinity
  }

  push(time: number, backend: number, begin: number): void {
    let hole = this.#times.length
    while (hole > 0) {
      const parent = (hole - 1) >> 1
      if (this.#times[parent]! <= time) break
      this.#move(parent, hole)
      hole = parent
    }
    this.#set(hole, time, backend, begin)
  }

  /** Takes the first one out. */
  shift(): { readonly backend: number; readonly begin: number } {
    const first = { backend: this.#backends[0]!, begin: this.#begins[0]! }
    const [time, backend, begin] = [this.#times.pop()!, this.#backends.pop()!, this.#begins.pop()!]
    const n = this.#times.length
    if (n === 0) return first
    let hole = 0
    for (let child = 1; child < n; child = 2 * hole + 1) {
      if (child + 1 < n && this.#times[child + 1]! < this.#times[child]!) child++
      if (time <= this.#times[child]!) break
      this.#move(child, hole)
      hole = child
    }
    this.#set(hole, time, backend, begin)
    return first
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#times[from]!, this.#backends[from]!, this.#begins[from]!)
  }

  #set(at: number, time: number, backend: number, begin: number): void {
    this.#times[at] = time
    this.#backends[at] = backend
    this.#begins[at] = begin
  }
}

/** When each worker of a backend is free. */
type Workers = Float64Array | undefined

/** When a request that comes now begins: now, or when the first worker is free. It keeps that worker for so long. */
const beginOf = (workers: Workers, now: number, duration: number): number => {
  if (workers === undefined) return now
  let first = 0
  for (let i = 1; i < workers.length; i++) if (workers[i]! < workers[first]!) first = i
  const begin = Math.max(now, workers[first]!)
  workers[first] = begin + duration
  return begin
}

/** As many clients as a strategy that goes by the client may meet. */
const clients: ReadonlyArray<PickContext> = Array.from(
  { length: 1_000 },
  (_, i) => ({ ...anonymous, key: () => `10.0.${i >> 8}.${i & 255}` })
)

/**
 * Runs a scenario with the strategy of a layer. Gives the latencies of all answers, in
 * milliseconds, in ascending order.
 */
export const simulate = (layer: Layer.Layer<Strategy>, scenario: Scenario): Float64Array => {
  const { backends, duration, length, onRequest, requestsPerSecond, seed } = scenario
  const workers = backends.map((): Workers =>
    scenario.workers === undefined ? undefined : new Float64Array(scenario.workers)
  )
  const clock = ManualClock.make()
  const random = randomNumbers(seed)
  const endpoints = backends.map((backend): Load.Endpoint => ({ backend, load: Load.make() }))
  const positions = new Map(endpoints.map((endpoint, i) => [endpoint, i]))
  const picker = build(layer, seed, clock).make(endpoints)
  const answers = new Answers()
  const latencies: Array<number> = []

  const answer = () => {
    clock.now = answers.next
    const { backend, begin } = answers.shift()
    const latency = clock.now - begin
    latencies.push(latency)
    Load.end(endpoints[backend]!.load, "success", latency, clock.now)
    picker.observe?.(endpoints[backend]!, "success", latency)
    picker.ended?.(endpoints[backend]!)
  }

  for (let now = 0; now < length; now += -Math.log(1 - random()) * (1000 / requestsPerSecond)) {
    while (answers.next <= now) answer()
    clock.now = now
    const endpoint = picker.pick(clients[Math.floor(random() * clients.length)]!)!
    const backend = positions.get(endpoint)!
    Load.begin(endpoint.load)
    const work = duration(backend, now, random)
    const takes = beginOf(workers[backend], now, work) + work - now
    onRequest?.(now, backend, takes)
    if (takes < Infinity) answers.push(now + takes, backend, now)
  }
  while (answers.next < Infinity) answer()
  return Float64Array.from(latencies).sort()
}

/** The latency that this share of the answers does not exceed. */
export const quantile = (latencies: Float64Array, share: number): number =>
  latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? NaN
