/**
 * Measures what choosing costs: `npm run bench:strategies -- --only peak-ewma,random --time 50`.
 *
 * For every strategy of the index, from 3 to 10,000 backends: the nanoseconds of a choice, which is pick, begin and end
 * with the end told to the picker; the bytes that it leaves to the garbage collector; and how long a picker takes to be
 * made, which is when the list of eligible backends changes. Choices are timed a thousand at a time, because looking at
 * the clock takes as long as one of them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { getHeapStatistics } from "node:v8"
import { Bench } from "tinybench"
import { strategies } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import * as Load from "../../src/services/Load.ts"
import * as Monotonic from "../../src/services/Monotonic.ts"
import { anonymous, type PickContext, type Picker, Strategy } from "../../src/services/Strategy.ts"

const sizes = [3, 10, 100, 1_000, 10_000]
const batch = 1_000

/** Requests in flight at any moment. */
const concurrency = 16

/** What a choice may cost with ten backends, in nanoseconds. */
const target = 250

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    time: { type: "string", default: "100" },
    // What the bench calls itself with.
    measure: { type: "string" }
  }
})
const time = Number(values.time)
const all = Struct.keys(strategies)
const names = all.filter((name) => values.only?.split(",").includes(name) ?? true)

const backends = Array.from({ length: sizes.at(-1)! }, (_, i) => Backend.make(`http://10.0.${i >> 8}.${i & 255}:8080`))
const heavier = backends.map(({ origin }, i) => Backend.make(origin, { weight: 1 + (i % 5) }))

const endpoints = (from: ReadonlyArray<Backend.Backend>, n: number): ReadonlyArray<Load.Endpoint> =>
  from.slice(0, n).map((backend) => ({ backend, load: Load.make() }))

const clients: ReadonlyArray<PickContext> = Array.from({ length: 1_024 }, (_, i) => {
  const key = `203.0.${i >> 8}.${i & 255}`
  return { ...anonymous, key: () => key }
})

const clock = Effect.runSync(Clock.clockWith(Effect.succeed))

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** A thousand choices, as the balancer makes them. */
const choices = (picker: Picker): () => void => {
  const inFlight: Array<Load.Endpoint | undefined> = Array(concurrency).fill(undefined)
  let n = 0
  return () => {
    for (let i = 0; i < batch; i++) {
      n = (n + 1) & 1023
      const slot = n % concurrency
      const ended = inFlight[slot]
      if (ended !== undefined) {
        Load.end(ended.load, "success", 20, Monotonic.millisUnsafe(clock))
        picker.observe?.(ended, "success", 20)
        picker.ended?.(ended)
      }
      const endpoint = picker.pick(clients[n]!)!
      Load.begin(endpoint.load)
      inFlight[slot] = endpoint
    }
  }
}

const nanoseconds = async (run: () => void): Promise<number> => {
  const bench = new Bench({ time, warmupTime: time / 2 })
  bench.add("choices", run)
  const [task] = await bench.run()
  if (task?.result.state !== "completed") throw new Error("The bench did not complete")
  // The fastest thousand: what else the machine does can only add to it.
  return task.result.latency.min * 1e6 / batch
}

/** The bytes that a pick leaves behind. What begin and end leave is not the strategy's. */
const bytes = (picker: Picker): number => {
  const picks = 100_000
  const pickAll = () => {
    for (let i = 0; i < picks; i++) picker.pick(clients[i & 1023]!)
  }
  pickAll()
  const before = getHeapStatistics().total_allocated_bytes
  pickAll()
  const after = getHeapStatistics().total_allocated_bytes
  return (after - before) / picks
}

/** The median of a few, in milliseconds. */
const rebuildTime = (strategy: Strategy["Service"], list: ReadonlyArray<Load.Endpoint>): number => {
  const times: Array<number> = []
  for (const end = performance.now() + time; times.length < 5 || (performance.now() < end && times.length < 200);) {
    const begin = performance.now()
    strategy.make(list)
    times.push(performance.now() - begin)
  }
  return times.toSorted((a, b) => a - b)[times.length >> 1]!
}

/** What was measured of one strategy, for each size. */
interface Figures {
  readonly equal: Array<number>
  readonly weighted: Array<number>
  readonly garbage: Array<number>
  readonly rebuild: Array<number>
}

const measure = async (name: keyof typeof strategies): Promise<Figures> => {
  const strategy = Effect.runSync(Effect.provide(Strategy, strategies[name]))
  const figures: Figures = { equal: [], weighted: [], garbage: [], rebuild: [] }
  for (const n of sizes) {
    figures.equal.push(await nanoseconds(choices(strategy.make(endpoints(backends, n)))))
    const list = endpoints(heavier, n)
    const picker = strategy.make(list)
    figures.weighted.push(await nanoseconds(choices(picker)))
    figures.garbage.push(bytes(picker))
    figures.rebuild.push(rebuildTime(strategy, list))
  }
  return figures
}

/** In a process of its own, as in use, where V8 sees one strategy and not all of them. */
const measureApart = (name: string): Figures => {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), "--measure", name, "--time", `${time}`]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }))
}

const print = (title: string, results: ReadonlyMap<string, Figures>, of: (figures: Figures) => Array<string>): void => {
  const line = (name: string, cells: ReadonlyArray<string>): string =>
    name.padEnd(22) + cells.map((text) => text.padStart(10)).join("")
  say(`\n${title}\n${line("", sizes.map((n) => n.toLocaleString("en")))}`)
  for (const [name, figures] of results) say(line(name, of(figures)))
}

const measured = all.find((name) => name === values.measure)
if (measured !== undefined) say(JSON.stringify(await measure(measured)))
else {
  const results = new Map(names.map((name) => [name, measureApart(name)]))
  const whole = (numbers: ReadonlyArray<number>) => numbers.map((n) => n.toFixed(0))
  print("nanoseconds per choice, weights all the same", results, ({ equal }) => whole(equal))
  print("nanoseconds per choice, weights from 1 to 5", results, ({ weighted }) => whole(weighted))
  print("bytes of garbage per pick", results, ({ garbage }) => garbage.map((n) => n.toFixed(1)))
  print("milliseconds to make a picker", results, ({ rebuild }) => rebuild.map((n) => n.toFixed(n < 0.1 ? 4 : 2)))
  const tooSlow = [...results].filter(([, { equal, weighted }]) => Math.max(equal[1]!, weighted[1]!) > target)
  say(
    tooSlow.length === 0
      ? `\nAll are within ${target} ns with ten backends.`
      : `\nMore than ${target} ns with ten backends: ${tooSlow.map(([name]) => name).join(", ")}`
  )
}
