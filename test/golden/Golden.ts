/** Golden files: text that people and machines rely on, kept as it must be, and changed only by hand. */
import { assert } from "@effect/vitest"
import { readFileSync } from "node:fs"

/** The lines of a file in this folder. */
export const golden = (file: string): ReadonlyArray<string> =>
  readFileSync(new URL(file, import.meta.url), "utf8").split("\n").slice(0, -1)

/** Asserts that these lines are exactly those of a file in this folder. */
export const assertGolden = (file: string, lines: ReadonlyArray<string>): void => {
  assert.deepStrictEqual(lines, golden(file), `test/golden/${file}`)
}
