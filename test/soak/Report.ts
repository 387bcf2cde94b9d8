/** What the soak has shown: whether the limits were kept, a table for people, JSON for programs. */
import type { Limit, Scenario } from "./Scenarios.ts"
import type { Outcome } from "./Stage.ts"

/** In milliseconds. */
const evenLimit = 5_000

/** One candidate in one scenario, over all rounds. */
export interface Cell {
  readonly candidate: string
  readonly scenario: string
  readonly outcomes: Array<Outcome>
  /** Why there is a round without an outcome. */
  readonly failures: Array<string>
}

export interface Report {
  readonly date: string
  readonly machine: string
  readonly versions: Readonly<Record<string, string>>
  readonly flags: ReadonlyArray<string>
  readonly cells: ReadonlyArray<Cell>
}

// -----------------------------------------------------------------------------
// Limits
// -----------------------------------------------------------------------------

/**
 * What an outcome has beyond its limit, in words. What was lost with a killed backend is not counted against anybody.
 */
export const excess = (outcome: Outcome, limit: Limit): ReadonlyArray<string> => {
  const post = outcome.post - outcome.lost
  const figures: ReadonlyArray<readonly [string, number, number | undefined]> = [
    ["GETs failed", outcome.get, limit.get],
    ["POSTs failed", post, limit.post],
    ["failed", outcome.get + post, limit.failed],
    ["slow", outcome.slow, limit.slow],
    ["POSTs delivered twice", outcome.twice, 0],
    ["wrong bodies", outcome.wrong, 0]
  ]
  const beyond = figures.flatMap(([what, value, most = Infinity]) =>
    value > most ? [`${value} ${what}, ${most} allowed`] : []
  )
  const { evenAfter } = outcome
  if (evenAfter !== null && evenAfter <= evenLimit) return beyond
  return [...beyond, evenAfter === null ? "the spread was not even again" : `even only after ${evenAfter} ms`]
}

/** Everything by which a candidate has missed the limits. */
export const misses = (cells: ReadonlyArray<Cell>, scenarios: ReadonlyArray<Scenario>): ReadonlyArray<string> =>
  cells.flatMap(({ candidate, failures, outcomes, scenario }) => {
    const limit = scenarios.find(({ name }) => name === scenario)?.limit ?? {}
    const reasons = [...failures, ...outcomes.flatMap((outcome) => excess(outcome, limit))]
    return reasons.map((reason) => `${candidate}, ${scenario}: ${reason}`)
  })

const limitText = ({ failed, get, post, slow }: Limit): string =>
  [
    failed === undefined ? `${get ?? "any"}/${post ?? "any"}` : `${failed} failed`,
    ...(slow === undefined ? [] : [`${slow} slow`])
  ].join(", ")

// -----------------------------------------------------------------------------
// Tables
// -----------------------------------------------------------------------------

const most = (outcomes: ReadonlyArray<Outcome>, value: (outcome: Outcome) => number): number =>
  Math.max(...outcomes.map(value))

/** The worst of all rounds, figure by figure. */
const worst = (outcomes: ReadonlyArray<Outcome>): string => {
  const lost = most(outcomes, (one) => one.lost)
  const twice = most(outcomes, (one) => one.twice)
  const wrong = most(outcomes, (one) => one.wrong)
  const even = most(outcomes, (one) => one.evenAfter ?? Infinity)
  return [
    `${most(outcomes, (one) => one.get)}/${most(outcomes, (one) => one.post)}${lost > 0 ? ` (${lost} lost)` : ""}`,
    `${most(outcomes, (one) => one.slow)} slow`,
    ...(twice > 0 ? [`${twice} twice`] : []),
    ...(wrong > 0 ? [`${wrong} wrong`] : []),
    even === Infinity ? "not even" : `${(even / 1_000).toFixed(1)} s`
  ].join(", ")
}

const cellText = (cell: Cell | undefined): string => {
  if (cell === undefined) return ""
  const parts = cell.outcomes.length === 0 ? [] : [worst(cell.outcomes)]
  return [...parts, ...(cell.failures.length > 0 ? [`${cell.failures.length} rounds broke off`] : [])].join("; ")
}

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (row: ReadonlyArray<string>) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`
  return [line(rows[0]!), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)].join("\n")
}

/** The report to be read. */
export const text = (report: Report, scenarios: ReadonlyArray<Scenario>): string => {
  const names = [...new Set(report.cells.map(({ candidate }) => candidate))]
  const played = scenarios.filter(({ name }) => report.cells.some(({ scenario }) => scenario === name))
  const cell = (candidate: string, scenario: string) =>
    cellText(report.cells.find((cell) => cell.candidate === candidate && cell.scenario === scenario))
  const rows = played.map(({ limit, name, title }) =>
    [title].concat(names.map((candidate) => cell(candidate, name)), limitText(limit))
  )
  const heads = ["scenario", ...names.map((name) => `${name} ${report.versions[name] ?? ""}`.trim()), "to reach"]
  return [
    `${report.date}: ${report.machine}${report.flags.length > 0 ? `; evenkeel ${report.flags.join(" ")}` : ""}.`,
    "GETs/POSTs that failed (of them under way to a backend as it was killed), over a second, even spread after; the worst of all rounds.",
    table([heads, ...rows])
  ].join("\n\n")
}
