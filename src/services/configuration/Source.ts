/**
 * From raw values of several sources to settings, or to everything that is wrong with them.
 *
 * Owns precedence, and what is wrong with keys; what is wrong with values is in `Findings`. It reads nothing itself:
 * `layers/Configuration` brings what flags, the environment and a file say. A value is checked even where a better source
 * overrides it, so that a mistake does not hide until the day on which that flag is left out.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { show } from "../Shown.ts"
import * as Suggestion from "../Suggestion.ts"
import { decode, formatPath, type Where } from "./Findings.ts"
import type { Option } from "./Setting.ts"

/** The raw values of one source. */
export interface Source {
  /** A tree of the same shape as `Configuration.Input`, unchecked. */
  readonly values: unknown
  readonly where: Where
}

/** All that is wrong, one line each: where it is, what was expected, what was found. */
export class ConfigurationError extends Schema.TaggedError<ConfigurationError>()("ConfigurationError", {
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return this.problems.join("\n")
  }
}

/** A known key that a wrong one may stand for, or a setting of that name in another group. */
const suggestKey = (key: string, options: ReadonlyArray<Option>): string | undefined => {
  const last = key.slice(key.lastIndexOf(".") + 1)
  const groups = options.flatMap(({ path }) => (path.length > 1 ? [path.slice(0, -1).join(".")] : []))
  return Suggestion.nearest(key, [...options.map((option) => option.key), ...groups]) ??
    options.find((option) => option.path.at(-1) === last)?.key
}

/** `Object`, also of a class or another realm, or what else it is by nature, such as `Date` or `Map`. */
const kindOf = (value: unknown): string => Object.prototype.toString.call(value).slice("[object ".length, -1)

/** What has settings within: an object, or a module that a program has imported. */
const groups: ReadonlySet<string> = new Set(["Object", "Module"])

/** What is no group. What an object or a function has within may be a secret. */
const showGroup = (value: unknown): string =>
  Predicate.isObjectKeyword(value) && !Array.isArray(value) ? kindOf(value) : show(value)

type Values = ReadonlyMap<Option, unknown>

/** The settings that a source has, and what is wrong with them. */
const read = (
  source: Source,
  options: ReadonlyArray<Option>
): { readonly values: Values; readonly problems: ReadonlyArray<string> } => {
  const values = new Map<Option, unknown>()
  const problems: Array<string> = []
  const walk = (value: unknown, path: ReadonlyArray<string>): void => {
    if (value === undefined) return
    const key = path.join(".")
    const option = options.find((option) => option.key === key)
    if (option !== undefined) {
      values.set(option, value)
      const decoded = decode(option, value, source.where)
      if (Result.isFailure(decoded)) problems.push(...decoded.failure)
    } else if (key !== "" && !options.some((option) => option.key.startsWith(`${key}.`))) {
      problems.push(`${source.where(path, "key")}: unknown key "${key}"${Suggestion.words(suggestKey(key, options))}`)
    } else if (!Predicate.isObjectKeyword(value) || !groups.has(kindOf(value))) {
      problems.push(`${source.where(path, "value")}: expected a group of settings, got ${showGroup(value)}`)
    } else {
      for (const [name, inner] of Object.entries(value)) walk(inner, [...path, name])
    }
  }
  walk(source.values, [])
  return { values, problems }
}

/** Puts a value where it belongs in the tree that the Schema decodes. */
const put = (
  tree: { readonly [name: string]: unknown },
  [name = "", ...rest]: ReadonlyArray<string>,
  value: unknown
): { readonly [name: string]: unknown } => {
  const inner = tree[name]
  return { ...tree, [name]: rest.length === 0 ? value : put(Predicate.isObject(inner) ? inner : {}, rest, value) }
}

/** What all sources say together. */
interface Merged {
  readonly values: { readonly [name: string]: unknown }
  /** How the place of a setting is called, by its key; nothing for a setting that no source has. */
  readonly where: (key: string) => string | undefined
}

/**
 * The raw values of all sources as one tree, in which the first source that has a setting wins. Fails with every
 * problem of every source; what it succeeds with can be decoded. A list is replaced as a whole.
 */
export const merge = (
  sources: ReadonlyArray<Source>,
  options: ReadonlyArray<Option>
): Result.Result<Merged, ConfigurationError> => {
  const all = sources.map((source) => ({ source, ...read(source, options) }))
  const problems = all.flatMap(({ problems }) => problems)
  if (problems.length > 0) return Result.fail(ConfigurationError.make({ problems }))
  const winners = new Map<string, { readonly path: Option["path"]; readonly value: unknown; readonly source: Source }>()
  for (const { source, values } of all) {
    for (const [{ key, path }, value] of values) if (!winners.has(key)) winners.set(key, { path, value, source })
  }
  return Result.succeed({
    values: [...winners.values()].reduce((tree, { path, value }) => put(tree, path, value), {}),
    where: (key) => {
      const winner = winners.get(key)
      return winner?.source.where(winner.path, "value")
    }
  })
}

/** What was given as plain text for one setting, such as by a flag, and the name that it was given by. */
interface GivenText {
  readonly option: Option
  /** One text, or several for a list, whose items may also be separated within a text. The last one counts. */
  readonly texts: ReadonlyArray<string>
  readonly where: string
}

const items = (text: string, { separator }: Option): ReadonlyArray<string> =>
  text.split(separator === "space" ? /\s+/ : /[\r\n]+/).filter((item) => item.trim() !== "")

/** A source of settings that were given one by one as text. */
export const fromTexts = (given: ReadonlyArray<GivenText>): Source => ({
  values: given.reduce(
    (tree, { option, texts }) =>
      put(tree, option.path, option.isList ? texts.flatMap((text) => items(text, option)) : texts.at(-1)),
    {}
  ),
  where: (path) =>
    given.find(({ option }) => option.path.every((name, i) => path[i] === name))?.where ?? formatPath(path)
})

/** A source that is a value in code. */
export const fromValue = (values: unknown): Source => ({
  values,
  where: (path, what) => what === "key" || path.length === 0 ? "settings" : formatPath(path)
})
