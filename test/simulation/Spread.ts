/**
 * The spread that each strategy gives, as a picture: three backends, of which one has twice the weight and one is slow.
 */
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { strategies, type StrategyName } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import { simulate } from "./Simulation.ts"

const columns = ["as usual", "twice the weight", "ten times slower"]

/** The shares of the three backends, in two simulated minutes of 100 requests a second that take 20 ms. */
export const sharesOf = Effect.fnUntraced(function*(strategy: StrategyName) {
  const counts = columns.map(() => 0)
  let total = 0
  yield* simulate(strategies[strategy], {
    backends: [1, 2, 1].map((weight, i) => Backend.make(`http://a${i}`, { weight })),
    requestsPerSecond: 100,
    length: 120_000,
    seed: 1,
    duration: (backend) => (backend === 2 ? 200 : 20),
    onRequest: (_, backend) => {
      counts[backend]!++
      total++
    }
  })
  return counts.map((count) => count / total)
})

const barLength = 16

const bar = (share: number): string => {
  const eighths = Math.round(share * barLength * 8)
  return "\u2588".repeat(eighths >> 3) +
    ["", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589"][eighths & 7]!
}

const cell = (share: number): string => `${bar(share)} ${(share * 100).toFixed(0)} %`.trimStart()

/** A line for each strategy, in the order of the index. */
export const picture = Effect.gen(function*() {
  const line = (name: string, cells: ReadonlyArray<string>): string =>
    [name.padEnd(22), ...cells.map((text) => text.padEnd(barLength + 7))].join(" ").trimEnd()
  const lines = yield* Effect.forEach(
    Struct.keys(strategies),
    (name) => Effect.map(sharesOf(name), (shares) => line(name, shares.map(cell)))
  )
  return [line("", columns), ...lines]
})
