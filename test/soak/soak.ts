/**
 * What clients see of ill backends: `npm run soak -- --only evenkeel,nginx --scenario killed,stopped --rounds 1`.
 *
 * Real processes and an open loop of 300 requests per second. Every candidate gets fresh processes for every scenario;
 * with `--minutes` it keeps them, and scenarios come at random. Exits 1 if Evenkeel misses a limit.
 */
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Bench from "../bench/Report.ts"
import { type Random, randomFrom } from "../Random.ts"
import { fail, say, select } from "../Terminal.ts"
import { count } from "./Backends.ts"
import * as Candidates from "./Candidates.ts"
import * as Report from "./Report.ts"
import * as Scenarios from "./Scenarios.ts"
import { type Details, type Outcome, Stage } from "./Stage.ts"

const mebibyte = 1024 * 1024
/** The longest rest between two scenarios at random, in milliseconds. */
const longestRest = 5_000
/**
 * A client that was late by more than this was on a busy machine, and tells little about the balancer, in milliseconds.
 */
const tolerableLateness = 50

// -----------------------------------------------------------------------------
// The command line
// -----------------------------------------------------------------------------

const positive = (flag: string, text: string): number => {
  const value = Number(text)
  return value > 0 && value < Infinity ? value : fail(`--${flag}: expected a number above 0, got ${text}`)
}

const readCommandLine = () => {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string" },
        scenario: { type: "string" },
        rounds: { type: "string", default: "1" },
        minutes: { type: "string" },
        seed: { type: "string", default: "1" },
        strategy: { type: "string" },
        flags: { type: "string" },
        probes: { type: "string", default: "well" },
        verbose: { type: "boolean", default: false }
      }
    })
    const flags = [
      ...(values.strategy === undefined ? [] : [`--strategy=${values.strategy}`]),
      ...(values.flags?.split(/\s+/).filter((flag) => flag !== "") ?? [])
    ]
    const candidates = select("only", values.only, Candidates.names)
    const scenarios = select("scenario", values.scenario, Scenarios.names)
    const [probes] = select("probes", values.probes, ["well", "ill"])
    return {
      candidates: Candidates.candidates(flags).filter(({ name }) => candidates.includes(name)),
      scenarios: Scenarios.scenarios(probes === "ill").filter(({ name }) => scenarios.includes(name)),
      rounds: Math.ceil(positive("rounds", values.rounds)),
      minutes: values.minutes === undefined ? undefined : positive("minutes", values.minutes),
      seed: Math.ceil(positive("seed", values.seed)),
      flags,
      isVerbose: values.verbose
    }
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error))
  }
}

const wishes = readCommandLine()

// -----------------------------------------------------------------------------
// Playing
// -----------------------------------------------------------------------------

const cells: Array<Report.Cell> = []

const cellOf = (candidate: string, scenario: string): Report.Cell => {
  const known = cells.find((cell) => cell.candidate === candidate && cell.scenario === scenario)
  if (known !== undefined) return known
  const cell: Report.Cell = { candidate, scenario, outcomes: [], failures: [] }
  cells.push(cell)
  return cell
}

/** A line of Evenkeel's log that tells of an exchange in which all was well. */
const isOrdinary = (line: string): boolean =>
  line.includes(`"http.response.status_code":200`) && !line.includes("error")

const sayDetails = ({ log, spread, troubles }: Details): void => {
  for (const [second, line] of spread.entries()) say(`  second ${second}: ${line}`)
  for (const line of log.filter((line) => !isOrdinary(line))) say(`  log: ${line}`)
  for (const line of troubles) say(`  ${line}`)
}

const sayOutcome = (where: string, outcome: Outcome, missed: ReadonlyArray<string>): void => {
  const { evenAfter, get, lateness, lost, post, requests, slow, twice, workedOn, wrong } = outcome
  const figures =
    `of ${requests} failed ${get} GET, ${post} POST (${lost} lost, ${workedOn} of them worked on), ${slow} slow, ${twice} twice, ${wrong} wrong`
  say(
    `${where}: ${figures}, even after ${evenAfter ?? "-"} ms${missed.length > 0 ? ` MISSED: ${missed.join("; ")}` : ""}`
  )
  if (lateness > tolerableLateness) say(`  the machine is busy: the client itself was late by up to ${lateness} ms`)
}

/** A scenario, and what is by chance in it. */
interface Play {
  readonly scenario: Scenarios.Scenario
  readonly victim: number
  readonly random: Random
}

