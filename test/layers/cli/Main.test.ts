import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stdio from "effect/Stdio"
import * as TestConsole from "effect/testing/TestConsole"
import { main } from "../../../src/layers/cli/Main.ts"
import { expectedStrategies, golden } from "../../golden/Golden.ts"

/** Runs the program with these arguments. Gives what it printed, and its exit code. */
const run = Effect.fnUntraced(
  function*(args: ReadonlyArray<string>, variables: Readonly<Record<string, string>> = {}) {
    const exitCode = yield* main.pipe(
      Effect.as(0),
      Effect.catchTag("CommandFailed", (error) => Effect.succeed(error.exitCode)),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables)),
      Effect.provide(Layer.merge(NodeServices.layer, Stdio.layerTest({ args: Effect.succeed(args) })))
    )
    const lines = (texts: ReadonlyArray<unknown>) => texts.flatMap((text) => String(text).split("\n"))
    return {
      exitCode,
      out: lines(yield* TestConsole.logLines),
      err: lines(yield* TestConsole.errorLines)
    }
  }
)

describe("help", () => {
  it.effect("has every flag with its default and its variable", () =>
    Effect.gen(function*() {
      const { err, exitCode, out } = yield* run(["--help"])
      assert.deepStrictEqual(out, golden("configuration/help.txt"))
      assert.deepStrictEqual({ err, exitCode }, { err: [], exitCode: 0 })
    }))

  it.effect("for serve has the same flags", () =>
    Effect.gen(function*() {
      const { out } = yield* run(["serve", "-h"])
      const flags = (lines: ReadonlyArray<string>) => lines.filter((line) => line.startsWith("  --"))
      assert.deepStrictEqual(flags(out), flags(golden("configuration/help.txt")))
    }))

  it.effect("for the demo has no flag for backends", () =>
    Effect.gen(function*() {
      const { out } = yield* run(["demo", "--help"])
      assert.isFalse(out.some((line) => line.startsWith("  --to ")))
      assert.isTrue(out.some((line) => line.startsWith("  --strategy ")))
    }))
})

describe("the version", () => {
  it.effect("is that of the package", () =>
    Effect.gen(function*() {
      const { exitCode, out } = yield* run(["--version"])
      assert.match(out.join("\n"), /^evenkeel \d+\.\d+\.\d+$/)
      assert.strictEqual(exitCode, 0)
    }))
})

describe("completions", () => {
  it.effect("know the commands and the flags", () =>
    Effect.gen(function*() {
      const { exitCode, out } = yield* run(["--completions", "bash"])
      assert.strictEqual(exitCode, 0)
      for (const word of ["serve", "demo", "--health-interval", "--config"]) assert.include(out.join("\n"), word)
    }))
})

describe("a mistake on the command line", () => {
  it.effect.each(
    [
      [["--helth-path", "/x"], "unknown flag --helth-path (did you mean \"--health-path\"?)", "evenkeel"],
      [["--helth-path=/x"], "unknown flag --helth-path (did you mean \"--health-path\"?)", "evenkeel"],
      [["demo", "--hlep"], "unknown flag --hlep (did you mean \"--help\"?)", "evenkeel demo"],
      [["--colour"], "unknown flag --colour", "evenkeel"],
      [["--health-interval", "-1s"], "unexpected \"-1\": no value is negative", "evenkeel"],
      [["serv"], "unexpected \"serv\" (did you mean \"serve\"?)", "evenkeel"],
      [["http://a:1"], "unexpected \"http://a:1\" (did you mean \"--to http://a:1\"?)", "evenkeel"],
      [["serve", "now"], "unexpected \"now\"", "evenkeel serve"],
      [["http://me:secret@a:1"], "unexpected \"http://***@a:1\"", "evenkeel"],
      [["x".repeat(100)], `unexpected "${"x".repeat(59)}...`, "evenkeel"],
      [["--listen", "80", "serve"], "--listen has to come after \"serve\"", "evenkeel serve"],
      [
        ["--sticky-keys", "correct-horse-battery"],
        "--sticky-keys is no flag, because others could read it: use a file, or EVENKEEL_STICKY_KEYS",
        "evenkeel"
      ],
      [["demo", "--to", "http://a:1"], "--to is no flag of \"demo\"", "evenkeel demo"],
      [
        ["--health-interval"],
        "--health-interval: a value is missing, expected a duration such as 5s or 500ms",
        "evenkeel"
      ],
      [["--config", "--listen", "80"], "--config: a value is missing", "evenkeel"],
      [
        ["--help=maybe"],
        "--help: expected \"true\" | \"yes\" | \"on\" | \"1\" | \"y\" | \"false\" | \"no\" | \"off\" | \"0\" | \"n\", got \"maybe\"",
        "evenkeel"
      ]
    ] as const
  )("is said in a line, with what was probably meant: %j", ([args, line, command]) =>
    Effect.gen(function*() {
      const { err, exitCode, out } = yield* run(args)
      assert.deepStrictEqual(err, [`error: ${line}`, `Run "${command} --help" for all flags.`])
      assert.deepStrictEqual({ exitCode, out }, { exitCode: 2, out: [] })
    }))
})

describe("a wrong setting", () => {
  it.effect("is said for every source at once", () =>
    Effect.gen(function*() {
      const { err, exitCode, out } = yield* run(
        ["--health-interval", "abc", "--config", "no.yaml"],
        { EVENKEEL_STRATEGY: "rond-robin", PORT: "http" }
      )
      assert.deepStrictEqual(err, [
        "error: --health-interval: expected a duration such as 5s or 500ms, got \"abc\"",
        "error: PORT: expected an address such as :3000, 127.0.0.1:3000, localhost:3000 or [::1]:3000, got \"http\"",
        `error: EVENKEEL_STRATEGY: expected ${expectedStrategies}, got "rond-robin" (did you mean "round-robin"?)`,
        "error: no.yaml: there is no such file (named by --config)"
      ])
      assert.deepStrictEqual({ exitCode, out }, { exitCode: 2, out: [] })
    }))

  it.effect("is said by the demo as well", () =>
    Effect.gen(function*() {
      const { err, exitCode } = yield* run(["demo", "--health-rise", "0"])
      assert.deepStrictEqual(err, ["error: --health-rise: expected a whole number of 1 or more, got \"0\""])
      assert.strictEqual(exitCode, 2)
    }))
})
