/** The package as it is published: built, put where npm puts it, and used by its public names under plain Node. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const root = fileURLToPath(new URL("..", import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const run = async (command: string, args: ReadonlyArray<string>, cwd: string): Promise<string> =>
  (await promisify(execFile)(command, args, { cwd })).stdout

describe("the published package", () => {
  let folder = ""
  const installed = () => join(folder, "node_modules", "evenkeel")

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "evenkeel-package-"))
    mkdirSync(installed(), { recursive: true })
    for (const dependency of ["effect", "@effect", "@types", "yaml"]) {
      symlinkSync(join(root, "node_modules", dependency), join(folder, "node_modules", dependency))
    }
    const outDir = join(installed(), "dist")
    await run(join(root, "node_modules/.bin/tsc"), ["-p", ".config/tsconfig.build.json", "--outDir", outDir], root)
    cpSync(join(root, "package.json"), join(installed(), "package.json"))
    cpSync(join(root, "docs/examples"), join(folder, "examples"), { recursive: true })
  }, 60_000)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it("is imported by the names of its exports map", async () => {
    const stdout = await run(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "examples/custom-strategy.ts"],
      folder
    )
    assert.deepStrictEqual(stdout.split("\n").slice(0, 3), ["ann -> http://c", "bob -> http://a", "cy -> http://b"])
  })

  it("exports every module that its documents name, and keeps its parts to itself", async () => {
    const named = ["README.md", ...globSync("docs/**/*.{md,ts}", { cwd: root })]
      .flatMap((path) =>
        readFileSync(join(root, path), "utf8").match(/evenkeel\/(services|layers)\/[\w/]*\w\b(?!\/)/g) ?? []
      )
    const parts = [
      "services/configuration/Notation",
      "layers/balancer/Selection",
      "layers/cli/Main",
      "layers/configuration/File",
      "layers/forwarder/Exchange",
      "layers/nodeengine/Server",
      "layers/pool/Census",
      "layers/wire/Grammar"
    ]
    writeFileSync(
      join(folder, "imports.js"),
      `for (const name of process.argv.slice(2)) await import(name).catch(({ code }) => console.log(name, code))`
    )
    const imported = (names: ReadonlyArray<string>) => run(process.execPath, ["imports.js", ...names], folder)
    assert.isAbove(named.length, 20)
    assert.strictEqual(await imported([...new Set(named)]), "")
    // Parts that are not there could not be imported either.
    for (const part of parts) assert.isTrue(existsSync(join(installed(), "dist", `${part}.js`)), part)
    assert.strictEqual(
      await imported(parts.map((part) => `evenkeel/${part}`)),
      parts.map((part) => `evenkeel/${part} ERR_PACKAGE_PATH_NOT_EXPORTED\n`).join("")
    )
  })

  it("has the HTTP engine as modules of their own", async () => {
    const stdout = await run(process.execPath, ["--disable-warning=ExperimentalWarning", "examples/wire.ts"], folder)
    assert.include(stdout, "hello from /greet/ann")
  })

  it("has a main export with types", () => {
    const { default: module, types } = manifest.exports["."]
    assert.isTrue(existsSync(join(installed(), module)))
    assert.isTrue(existsSync(join(installed(), types)))
  })

  it("has declarations for strict programs, to which those of Effect add that they want DOM", async () => {
    const options = { module: "nodenext", noEmit: true, skipLibCheck: false, strict: true, target: "es2023" }
    const include = ["embed", "serve", "http-parts", "http-checks"].map((name) => `examples/${name}.ts`)
    /** What is missing, and to whose declarations. */
    const missing = async (...lib: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: { ...options, lib }, include }))
      const lines = await run(join(root, "node_modules/.bin/tsc"), ["-p", folder], folder)
        .catch(({ stdout }: { readonly stdout: string }) => stdout)
      return lines.trim().split("\n").map((line) => line.replace(/^.*node_modules\/([^/]+)\/.* '(\w+)'\.$/, "$1: $2"))
        .sort()
    }
    assert.deepStrictEqual(await missing("es2023", "dom"), [""])
    // If they do not want it any more: docs/installation.md says that they do.
    assert.deepStrictEqual(await missing("es2023"), ["effect: JsonWebKey", "effect: Transferable"])
  }, 120_000)

  it("has a program", async () => {
    assert.include(
      await run(process.execPath, [join(installed(), manifest.bin.evenkeel), "--version"], folder),
      manifest.version
    )
  })

  it("can be installed by npm ci on every platform: the lock file names each optional package", () => {
    // npm leaves out what the registry in use does not have, and then npm ci refuses the file. Add such entries by
    // hand: version, cpu, os and libc are enough.
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"))
    const packages: Record<string, { readonly optionalDependencies?: Record<string, string> }> = lock.packages
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
      .filter((name) => packages[`node_modules/${name}`] === undefined)
    assert.deepStrictEqual(missing, [])
  })

  it("brings no dependency with an install script, and pins exact versions", () => {
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"))
    const withScripts = Object.entries<{ readonly dev?: boolean; readonly hasInstallScript?: boolean }>(lock.packages)
      .filter(([path, entry]) => path !== "" && entry.dev !== true && entry.hasInstallScript === true)
      .map(([path]) => path)
    assert.deepStrictEqual(withScripts, [])
    const versions: ReadonlyArray<string> = Object.values({ ...manifest.dependencies, ...manifest.devDependencies })
    assert.deepStrictEqual(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version)), [])
  })
})
