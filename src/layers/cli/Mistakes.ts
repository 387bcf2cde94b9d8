/** What is wrong with a command line, in one line for each mistake. */
import type { NonShowHelpErrors } from "effect/cli/CliError"
import type { HelpDoc } from "effect/cli/HelpDoc"
import { parseOrigin } from "../../services/Backend.ts"
import { show } from "../../services/Shown.ts"
import * as Suggestion from "../../services/Suggestion.ts"
import { options } from "../Configuration.ts"

const flagsOf = (doc: HelpDoc): ReadonlyArray<string> =>
  [...doc.flags, ...(doc.globalFlags ?? [])].map(({ name }) => `--${name}`)

const unknownFlag = (flag: string, doc: HelpDoc): string => {
  const command = doc.commandPath?.slice(1).join(" ") ?? ""
  // The flags of a command are unknown before its name.
  if (flagsOf(doc).includes(flag)) return `${flag} has to come after "${command}"`
  const known = options.find((option) => `--${option.flag}` === flag)
  if (known?.hasFlag === false) {
    return `${flag} is no flag, because others could read it: use a file, or ${known.variable}`
  }
  if (known !== undefined) return `${flag} is no flag of "${command}"`
  return `unknown flag ${flag}${Suggestion.words(Suggestion.nearest(flag, flagsOf(doc)))}`
}

const strayWord = (word: string, doc: HelpDoc): string => {
  const commands = (doc.subcommands ?? []).flatMap((group) => group.commands.map(({ name }) => name))
  const suggestion = parseOrigin(word) === undefined ? Suggestion.nearest(word, commands) : `--to ${word}`
  return `unexpected ${show(word)}${Suggestion.words(suggestion)}`
}

const describe = (error: NonShowHelpErrors, doc: HelpDoc): ReadonlyArray<string> => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return [unknownFlag(error.option, doc)]
    case "UnknownSubcommand":
      return [strayWord(error.subcommand, doc)]
    case "UnexpectedArgument":
      return error.arguments.map((word) => strayWord(word, doc))
    case "InvalidValue": {
      if (error.value !== "") {
        return [`--${error.option}: expected ${error.expected.replace(/^Expected:? /, "")}, got "${error.value}"`]
      }
      const expected = options.find((option) => option.flag === error.option)?.expected
      return [`--${error.option}: a value is missing${expected === undefined ? "" : `, expected ${expected}`}`]
    }
    default:
      return [error.message]
  }
}

/** The mistakes of a command line, each once. */
export const lines = (errors: ReadonlyArray<NonShowHelpErrors>, doc: HelpDoc): ReadonlyArray<string> => {
  // The value of an unknown flag looks like a stray word.
  const unknownFlags = errors.filter((error) => error._tag === "UnrecognizedOption")
  const negative = unknownFlags.find(({ option }) => /^-\d/.test(option))
  if (negative !== undefined) return [`unexpected "${negative.option}": no value is negative`]
  const worthSaying = unknownFlags.length > 0 ? unknownFlags : errors
  return [...new Set(worthSaying.flatMap((error) => describe(error, doc)))]
}
