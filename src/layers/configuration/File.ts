/**
 * A configuration file, YAML or JSON, as a source of settings that knows line and column of everything.
 *
 * JSON is read as the YAML that it is.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import type * as Yaml from "yaml"
import { formatPath, type Path } from "../../services/configuration/Findings.ts"
import { ConfigurationError, type Source } from "../../services/configuration/Source.ts"

const failure = (problems: ReadonlyArray<string>) => ConfigurationError.make({ problems })

const unreadable = ({ reason }: PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "there is no such file"
    case "PermissionDenied":
      return "no permission to read it"
    default:
      return `it cannot be read: ${reason.cause instanceof Error ? reason.cause.message : reason.message}`
  }
}

/**
 * Where the value at a path begins, or the key that leads to it; for what is not there, where its surroundings begin.
 */
const offsetOf = (yaml: typeof Yaml, document: Yaml.Document, path: Path, what: "value" | "key"): number => {
  const last = path.at(-1)
  if (last === undefined) return document.contents?.range?.[0] ?? 0
  const parent = document.getIn(path.slice(0, -1), true)
  const pair = yaml.isMap(parent)
    ? parent.items.find(({ key }) => yaml.isScalar(key) && String(key.value) === last)
    : undefined
  const node = what === "key" ? pair?.key : document.getIn(path, true)
  return yaml.isNode(node) && node.range ? node.range[0] : offsetOf(yaml, document, path.slice(0, -1), "value")
}

/**
 * YAML quotes the names of tags and aliases, and what begins with ! or * may be a secret that
 * should have been in quotes.
 */
const withoutNames = (message: string): string => message.replace(/^(Unresolved (?:tag|alias)[^:]*):.*$/s, "$1")

/** What is no YAML at all has a flaw in each line. */
const maxFlaws = 10

/** The content of a file. `name` is how messages call it. */
const parse = Effect.fnUntraced(function*(
  yaml: typeof Yaml,
  name: string,
  text: string
): Effect.fn.Return<Source, ConfigurationError> {
  const lines = new yaml.LineCounter()
  const place = (offset: number): string => {
    const { col, line } = lines.linePos(offset)
    return `${name}:${line}:${col}`
  }
  const document = yaml.parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const language = name.endsWith(".json") ? "JSON" : "YAML"
  const flaws = [...document.errors, ...document.warnings].map(({ code, message, pos }) =>
    `${place(pos[0])}: ${
      code === "MULTIPLE_DOCS" ? "more than one document" : `not valid ${language}: ${withoutNames(message)}`
    }`
  )
  if (flaws.length > maxFlaws) {
    return yield* failure([...flaws.slice(0, maxFlaws), `${name}: and ${flaws.length - maxFlaws} more`])
  }
  if (flaws.length > 0) return yield* failure(flaws)
  const values = yield* Effect.try({
    try: (): unknown => document.toJS(),
    // Aliases: of anchors that there are not, or so many that they would fill the memory.
    catch: (error) =>
      failure([
        `${name}: not valid ${language}: ${withoutNames(error instanceof Error ? error.message : String(error))}`
      ])
  })
  return {
    // A file of comments alone has no value.
    values: values ?? {},
    where: (path, what) => {
      const position = place(offsetOf(yaml, document, path, what))
      return what === "key" || path.length === 0 ? position : `${position}: ${formatPath(path)}`
    }
  }
})

/**
 * Reads a file. `namedBy` is what named it, for messages. Fails when there is none, when it cannot be read, and when it
 * is neither YAML nor JSON.
 */
export const read = Effect.fnUntraced(function*(
  name: string,
  namedBy: string
): Effect.fn.Return<Source, ConfigurationError, FileSystem.FileSystem> {
  if (name === "") return yield* failure([`${namedBy}: expected the name of a file, got ""`])
  const files = yield* FileSystem.FileSystem
  const text = yield* files.readFileString(name).pipe(
    Effect.mapError((error) => failure([`${name}: ${unreadable(error)} (named by ${namedBy})`]))
  )
  // Most starts need no YAML.
  const yaml = yield* Effect.promise(() => import("yaml"))
  return yield* parse(yaml, name, text)
})
