/**
 * Measures what a request costs: `npm run bench -- --rounds 1 --only node,floor --case tiny`.
 *
 * Round after round, case after case, every candidate gets a fresh process; so what else the machine does hits all of
 * them. The method and its limits are in docs/performance.md.
 */
import { spawnSync } from "node:child_process"
import { existsSync, statSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { freePort } from "../FreePort.ts"
import { fail, say, select } from "../Terminal.ts"
import type { Candidate } from "./candidates/Candidate.ts"
import { candidates, packages } from "./candidates/index.ts"
import * as Cases from "./Cases.ts"
import { direct, type Figures, measure } from "./Measure.ts"
import { pin, start } from "./Processes.ts"
import * as Report from "./Report.ts"

const maxRounds = 100
const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

const readCommandLine = () => {
  try {
    const { values } = parseArgs({
      options: { rounds: { type: "string", default: "3" }, only: { type: "string" }, case: { type: "string" } }
    })
    const rounds = Number(values.rounds)
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > maxRounds) {
      return fail(`--rounds: expected 1 to ${maxRounds}, got ${values.rounds}`)
    }
    const names = select("only", values.only, candidates.map(({ name }) => name))
    return {
      rounds,
      chosen: candidates.filter(({ name }) => names.includes(name)),
      cases: select("case", values.case, Cases.names)
    }
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error))
  }
}

/** Installs the other proxies, unless that has been done since the lock was last written. */
const install = (): void => {
  const done = here("node_modules/.package-lock.json")
  if (existsSync(done) && statSync(done).mtimeMs >= statSync(here("package-lock.json")).mtimeMs) return
  const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: here("."),
    stdio: ["ignore", 2, 2]
  })
  if (status !== 0) fail("npm ci failed")
}

/** The candidates that are installed, with their versions. */
const present = (chosen: ReadonlyArray<Candidate>): ReadonlyArray<readonly [Candidate, string]> =>
  chosen.flatMap((candidate) => {
    const version = candidate.version()
    if (version === undefined) say(`skipped: ${candidate.name} is not installed`)
    return version === undefined ? [] : [[candidate, version] as const]
  })

/** A row of the report, and how a round of it is measured. */
interface Job extends Report.Row {
  readonly run: () => Promise<Figures>
}

const job = (candidate: string, run: Job["run"]): Job => ({ candidate, run, rounds: [], failures: [] })

/** A failure is a result as well: the others go on. */
const runJob = async ({ candidate, failures, rounds, run }: Job, where: string): Promise<void> => {
  try {
    const figures = await run()
    rounds.push(figures)
    const shown = Object.entries(figures).map(([name, value]) => `${name} ${Math.round(value * 10) / 10}`)
    say(`${where}, ${candidate}: ${shown.join(", ")}`)
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error))
    say(`${where}, ${candidate}: failed: ${failures.at(-1)}`)
  }
}

const main = async (): Promise<void> => {
  if (process.platform !== "linux") fail("the bench reads /proc, and so needs Linux")
  const { cases, chosen, rounds } = readCommandLine()
  if (chosen.some((candidate) => packages.includes(candidate))) install()
  const installed = present(chosen)
  const pinning = pin()
  const backendPort = await freePort()
  const backend = await start({ file: process.execPath, args: [here("Backend.ts"), String(backendPort)] }, backendPort)

  const sections = cases.map((name) => {
    const traffic = Cases.traffic.find((one) => one.name === name)
    const rows = installed.map(([candidate]) => job(candidate.name, () => measure(candidate, backendPort, traffic)))
    if (traffic !== undefined) rows.push(job("(no proxy)", () => direct(backendPort, traffic)))
    return { case: name, title: traffic?.title ?? Cases.idle.title, rows }
  })
  for (let round = 1; round <= rounds; round++) {
    for (const { case: name, rows } of sections) {
      for (const row of rows) await runJob(row, `round ${round} of ${rounds}, ${name}`)
    }
  }
  await backend.stop()

  const report: Report.Report = {
    date: new Date().toISOString().slice(0, 10),
    machine: Report.machine(),
    pinning,
    versions: Object.fromEntries(installed.map(([{ name }, version]) => [name, version])),
    sections
  }
  writeFileSync(here("result.json"), `${JSON.stringify(report, undefined, 2)}\n`)
  process.stdout.write(`\n${Report.text(report)}\n`)
  process.exitCode = Report.failures(report).length === 0 ? 0 : 1
}

await main()
