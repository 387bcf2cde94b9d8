/** How `--help` reads: a few lines for each flag, with its default and its environment variable. */
import type { ExampleDoc, FlagDoc, HelpDoc } from "effect/cli/HelpDoc"
import * as Option from "effect/Option"
import { options } from "../Configuration.ts"

/** What the settings know about a flag that the command line does not. */
const facts = (flag: string): ReadonlyArray<string> => {
  const option = options.find((option) => option.flag === flag)
  if (option === undefined) return []
  return [
    ...(option.isList ? ["Can be repeated."] : []),
    ...(option.choices.length > 0 ? [`One of: ${option.choices.join(", ")}.`] : []),
    `Default: ${option.defaultText}. Environment: ${option.variable}.`
  ]
}

const describe = ({ aliases, description, name, type }: FlagDoc): ReadonlyArray<string> => [
  `  ${[`--${name}`, ...aliases].join(", ")}${type === "boolean" ? "" : ` <${type.replace(/^<|>$/g, "")}>`}`,
  ...[Option.getOrElse(description, () => ""), ...facts(name)].map((line) => `      ${line}`)
]

const describeExample = ({ command, description }: ExampleDoc): ReadonlyArray<string> =>
  description === undefined ? [`  ${command}`] : [`  # ${description}`, `  ${command}`]

const section = (title: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length === 0 ? [] : ["", title, ...lines]

/** The whole text, without a line break at its end. */
export const format = (doc: HelpDoc): string => {
  const commands = (doc.subcommands ?? []).flatMap((group) => group.commands)
  const width = Math.max(0, ...commands.map(({ name }) => name.length))
  return [
    doc.description,
    // A command is not needed.
    ...section("USAGE", [`  ${doc.usage.replace("<subcommand>", "[command]")}`]),
    ...section("COMMANDS", commands.map(({ description, name }) => `  ${name.padEnd(width)}  ${description}`)),
    ...section("FLAGS", doc.flags.flatMap(describe)),
    ...section("OTHER FLAGS", (doc.globalFlags ?? []).flatMap(describe)),
    ...section("EXAMPLES", (doc.examples ?? []).flatMap(describeExample))
  ].join("\n")
}
