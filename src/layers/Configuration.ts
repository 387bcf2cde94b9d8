/**
 * Where settings come from: flags beat the environment, the environment beats a file, a file beats the defaults.
 *
 * For a program that embeds the load balancer, `make` takes them from code.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as Service from "../services/Configuration.ts"
import * as Consistency from "../services/configuration/Consistency.ts"
import * as Ineffective from "../services/configuration/Ineffective.ts"
import { optionsOf } from "../services/configuration/Setting.ts"
import { ConfigurationError, fromValue, merge, type Source } from "../services/configuration/Source.ts"
import * as Environment from "./configuration/Environment.ts"
import * as File from "./configuration/File.ts"
import * as Flags from "./configuration/Flags.ts"
import * as Oddities from "./configuration/Oddities.ts"
import { defaultFor, defaultText, strategies, type StrategyName } from "./strategies/index.ts"

const settings = Service.schema(Struct.keys(strategies), defaultFor(undefined), defaultText)

/** Every setting, for help texts, flags and documents. */
export const options = optionsOf(settings)

/** All settings, decoded. */
export type Settings = Service.Settings<StrategyName>

/** Settings as they are written in a file: everything may be left out. */
export type Input = Service.Input<StrategyName>

/** Settings, and what the operator should know about them and how they were given. */
export interface Loaded {
  readonly settings: Settings
  readonly warnings: ReadonlyArray<string>
}

const decode = (sources: ReadonlyArray<Source>): Result.Result<Loaded, ConfigurationError> =>
  Result.flatMap(merge(sources, options), ({ values, where }) => {
    const decoded = Consistency.settle(Schema.decodeSync(settings)(values), where)
    const { problems, warnings } = Consistency.check(decoded, where)
    if (problems.length > 0) return Result.fail(ConfigurationError.make({ problems }))
    const followsBackends = where("strategy") === undefined && where("to") !== undefined
    return Result.succeed({
      settings: followsBackends ? { ...decoded, strategy: defaultFor(decoded.to) } : decoded,
      warnings: [...warnings, ...Ineffective.warnings(decoded, where)]
    })
  })

/** The same as `make`, with what is odd about the settings, and what is wrong with them as a value. */
export const check = (input: Input): Result.Result<Loaded, ConfigurationError> => decode([fromValue(input)])

/**
 * Settings from code, written as in a file; what is left out has its default. Throws a `ConfigurationError` that names
 * everything that is wrong; what is only odd, `check` tells.
 *
 *   Configuration.make({ to: ["http://localhost:3001"], health: { interval: "1s" } })
 */
export const make = (input: Input = {}): Settings => Result.getOrThrow(check(input)).settings

/**
 * What is odd about settings, however they were given, in a line each: such as weights that the strategy ignores. The
 * program logs it at its start, after the warnings of `load`.
 */
export const oddities: (settings: Settings) => Effect.Effect<ReadonlyArray<string>> = Oddities.of

/** The flag that names a file of settings. */
export const fileFlag = "config"

/** The variable that names it where the flag does not. */
export const { fileVariable } = Environment

const nothing: Source = fromValue({})

/** The file that the flag names, or else the variable, or no file. */
const readFile = (
  names: ReadonlyArray<string>,
  variable: string | undefined
): Effect.Effect<Source, ConfigurationError, FileSystem.FileSystem> => {
  if (names.length > 1) return Effect.fail(ConfigurationError.make({ problems: [Flags.repeated(fileFlag, names)] }))
  if (names[0] !== undefined) return File.read(names[0], `--${fileFlag}`)
  return variable === undefined ? Effect.succeed(nothing) : File.read(variable, fileVariable)
}

/**
 * Settings from flags, the environment (through the `ConfigProvider` of the context) and the file that `--config` or
 * `EVENKEEL_CONFIG` names. Fails with all that is wrong in any of them.
 */
export const load = Effect.fn("Configuration.load")(function*(
  flags: Flags.Flags
): Effect.fn.Return<Loaded, ConfigurationError, FileSystem.FileSystem> {
  const fromFlags = Flags.read(flags, options)
  const environment = yield* Environment.read(options, { withPort: (flags["listen"] ?? []).length === 0 })
  const file = yield* Effect.result(readFile(flags[fileFlag] ?? [], environment.file))
  const merged = decode([fromFlags.source, environment.source, Result.getOrElse(file, () => nothing)])
  const problems = [
    ...fromFlags.problems,
    ...(Result.isFailure(merged) ? merged.failure.problems : []),
    ...(Result.isFailure(file) ? file.failure.problems : [])
  ]
  if (problems.length > 0 || Result.isFailure(merged)) return yield* ConfigurationError.make({ problems })
  const { settings, warnings } = merged.success
  return { settings, warnings: [...environment.warnings, ...warnings] }
})
