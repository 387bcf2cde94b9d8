/** The documents say what is true: their quotations are current, their links lead somewhere, their flags exist. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { options } from "../src/layers/Configuration.ts"
import { documents, filled, read } from "./Snippets.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

/** What links to the headings of a page end with, as GitHub makes it of them. */
const anchorsOf = (page: string): ReadonlySet<string> =>
  new Set(
    [...page.replaceAll(/^```.*?^```$/gms, "").matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading!.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")
    )
  )

describe.each(documents)("%s", (path) => {
  const text = read(path)

  it("quotes the program and the examples as they are (if not: npm run docs)", () => {
    assert.strictEqual(text, filled(text))
  })

  it("has no TypeScript that is not quoted from a file", () => {
    const quoted = text.match(/^<!-- from \S+\.ts -->\n\n```ts$/gm)?.length ?? 0
    assert.strictEqual(text.match(/^```(ts|typescript|js)$/gm)?.length ?? 0, quoted)
  })

  it("links only to files that exist", () => {
    const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, target]) => target!)
    assert.deepStrictEqual(links.filter((link) => !existsSync(join(root, dirname(path), link))), [])
  })

  it("links only to headings that exist", () => {
    const links = [...text.matchAll(/\]\(([^)#:]*\.md)?#([^)]+)\)/g)]
    const broken = links.filter(([, target, anchor]) => {
      const page = target === undefined ? path : join(dirname(path), target)
      return !anchorsOf(read(page)).has(anchor!)
    })
    assert.deepStrictEqual(broken.map(([link]) => link), [])
  })

  it("names only flags, variables and scripts that exist", () => {
    const flags = new Set([
      ...options.map((option) => `--${option.flag}`),
      "--help",
      "--version",
      "--config",
      // Misspelt on purpose.
      "--lisen",
      // Of the bench, the soak, and Node.js itself.
      "--rounds",
      "--only",
      "--case",
      "--scenario",
      "--flags",
      "--verbose",
      "--probes",
      "--minutes",
      "--seed",
      "--cpu-prof",
      "--no-allocation-site-pretenuring"
    ])
    const scripts = Object.keys(JSON.parse(read("package.json")).scripts)
    const ours = text.split("\n").filter((line) => !line.includes("npx vitest")).join("\n")
    assert.deepStrictEqual(
      [...ours.matchAll(/(?<![\w-])--[a-z][\w-]*/g)].map(([f]) => f).filter((f) => !flags.has(f)),
      []
    )
    const variables = new Set([...options.map((option) => option.variable), "EVENKEEL_CONFIG"])
    assert.deepStrictEqual((text.match(/EVENKEEL_\w+/g) ?? []).filter((name) => !variables.has(name)), [])
    const named = [...text.matchAll(/npm run ([\w:]+)/g)].map(([, script]) => script!)
    assert.deepStrictEqual(named.filter((script) => !scripts.includes(script)), [])
  })
})
