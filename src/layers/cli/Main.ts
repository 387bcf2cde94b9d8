/** The program: from the arguments of the command line to its end, with everything that a user reads on the way. */
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import { fileURLToPath } from "node:url"
import type { ConfigurationError } from "../../services/configuration/Source.ts"
import { CommandFailed, exitCodes } from "./CommandFailed.ts"
import { evenkeel } from "./Commands.ts"
import * as Help from "./Help.ts"
import * as Mistakes from "./Mistakes.ts"

const printErrors = (lines: ReadonlyArray<string>) =>
  Effect.forEach(lines, (line) => Console.error(`error: ${line}`), { discard: true })

const presenter: CliOutput.Presenter = {
  present: (event) => {
    switch (event._tag) {
      case "Help":
        return Console.log(Help.format(event.helpDoc))
      case "Version":
        return Console.log(`${event.name} ${event.version}`)
      case "InvalidInvocation":
        return Effect.andThen(
          printErrors(Mistakes.lines(event.errors, event.helpDoc)),
          Console.error(`Run "${event.commandPath.join(" ")} --help" for all flags.`)
        )
    }
  }
}

const Manifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** The version in package.json, which is three folders up from here, in `src` as in `dist`. */
const version = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const text = yield* files.readFileString(fileURLToPath(new URL("../../../package.json", import.meta.url)))
  return (yield* Schema.decodeEffect(Manifest)(text)).version
}).pipe(Effect.orDie)

const misused = (lines: ReadonlyArray<string>) => CommandFailed.make({ lines, exitCode: exitCodes.misused })

const explain = (
  error: CliError.CliError | CommandFailed | ConfigurationError
): Effect.Effect<void, CommandFailed> => {
  if (error._tag === "CommandFailed") return Effect.fail(error)
  if (error._tag === "ConfigurationError") return Effect.fail(misused(error.problems))
  // The presenter has shown it.
  if (error._tag === "ShowHelp") return error.errors.length === 0 ? Effect.void : Effect.fail(misused([]))
  return Effect.fail(misused([error.message]))
}

/** Runs the command that the arguments name. Fails, after it has printed why, with an exit code. */
export const main: Effect.Effect<void, CommandFailed, Command.Environment> = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  yield* Command.runWith(evenkeel, { version: yield* version })(yield* stdio.args)
}).pipe(
  Effect.catch(explain),
  Effect.tapCause((cause) => Cause.hasDies(cause) ? Console.error(Cause.pretty(cause)) : Effect.void),
  Effect.tapError((error) => printErrors(error.lines)),
  Effect.provide(Layer.mergeAll(
    CliOutput.layerPresenter(presenter),
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
  ))
)
