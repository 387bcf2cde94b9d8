/**
 * Keeps what the documents quote what it is in the program.
 *
 * A marker, such as `<!-- from docs/examples/x.ts -->` or `<!-- the settings -->`, is followed by a fence or a table.
 * `npm run docs` fills them in, and a test fails when one is not as it would be.
 */
import * as Effect from "effect/Effect"
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { options } from "../src/layers/Configuration.ts"
import { meaningOf } from "../src/services/Reason.ts"
import * as Spread from "./simulation/Spread.ts"
import * as TailLatency from "./simulation/TailLatency.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The documents, as paths from the root. */
export const documents: ReadonlyArray<string> = globSync(["*.md", "docs/**/*.md"], { cwd: root })

export const read = (path: string): string => readFileSync(root + path, "utf8")

const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = [heads, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")))
  const widths = heads.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const line = (row: ReadonlyArray<string>) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`
  const [head, ...body] = cells
  return [line(head!), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n")
}

const settings = Effect.sync(() =>
  table(
    ["key", "default", "what it is"],
    options.map((option) => [
      `\`${option.key}\``,
      option.defaultText,
      option.choices.length === 0
        ? option.description
        : `${option.description} One of ${option.choices.map((choice) => `\`${choice}\``).join(", ")}.`
    ])
  )
)

const reasons = Effect.sync(() =>
  table(
    ["reason", "status", "meaning"],
    Object.entries(meaningOf).map(([reason, { meaning, status }]) => [
      `\`${reason}\``,
      status === 0 ? "as sent" : status === 499 ? "499, or what was sent; in the log only" : String(status),
      meaning
    ])
  )
)

const tailLatencies = Effect.map(TailLatency.rows, (rows) =>
  table(
    ["strategy", "p50", "p90", "p99", "p99.9", "of the slow one"],
    rows.map(({ quantiles: [p50, p90, p99, p999], slowShare, strategy }) => [
      `\`${strategy}\``,
      `${p50!.toFixed(0)} ms`,
      `${p90!.toFixed(0)} ms`,
      `${p99!.toFixed(0)} ms`,
      `${p999!.toFixed(0)} ms`,
      `${(slowShare * 100).toFixed(1)} %`
    ])
  ))

const spread = Effect.map(Spread.picture, (lines) => `\`\`\`\n${lines.join("\n")}\n\`\`\``)

/** What a marker "the ..." stands for. */
const parts: Readonly<Record<string, Effect.Effect<string>>> = {
  settings,
  reasons,
  spread,
  "tail latencies": tailLatencies
}

const fence = (path: string): string =>
  `\`\`\`${path.slice(path.lastIndexOf(".") + 1)}\n${read(path).trimEnd()}\n\`\`\``

/** The document with everything quoted as it is now. */
export const filled = Effect.fnUntraced(function*(text: string) {
  const made: Record<string, string> = {}
  for (const [name, part] of Object.entries(parts)) if (text.includes(`<!-- the ${name} -->`)) made[name] = yield* part
  return text
    .replace(
      /^(<!-- from (\S+) -->)\n(?:\n```\w+\n[\s\S]*?\n```\n)?/gm,
      (_, marker: string, path: string) => `${marker}\n\n${fence(path)}\n`
    )
    .replace(
      /^(<!-- the ([a-z ]+) -->)\n(?:\n(?:(?:\|.*\n)+|```\n[\s\S]*?\n```\n))?/gm,
      (all, marker: string, name: string) => made[name] === undefined ? all : `${marker}\n\n${made[name]}\n`
    )
})

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const path of documents) writeFileSync(root + path, await Effect.runPromise(filled(read(path))))
}
