/**
 * What is wrong with one value, in words: where it is, what was expected, what was found, and what was probably meant.
 *
 * Owns the way from the issues of a codec to these lines. Which values there are, and which of them counts, is `Source`.
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { show } from "../Shown.ts"
import * as Suggestion from "../Suggestion.ts"
import type { Option } from "./Setting.ts"

/** A place in a tree of raw values. */
export type Path = ReadonlyArray<PropertyKey>

/** How the place of a value, or of a key that is unknown, is called: `--to`, `evenkeel.yaml:5:13: health.interval`. */
export type Where = (path: Path, what: "value" | "key") => string

/** Writes a place as in code: `health.interval`, `to[1].weight`. */
export const formatPath = (path: Path): string =>
  path.map((key, i) => (typeof key === "number" ? `[${key}]` : `${i === 0 ? "" : "."}${String(key)}`)).join("")

const at = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value
  )

/**
 * What a codec says about one value: a whole message or what it expects, if it says so, and what was probably meant.
 */
interface Finding {
  readonly path: Path
  readonly message?: string | undefined
  readonly expected?: string | undefined
  readonly suggestion?: string | undefined
  /** There should be nothing at all. */
  readonly isUnknown?: boolean
}

const textIn = (annotations: Schema.Annotations.Annotations | undefined, key: string): string | undefined => {
  const text = annotations?.[key]
  return typeof text === "string" ? text : undefined
}

const expectedOf = (ast: SchemaAST.AST): string | undefined => textIn(SchemaAST.resolve(ast), "expected")

const keysOf = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  SchemaAST.isObjects(ast) ? ast.propertySignatures.map(({ name }) => String(name)) : []

const findings = (issue: SchemaIssue.Issue, path: Path, expected?: string): ReadonlyArray<Finding> => {
  switch (issue._tag) {
    case "Pointer":
      return findings(issue.issue, [...path, ...issue.path])
    case "Encoding":
      return findings(issue.issue, path, expected)
    case "Filter":
      return findings(issue.issue, path, textIn(issue.filter.annotations, "expected"))
    case "Composite":
      return issue.issues.flatMap((inner) => findings(inner, path))
    case "AnyOf":
      return issue.issues.length === 0
        ? [{ path, expected: expectedOf(issue.ast) }]
        : issue.issues.flatMap((inner) => findings(inner, path))
    case "InvalidValue":
      return [{
        path,
        expected,
        message: textIn(issue.annotations, "message"),
        suggestion: textIn(issue.annotations, "suggestion")
      }]
    case "UnexpectedKey":
      return [{ path, isUnknown: true, suggestion: Suggestion.nearest(String(path.at(-1)), keysOf(issue.ast)) }]
    case "MissingKey":
      return [{ path, message: "is missing" }]
    default:
      return [{ path, expected }]
  }
}

/**
 * What was probably meant by a value. Of a number in a file or in code, a codec for text says what it says of the
 * digits in a flag or a variable.
 */
const suggest = (finding: Finding, option: Option, found: unknown): string | undefined => {
  if (finding.suggestion !== undefined) return finding.suggestion
  if (typeof found === "string") return Suggestion.nearest(found, option.choices)
  if (typeof found !== "number") return undefined
  const result = SchemaParser.decodeResult(option.codec)(String(found))
  return Result.isFailure(result) ? findings(result.failure, [])[0]?.suggestion : undefined
}

/** A finding as a line. `value` is the raw value of the whole setting. */
const describe = (finding: Finding, option: Option, value: unknown, where: Where): string => {
  const path = [...option.path, ...finding.path]
  if (finding.isUnknown) {
    return `${where(path, "key")}: unknown key "${formatPath(path)}"${Suggestion.words(finding.suggestion)}`
  }
  const depth = finding.path.length
  const wanted = option.isList && depth === 0 ? "a list" : (depth > 1 ? finding.expected : undefined) ?? option.expected
  const said = finding.message ?? `expected ${wanted}`
  const found = at(value, finding.path)
  const isShown = said.startsWith("expected") && !option.isSecret
  const got = isShown ? `, got ${show(found)}` : ""
  return `${where(path, "value")}: ${said}${got}${Suggestion.words(suggest(finding, option, found))}`
}

/** A value as its codec reads it, or a line for each thing that is wrong with it. */
export const decode = (option: Option, value: unknown, where: Where): Result.Result<unknown, ReadonlyArray<string>> =>
  Result.mapError(
    SchemaParser.decodeUnknownResult(option.codec)(value, { errors: "all", onExcessProperty: "error" }),
    (issue) => findings(issue, []).map((finding) => describe(finding, option, value, where))
  )
