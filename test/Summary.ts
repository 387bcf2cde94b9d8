/**
 * What tests have measured, as a table for people: collected while a file of tests runs and printed after it, where the
 * variable SUMMARY is set.
 */
import { afterAll } from "@effect/vitest"

/** One line of a table: a name, and figures by their names. */
export type Row = readonly [name: string, figures: Readonly<Record<string, string | number>>]

const text = (title: string, rows: ReadonlyArray<Row>): string => {
  const heads = ["scenario", ...Object.keys(rows[0]?.[1] ?? {})]
  const lines = [heads, ...rows.map(([name, figures]) => [name, ...Object.values(figures).map(String)])]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`
  const [head, ...body] = lines
  return [title, "", line(head!), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n")
}

/** Gives what adds a row. To be called while a file of tests is loaded. */
export const summary = (title: string): (...row: Row) => void => {
  const rows: Array<Row> = []
  afterAll(() => {
    if (process.env["SUMMARY"] !== undefined && rows.length > 0) process.stdout.write(`\n${text(title, rows)}\n\n`)
  })
  return (...row) => void rows.push(row)
}
