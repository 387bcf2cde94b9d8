/**
 * One of five backends is ten times slower than the others: what each strategy makes of that, in a simulated hour.
 *
 * Fifty requests a second; a backend works on four at once, for 10 ms and a random time of 10 ms on the average, the
 * slow one ten times as long. The figures in docs/strategies.md are from here.
 */
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { strategies, type StrategyName } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import { quantile, simulate } from "./Simulation.ts"

/** The shares of requests that the quantiles are for. */
export const shares = [0.5, 0.9, 0.99, 0.999] as const

const hour = 3_600_000

// The last one, or `first` would choose it.
const slow = 4

/** What a strategy makes of it. */
export interface Row {
  readonly strategy: StrategyName
  /** The latencies, in milliseconds, that these shares of the requests did not exceed. */
  readonly quantiles: ReadonlyArray<number>
  /** The share of requests that the slow one got. */
  readonly slowShare: number
}

/** Simulates the hour. The seed decides when requests come and how long they take. */
export const row = Effect.fnUntraced(function*(strategy: StrategyName, seed: number) {
  let ofSlow = 0
  const latencies = yield* simulate(strategies[strategy], {
    backends: Array.from({ length: 5 }, (_, i) => Backend.make(`http://a${i}`)),
    workers: 4,
    requestsPerSecond: 50,
    length: hour,
    seed,
    duration: (backend, _, random) => (10 - 10 * Math.log(1 - random())) * (backend === slow ? 10 : 1),
    onRequest: (_, backend) => {
      if (backend === slow) ofSlow++
    }
  })
  return {
    strategy,
    quantiles: shares.map((share) => quantile(latencies, share)),
    slowShare: ofSlow / latencies.length
  } satisfies Row
})

/**
 * The strategies in the order of the index, but for those of which nothing else is to be seen where all weights are
 * the same.
 */
export const rows = Effect.forEach(
  Struct.keys(strategies).filter((name) => !name.startsWith("weighted-")),
  (name) => row(name, 1)
)
