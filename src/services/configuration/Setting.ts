/**
 * What a setting is: a Schema with a default and with the texts that its flag, its variable and its help are made from.
 *
 * Owns the ways to write such an entry, and the list of all entries of a Schema with their names. Which settings there
 * are is said in `Configuration`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { Bytes, Count, Percent, PositiveDuration } from "./Notation.ts"

/** What an entry says about itself beyond its type. */
interface Entry {
  /** One or two sentences for the help. */
  readonly description: string
  /** What stands for a value in the help, such as `duration`. */
  readonly title: string
  /** Completes "expected ...". A choice between words needs none. */
  readonly expected?: string
  /** What separates the items of a list within a text: spaces, unless it is given. */
  readonly separator?: "line break"
  /** Its values are not shown; `flagless`: nor has it a flag, because whoever is on the machine could read that. */
  readonly secret?: "hidden" | "flagless"
}

/** The annotation that holds a default as it is written. */
const defaultKey = "evenkeel/default"

/** An entry with a default, given as it is written in a file. */
export const entry = <T, E>(
  codec: Schema.Codec<T, E>,
  options: Entry & { readonly default: E; readonly defaultText?: string }
) => {
  const { default: value, defaultText, ...annotations } = options
  return codec.annotate({ ...annotations, [defaultKey]: defaultText ?? value }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(value))
  )
}

/** How a duration is asked for. */
export const durationExpected = { title: "duration", expected: "a duration such as 5s or 500ms" } as const

/** A duration with a default. */
export const duration = (value: string, description: string) =>
  entry(PositiveDuration, { default: value, description, ...durationExpected })

/** How a whole number of 1 or more is asked for. */
export const countExpected = { title: "count", expected: "a whole number of 1 or more" } as const

/** A whole number of 1 or more with a default. */
export const count = (value: number, description: string) =>
  entry(Count, { default: value, description, ...countExpected })

/** A share with a default, in percent. */
export const percent = (value: string, description: string) =>
  entry(Percent, { default: value, description, title: "percent", expected: "a share such as 50%" })

/** How a number of bytes is asked for. */
export const bytesExpected = { title: "bytes", expected: "a number of bytes such as 16KiB" } as const

/** A number of bytes with a default. */
export const bytes = (value: string, description: string) =>
  entry(Bytes, { default: value, description, ...bytesExpected })

/** An entry without a value, unless somebody sets it. `meaning` is what it means to have none. */
export const unset = <T, E>(meaning: string, codec: Schema.Codec<T, E>, annotations: Entry) =>
  Schema.optional(codec).annotate({ ...annotations, [defaultKey]: meaning })

/** What there is not, unless somebody sets it. */
export const optional = <T, E>(codec: Schema.Codec<T, E>, annotations: Entry) => unset("none", codec, annotations)

// -----------------------------------------------------------------------------
// The settings as a list
// -----------------------------------------------------------------------------

/** What the names of environment variables begin with. */
export const variablePrefix = "EVENKEEL"

/** One setting and its names. */
export interface Option {
  /** Where it stands, such as `["health", "interval"]`. */
  readonly path: ReadonlyArray<string>
  /** In a file and in code: `health.interval`. */
  readonly key: string
  /** On the command line, without the dashes: `health-interval`. */
  readonly flag: string
  /** In the environment: `EVENKEEL_HEALTH_INTERVAL`. */
  readonly variable: string
  readonly description: string
  /** What stands for a value, such as `duration`. */
  readonly placeholder: string
  /** Completes "expected ..."; for a list, what one item is. */
  readonly expected: string
  /** The words to choose from, if it is such a setting. */
  readonly choices: ReadonlyArray<string>
  readonly defaultText: string
  readonly isList: boolean
  /** What separates the items of a list within a text. */
  readonly separator: "space" | "line break"
  /** Whether its values must not be shown. */
  readonly isSecret: boolean
  readonly hasFlag: boolean
  /** Decodes this setting alone. */
  readonly codec: Schema.Codec<unknown>
}

const choicesOf = (ast: SchemaAST.AST): ReadonlyArray<string> => {
  if (SchemaAST.isUnion(ast)) return ast.types.flatMap(choicesOf)
  return SchemaAST.isLiteral(ast) && typeof ast.literal === "string" ? [ast.literal] : []
}

const textOf = (value: unknown): string => (Array.isArray(value) ? value.join(" ") || "none" : String(value))

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

const option = (path: ReadonlyArray<string>, ast: SchemaAST.AST): Option => {
  const { description, expected, secret, separator, title, [defaultKey]: defaultValue } = SchemaAST.resolve(ast) ?? {}
  const choices = choicesOf(ast)
  const flag = path.map(kebab).join("-")
  return {
    path,
    key: path.join("."),
    flag,
    variable: `${variablePrefix}_${flag.replaceAll("-", "_").toUpperCase()}`,
    description: String(description),
    placeholder: String(title),
    expected: choices.length > 0 ? choices.map((choice) => `"${choice}"`).join(" | ") : String(expected),
    choices,
    defaultText: textOf(defaultValue),
    isList: SchemaAST.isArrays(SchemaAST.toEncoded(ast)),
    separator: separator === "line break" ? separator : "space",
    isSecret: secret !== undefined,
    hasFlag: secret !== "flagless",
    codec: Schema.make(ast)
  }
}

/** Every setting of a Schema, in the order of the Schema. */
export const optionsOf = (struct: Schema.Constraint): ReadonlyArray<Option> => {
  const walk = (ast: SchemaAST.AST, path: ReadonlyArray<string>): ReadonlyArray<Option> => {
    // Only groups of settings are structs without a description of their own.
    const isGroup = SchemaAST.isObjects(ast) && SchemaAST.resolve(ast)?.["description"] === undefined
    if (!isGroup) return [option(path, ast)]
    return ast.propertySignatures.flatMap((field) => walk(field.type, [...path, String(field.name)]))
  }
  return walk(struct.ast, [])
}
