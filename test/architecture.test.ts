/**
 * The arrows between the files of src, as section 2 of the architecture has them:
 *
 *   main -> layers/cli, layers/LoadBalancer -> layers/* -> services/* -> effect
 *
 * A layer knows another only through its tag. Folders under layers are families (with an index, which is the only way
 * in), parts of the layer of the same name, or compositions of their own (cli, testing).
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"

/** File names, relative to src, and their texts. */
type Sources = ReadonlyMap<string, string>

const src = new URL("../src/", import.meta.url)

const sources: Sources = new Map(
  readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts")).sort()
    .map((file) => [file, readFileSync(new URL(file, src), "utf8")])
)

// -----------------------------------------------------------------------------
// The rules
// -----------------------------------------------------------------------------

/** What may put layers together. */
const isComposition = (file: string): boolean =>
  file === "main.ts" || file === "layers/LoadBalancer.ts" || file.startsWith("layers/cli/")

/** What may be bound to Node. All else runs wherever Effect runs. */
const isBoundToNode = (file: string): boolean =>
  isComposition(file) || /^layers\/(?:wire|nodeengine)\//.test(file) || file === "layers/Demo.ts"

/** The modules that a text imports, by any form of import, also of types only. */
const importsOf = (text: string): ReadonlyArray<string> => [
  ...Array.from(text.matchAll(/^(?:import|export)\b[^"';]*?\bfrom\s+["']([^"']+)["']/gm), ([, module]) => module!),
  ...Array.from(text.matchAll(/^import\s+["']([^"']+)["']/gm), ([, module]) => module!),
  ...Array.from(text.matchAll(/\bimport\(\s*["']([^"']+)["']/g), ([, module]) => module!)
]

/** What is wrong with an import of a package, if anything. */
const packageMistake = (file: string, module: string): string | undefined => {
  if (module.startsWith("effect/")) {
    const file = new URL(`../node_modules/effect/src/${module.slice("effect/".length)}.ts`, import.meta.url)
    return existsSync(file) && !module.endsWith("/index")
      ? undefined
      : "is a barrel: import the single module, for the sake of the start-up time"
  }
  if (module === "effect" || /^@effect\/[^/]+$/.test(module)) return "is a barrel: import the single module"
  if (file.startsWith("services/")) return "services import effect and each other only"
  if ((module.startsWith("node:") || module.startsWith("@effect/platform-node/")) && !isBoundToNode(file)) {
    return "only the engines and compositions are bound to Node"
  }
  return undefined
}

/** What is wrong with an import of another file of src, if anything. */
const arrowMistake = (from: string, to: string, files: Sources): string | undefined => {
  if (!files.has(to)) return "there is no such file"
  if (to === "main.ts") return "nothing imports main"
  if (from.startsWith("services/")) return to.startsWith("services/") ? undefined : "services import each other only"
  if (to.startsWith("services/")) return undefined
  const [fromFolder, toFolder] = [posix.dirname(from), posix.dirname(to)]
  if (toFolder !== "layers" && toFolder === fromFolder) return undefined
  if (toFolder !== "layers" && files.has(`${toFolder}/index.ts`)) {
    return to.endsWith("/index.ts") ? undefined : "a family is entered through its index"
  }
  if (isComposition(from)) return undefined
  const owner = [...files.keys()].find((file) => file.toLowerCase() === `${toFolder}.ts`)
  if (toFolder !== "layers" && owner === from) return undefined
  return "a layer knows another only through its tag; layers are put together in LoadBalancer, cli and main"
}

const resolve = (from: string, module: string): string => posix.join(posix.dirname(from), module)

/** Every arrow that points the wrong way, with the reason. */
const wrongArrows = (files: Sources): ReadonlyArray<string> =>
  Array.from(files).flatMap(([from, text]) =>
    importsOf(text).flatMap((module) => {
      const isLocal = module.startsWith(".")
      const to = isLocal ? resolve(from, module) : module
      const mistake = isLocal ? arrowMistake(from, to, files) : packageMistake(from, module)
      return mistake === undefined ? [] : [`${from} -> ${to}: ${mistake}`]
    })
  )

/** The first circle of imports that is found, from a file back to itself. */
const circle = (files: Sources): ReadonlyArray<string> | undefined => {
  const done = new Set<string>()
  const visit = (file: string, path: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const module of importsOf(files.get(file) ?? "")) {
      const found = module.startsWith(".") ? visit(resolve(file, module), [...path, file]) : undefined
      if (found !== undefined) return found
    }
    done.add(file)
    return undefined
  }
  for (const file of files.keys()) {
    const found = visit(file, [])
    if (found !== undefined) return found
  }
  return undefined
}

// -----------------------------------------------------------------------------
// The sources
// -----------------------------------------------------------------------------

const maxLines = 300

const lineCount = (text: string): number => text.split("\n").length - 1

describe("the sources", () => {
  it("are found", () => {
    for (const file of ["main.ts", "services/Pool.ts", "layers/Pool.ts", "layers/strategies/index.ts"]) {
      assert.isTrue(sources.has(file), file)
    }
    assert.isAbove(Array.from(sources.values()).flatMap(importsOf).length, 200)
  })

  it("have no arrow that points the wrong way", () => {
    assert.deepStrictEqual(wrongArrows(sources), [])
  })

  it("have no circle", () => {
    assert.isUndefined(circle(sources)?.join(" -> "))
  })

  it("each say at the top what they own", () => {
    const silent = Array.from(sources).filter(([, text]) => !/^(?:#!.*\n)?\/\*\*/.test(text)).map(([file]) => file)
    assert.deepStrictEqual(silent, [])
  })

  it(`have at most ${maxLines} lines each`, () => {
    const long = Array.from(sources).filter(([, text]) => lineCount(text) > maxLines)
    assert.deepStrictEqual(long.map(([file, text]) => `${file}: ${lineCount(text)} lines`), [])
  })

  it("have no drawer for odds and ends", () => {
    const utils = [...sources.keys()].filter((file) => /(?:^|\/)(?:utils?|common|helpers?|misc)\b/i.test(file))
    assert.deepStrictEqual(utils, [])
  })
})

// -----------------------------------------------------------------------------
// The rules themselves
// -----------------------------------------------------------------------------

describe("the rules", () => {
  const tree = (files: Readonly<Record<string, string>>): Sources =>
    new Map(Object.entries({
      "main.ts": "",
      "services/Pool.ts": "",
      "services/Health.ts": "",
      "layers/Pool.ts": "",
      "layers/Balancer.ts": "",
      "layers/Forwarder.ts": "",
      "layers/forwarder/Exchange.ts": "",
      "layers/LoadBalancer.ts": "",
      "layers/NodeEngine.ts": "",
      "layers/nodeengine/Server.ts": "",
      "layers/Configuration.ts": "",
      "layers/configuration/File.ts": "",
      "layers/strategies/index.ts": "",
      "layers/strategies/Random.ts": "",
      "layers/cli/Serve.ts": "",
      ...files
    }))

  it.each<readonly [string, string]>([
    ["services/Pool.ts", `import * as Effect from "effect/Effect"`],
    ["services/Pool.ts", `import type { Health } from "./Health.ts"`],
    ["layers/Pool.ts", `import * as Pool from "../services/Pool.ts"`],
    ["layers/Forwarder.ts", `import { Exchange } from "./forwarder/Exchange.ts"`],
    ["layers/LoadBalancer.ts", `import * as Pool from "./Pool.ts"`],
    ["layers/LoadBalancer.ts", `import { strategies } from "./strategies/index.ts"`],
    ["layers/Configuration.ts", `import { strategies } from "./strategies/index.ts"`],
    ["layers/Configuration.ts", `import * as File from "./configuration/File.ts"`],
    ["layers/Configuration.ts", `import * as Yaml from "yaml"`],
    ["layers/strategies/index.ts", `import * as Random from "./Random.ts"`],
    ["layers/cli/Serve.ts", `const { layer } = await import("../LoadBalancer.ts")`],
    ["layers/NodeEngine.ts", `import * as Server from "./nodeengine/Server.ts"`],
    ["layers/nodeengine/Server.ts", `import * as Http from "node:http"`],
    ["main.ts", `import "./layers/cli/Serve.ts"`]
  ])("allow %s: %s", (file, text) => {
    assert.deepStrictEqual(wrongArrows(tree({ [file]: text })), [])
  })

  it.each<readonly [string, string]>([
    ["services/Pool.ts", `import { layer } from "../layers/Pool.ts"`],
    ["services/Pool.ts", `import type { layer } from "../layers/Pool.ts"`],
    ["services/Pool.ts", `import * as Http from "node:http"`],
    ["services/Pool.ts", `import * as Yaml from "yaml"`],
    ["services/Pool.ts", `import * as Node from "@effect/platform-node/NodeHttpServer"`],
    ["services/Pool.ts", `import { Effect } from "effect"`],
    ["services/Pool.ts", `import * as HttpServer from "effect/http"`],
    ["services/Pool.ts", `import { HttpServer } from "effect/http/index"`],
    ["layers/nodeengine/Server.ts", `import { NodeHttpServer } from "@effect/platform-node"`],
    ["layers/NodeEngine.ts", `import * as Http from "node:http"`],
    ["layers/Balancer.ts", `import * as Pool from "./Pool.ts"`],
    ["layers/Balancer.ts", `import {\n  layer\n} from "./Pool.ts"`],
    ["layers/Balancer.ts", `export * from "./Pool.ts"`],
    ["layers/Balancer.ts", `export { layer } from './Pool.ts'`],
    ["layers/Balancer.ts", `import "./Pool.ts"`],
    ["layers/Balancer.ts", `const pool = import("./Pool.ts")`],
    ["layers/Balancer.ts", `import { Exchange } from "./forwarder/Exchange.ts"`],
    ["layers/Balancer.ts", `import * as File from "./configuration/File.ts"`],
    ["layers/Balancer.ts", `import * as Random from "./strategies/Random.ts"`],
    ["layers/Balancer.ts", `import * as Http from "node:http"`],
    ["layers/Balancer.ts", `import * as LoadBalancer from "./LoadBalancer.ts"`],
    ["layers/strategies/Random.ts", `import * as Balancer from "../Balancer.ts"`],
    ["layers/LoadBalancer.ts", `import * as Random from "./strategies/Random.ts"`],
    ["layers/cli/Serve.ts", `import "../../main.ts"`],
    ["layers/cli/Serve.ts", `import "../Nobody.ts"`]
  ])("forbid %s: %s", (file, text) => {
    const [mistake, ...others] = wrongArrows(tree({ [file]: text }))
    assert.match(mistake ?? "", new RegExp(`^${file} -> .+: .+`))
    assert.deepStrictEqual(others, [])
  })

  it("see a circle, however long", () => {
    const files = tree({
      "services/A.ts": `import "./B.ts"`,
      "services/B.ts": `import type { C } from "./C.ts"`,
      "services/C.ts": `import "./A.ts"`
    })
    assert.deepStrictEqual(circle(files), ["services/A.ts", "services/B.ts", "services/C.ts", "services/A.ts"])
    assert.isUndefined(circle(tree({})))
  })

  it("are not taken in by comments", () => {
    assert.deepStrictEqual(importsOf(` * import { a } from "./a.ts"\n// import "./b.ts"\n`), [])
  })
})
