/** What has been measured, as medians: tables for people, JSON for programs. */
import * as Os from "node:os"
import type { Figures } from "./Measure.ts"

/** One candidate in one case, over all rounds. */
export interface Row {
  readonly candidate: string
  readonly rounds: Array<Figures>
  /** Why there is a round without figures. */
  readonly failures: Array<string>
}

export interface Section {
  readonly case: string
  readonly title: string
  readonly rows: ReadonlyArray<Row>
}

export interface Report {
  readonly date: string
  readonly machine: string
  readonly pinning: string
  readonly versions: Readonly<Record<string, string>>
  readonly sections: ReadonlyArray<Section>
}

/** What the figures are from. */
export const machine = (): string =>
  `${Os.cpus().length} cores, ${Os.cpus()[0]?.model ?? "unknown"}, Linux ${Os.release()}, Node.js ${process.version}`

/** The middle one, or the mean of the two in the middle. */
const median = (values: ReadonlyArray<number>): number | undefined => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1)
  return sorted.length === 0 ? undefined : middle.reduce((sum, value) => sum + value, 0) / middle.length
}

const medianOf = (row: Row | undefined, figure: keyof Figures): number | undefined =>
  median((row?.rounds ?? []).flatMap((figures) => figures[figure] ?? []))

const format = (value: number | undefined, digits: number): string =>
  value?.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) ?? ""

const kibibytes = (bytes: number | undefined): number | undefined => bytes === undefined ? undefined : bytes / 1024

/** The columns of a table: heads, and what they show of a row. */
type Columns = Readonly<Record<string, (row: Row, floor: Row | undefined) => string>>

const ratio = (row: Row, floor: Row | undefined, figure: keyof Figures): string => {
  const [own, least] = [medianOf(row, figure), medianOf(floor, figure)]
  return own === undefined || least === undefined ? "" : format(own / least, 2)
}

const columnsOfTraffic: Columns = {
  "CPU µs/request": (row) => format(medianOf(row, "cpu"), 0),
  "x floor": (row, floor) => ratio(row, floor, "cpu"),
  "requests/s": (row) => format(medianOf(row, "requestsPerSecond"), 0),
  "p50 ms": (row) => format(medianOf(row, "p50"), 1),
  "p99 ms": (row) => format(medianOf(row, "p99"), 1)
}

const columnsOfMemory: Columns = {
  "KiB/client": (row) => format(kibibytes(medianOf(row, "memory")), 1),
  "x floor": (row, floor) => ratio(row, floor, "memory")
}

const table = ({ case: name, rows, title }: Section): string => {
  const columns = name === "idle" ? columnsOfMemory : columnsOfTraffic
  const floor = rows.find(({ candidate }) => candidate === "floor")
  const cells = [
    [title, ...Object.keys(columns)],
    ...rows.map((row) => [row.candidate, ...Object.values(columns).map((show) => show(row, floor))])
  ]
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const lines = cells.map((row) =>
    `| ${row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(" | ")} |`
  )
  const rule = `| ${widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`).join(" | ")} |`
  return [lines[0], rule, ...lines.slice(1)].join("\n")
}

/** Every round in which something went wrong. */
export const failures = ({ sections }: Report): ReadonlyArray<string> =>
  sections.flatMap(({ case: name, rows }) =>
    rows.flatMap(({ candidate, failures }) => failures.map((reason) => `${candidate}, ${name}: ${reason}`))
  )

/** The report to be read. */
export const text = (report: Report): string =>
  [
    `${report.date}: ${report.machine}; ${report.pinning}.`,
    Object.entries(report.versions).map(([name, version]) => `${name} ${version}`).join(", "),
    ...report.sections.map(table),
    ...failures(report).map((failure) => `failed: ${failure}`)
  ].join("\n\n")
