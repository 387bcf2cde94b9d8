/**
 * Golden files: text that people and machines rely on, kept as it must be, and changed only by hand.
 *
 * `<strategies>` and `<"strategies">` stand for their names, so that a new strategy changes none of them.
 */
import { assert } from "@effect/vitest"
import * as Struct from "effect/Struct"
import { readFileSync } from "node:fs"
import { strategies } from "../../src/layers/strategies/index.ts"

/** The names of all strategies, as messages have them where one of them was expected. */
export const expectedStrategies = Struct.keys(strategies).map((name) => `"${name}"`).join(" | ")

/** The lines of a file in this folder. */
export const golden = (file: string): ReadonlyArray<string> =>
  readFileSync(new URL(file, import.meta.url), "utf8")
    .replaceAll(`<"strategies">`, expectedStrategies)
    .replaceAll("<strategies>", Struct.keys(strategies).join(", "))
    .split("\n")
    .slice(0, -1)

/** Asserts that these lines are exactly those of a file in this folder. */
export const assertGolden = (file: string, lines: ReadonlyArray<string>): void => {
  assert.deepStrictEqual(lines, golden(file), `test/golden/${file}`)
}