/** Plays a scenario. Says whether the stage can still be used. */
const play = async (stage: Stage, candidate: string, { random, scenario, victim }: Play, where: string) => {
  const cell = cellOf(candidate, scenario.name)
  try {
    const [outcome, details] = await stage.play(scenario, victim, random)
    cell.outcomes.push(outcome)
    sayOutcome(`${where}, ${scenario.name}, ${candidate}`, outcome, Report.excess(outcome, scenario.limit))
    if (wishes.isVerbose) sayDetails(details)
    return true
  } catch (error) {
    cell.failures.push(error instanceof Error ? error.message : String(error))
    say(`${where}, ${scenario.name}, ${candidate}: broke off: ${cell.failures.at(-1)}`)
    return false
  }
}

const started = async (candidate: Candidates.Candidate, scenario: string): Promise<Stage | undefined> => {
  try {
    return await Stage.start(candidate)
  } catch (error) {
    cellOf(candidate.name, scenario).failures.push(error instanceof Error ? error.message : String(error))
    say(`${candidate.name}: ${String(error)}`)
    return undefined
  }
}

/**
 * Each scenario for each candidate in each round, with processes of its own; another backend is
 * the first in each round.
 */
const playRounds = async (present: ReadonlyArray<Candidates.Candidate>): Promise<void> => {
  for (let round = 1; round <= wishes.rounds; round++) {
    for (const scenario of wishes.scenarios) {
      for (const candidate of present) {
        const stage = await started(candidate, scenario.name)
        if (stage === undefined) continue
        const random = randomFrom(wishes.seed + round)
        const victim = (round - 1) % count
        await play(stage, candidate.name, { scenario, victim, random }, `round ${round} of ${wishes.rounds}`)
        await stage.stop()
      }
    }
  }
}

/** Resident memory of the balancers after the first and after the last scenario at random, in MiB. */
const memories: Record<string, { readonly first: number; readonly last: number }> = {}

/** Scenarios at random on the same processes, for each candidate the same ones. */
const playMinutes = async (present: ReadonlyArray<Candidates.Candidate>, minutes: number): Promise<void> => {
  for (const candidate of present) {
    const random = randomFrom(wishes.seed)
    const stage = await started(candidate, wishes.scenarios[0]!.name)
    if (stage === undefined) continue
    const end = performance.now() + minutes * 60_000
    const sizes: Array<number> = []
    for (let number = 1; number === 1 || performance.now() < end; number++) {
      const scenario = wishes.scenarios[Math.floor(random() * wishes.scenarios.length)]!
      const victim = Math.floor(random() * count)
      const rest = random() * longestRest
      // Its own source: how many numbers a scenario takes depends on how long it lasts.
      const one: Play = { scenario, victim, random: randomFrom(wishes.seed + number) }
      if (!(await play(stage, candidate.name, one, `number ${number}`))) break
      sizes.push(Math.round(stage.memory() / mebibyte))
      await sleep(rest)
    }
    say(`${candidate.name}: resident memory after each scenario, in MiB: ${sizes.join(" ")}`)
    memories[candidate.name] = { first: sizes[0] ?? 0, last: sizes.at(-1) ?? 0 }
    await stage.stop()
  }
}

const main = async (): Promise<void> => {
  if (process.platform !== "linux") fail("the soak reads /proc, and so needs Linux")
  const versions: Record<string, string> = {}
  for (const { name, version } of wishes.candidates) {
    const installed = version()
    if (installed === undefined) say(`skipped: ${name} is not installed`)
    else versions[name] = installed
  }
  const present = wishes.candidates.filter(({ name }) => name in versions)
  await (wishes.minutes === undefined ? playRounds(present) : playMinutes(present, wishes.minutes))

  const report = {
    date: new Date().toISOString().slice(0, 10),
    machine: Bench.machine(),
    versions,
    flags: wishes.flags,
    ...(wishes.minutes !== undefined && { seed: wishes.seed, memories }),
    cells
  }
  writeFileSync(fileURLToPath(new URL("result.json", import.meta.url)), `${JSON.stringify(report, undefined, 2)}\n`)
  process.stdout.write(`\n${Report.text(report, wishes.scenarios)}\n`)
  for (const [name, { first, last }] of Object.entries(memories)) {
    process.stdout.write(`\n${name}: ${first} MiB resident after the first scenario, ${last} MiB after the last\n`)
  }
  const late = Math.max(...cells.flatMap(({ outcomes }) => outcomes.map(({ lateness }) => lateness)))
  if (late > tolerableLateness) {
    process.stdout.write(`\nThe machine was busy: the client itself was late by up to ${late} ms.\n`)
  }
  const misses = Report.misses(cells.filter(({ candidate }) => candidate === "evenkeel"), wishes.scenarios)
  for (const miss of misses) process.stdout.write(`\nmissed: ${miss}`)
  process.stdout.write("\n")
  process.exitCode = misses.length === 0 ? 0 : 1
}

await main()
