/** The documents say what is true: their quotations are current, their links lead somewhere, their flags exist. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { options } from "../src/layers/Configuration.ts"
import { strategies } from "../src/layers/strategies/index.ts"
import { documents, filled, read } from "./Snippets.ts"

/** The document without what stands between fences. */
const prose = (text: string): string => text.replace(/^```[\s\S]*?^```$/gm, "")

/** Where the links of a document lead that are no URLs: a path, and what is behind a `#`. */
const linksOf = (text: string): ReadonlyArray<{ readonly path: string; readonly anchor: string | undefined }> =>
  [...prose(text).matchAll(/\]\(([^)#:]*)(?:#([^)]*))?\)/g)].map(([, path = "", anchor]) => ({ path, anchor }))

/** The anchors of a document's headings, as GitHub makes them. */
const anchorsOf = (text: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const [, heading = ""] of prose(text).matchAll(/^#+ (.*)$/gm)) {
    const anchor = heading.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-")
    let n = 0
    while (anchors.has(n === 0 ? anchor : `${anchor}-${n}`)) n++
    anchors.add(n === 0 ? anchor : `${anchor}-${n}`)
  }
  return anchors
}

const manifest: { readonly files: ReadonlyArray<string>; readonly scripts: object } = JSON.parse(read("package.json"))

const root = fileURLToPath(new URL("..", import.meta.url))

describe.each(documents)("%s", (path) => {
  const text = read(path)

  it.effect(
    "quotes the program and the examples as they are (if not: npm run docs)",
    () => Effect.map(filled(text), (filled) => assert.strictEqual(text, filled)),
    60_000
  )

  it("has no TypeScript that is not quoted from a file", () => {
    const quoted = text.match(/^<!-- from \S+\.ts -->\n\n```ts$/gm)?.length ?? 0
    assert.strictEqual(text.match(/^```(ts|typescript|js)$/gm)?.length ?? 0, quoted)
  })

  it("is a page of 250 lines at the most", () => {
    assert.isAtMost(text.trimEnd().split("\n").length, 250)
  })

  it("links only to files and headings that exist", () => {
    const dead = linksOf(text).filter(({ anchor, path: target }) => {
      const file = target === "" ? path : join(dirname(path), target)
      return !existsSync(join(root, file)) || (anchor !== undefined && !anchorsOf(read(file)).has(anchor))
    })
    assert.deepStrictEqual(dead, [])
  })

  it("links only to files that the package has as well", () => {
    const packed = new Set(["README.md", "LICENSE", ...manifest.files])
    const lost = linksOf(text).filter(({ path: target }) =>
      target !== "" && !packed.has(join(dirname(path), target).split("/")[0]!)
    )
    assert.deepStrictEqual(lost, [])
  })

  it("names only settings, files and modules that exist", () => {
    const keys = new Set(options.map(({ key }) => key))
    const groups = new Set([...keys].flatMap((key) => key.includes(".") ? [key.split(".")[0]] : []))
    const named = [...prose(text).matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code)
    const settings = named.flatMap((code) => code.match(/^\w+\.\w+(?=$|:)/g) ?? [])
    assert.deepStrictEqual(settings.filter((name) => groups.has(name.split(".")[0]) && !keys.has(name)), [])
    // What the bench and the soak leave behind is not in the repository.
    const files = named.filter((code) => /^(src|test|docs)\/[\w./-]+$/.test(code) && !code.endsWith("/result.json"))
    assert.deepStrictEqual(files.filter((file) => !existsSync(join(root, file))), [])
    const modules = [...text.matchAll(/evenkeel\/((?:services|layers)\/[\w/]*\w)\b(?!\/)/g)].map(([, name]) => name!)
    assert.deepStrictEqual(modules.filter((name) => !existsSync(join(root, "src", `${name}.ts`))), [])
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
    const scripts = Object.keys(manifest.scripts)
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

describe.each([
  ["README.md", "Strategies"],
  ["docs/strategies.md", "What choosing costs"]
])("%s, under %s,", (path, heading) => {
  it("has a row for each strategy, which is written by hand", () => {
    const [, section = ""] = read(path).split(`\n## ${heading}\n`)
    const rows = [...section.split("\n## ")[0]!.matchAll(/^\| `([a-z-]+)` /gm)].map(([, name]) => name)
    assert.sameMembers(rows.filter((name) => !name?.startsWith("--")), Struct.keys(strategies))
  })
})
