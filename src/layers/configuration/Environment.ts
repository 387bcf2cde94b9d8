/**
 * What the environment says, as a source of settings.
 *
 * `PORT`, which many platforms set, stands for `listen` where no `EVENKEEL_LISTEN` does. An unknown `EVENKEEL_`
 * variable is a warning and not an error: Kubernetes gives every container variables such as `EVENKEEL_SERVICE_HOST`
 * when there is a service of this name.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { type Option, variablePrefix } from "../../services/configuration/Setting.ts"
import { fromTexts, type Source } from "../../services/configuration/Source.ts"
import * as Suggestion from "../../services/Suggestion.ts"

/** Names the configuration file when the `--config` flag does not. */
export const fileVariable = `${variablePrefix}_CONFIG`

type Variable = readonly [name: string, value: string]

/** The variables whose names begin with the path. Unset and empty ones are left out. */
const variables = Effect.fnUntraced(function*(
  provider: ConfigProvider.ConfigProvider,
  path: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<Variable>, ConfigProvider.SourceError> {
  const node = yield* provider.load(path)
  if (node === undefined) return []
  const own: ReadonlyArray<Variable> = node.value === undefined ? [] : [[path.join("_"), node.value]]
  const segments = node._tag === "Record"
    ? [...node.keys]
    : node._tag === "Array"
    ? Array.from({ length: node.length }, (_, i) => String(i))
    : []
  const inner = yield* Effect.forEach(segments, (segment) => variables(provider, [...path, segment]))
  return [...own, ...inner.flat()]
})

/** What all names begin with says nothing of how near they are. */
const suggest = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const prefix = `${variablePrefix}_`
  const rest = Suggestion.nearest(name.slice(prefix.length), known.map((variable) => variable.slice(prefix.length)))
  return rest === undefined ? undefined : prefix + rest
}

/** What the environment says. */
interface Environment {
  readonly source: Source
  /** The configuration file, if the environment names one. */
  readonly file: string | undefined
  readonly warnings: ReadonlyArray<string>
}

/** The environment, read through the `ConfigProvider` of the context. `PORT` can be left out of account. */
export const read = Effect.fnUntraced(
  function*(
    options: ReadonlyArray<Option>,
    { withPort }: { readonly withPort: boolean }
  ): Effect.fn.Return<Environment, ConfigProvider.SourceError> {
    const provider = yield* ConfigProvider.ConfigProvider
    const found = new Map(yield* variables(provider, [variablePrefix]))
    const port = withPort ? (yield* provider.load(["PORT"]))?.value : undefined
    const known = [...options.map((option) => option.variable), fileVariable]
    return {
      source: fromTexts(options.flatMap((option) => {
        const text = found.get(option.variable)
        if (text !== undefined) return [{ option, texts: [text], where: option.variable }]
        return option.key === "listen" && port !== undefined ? [{ option, texts: [port], where: "PORT" }] : []
      })),
      file: found.get(fileVariable),
      warnings: [...found.keys()].filter((name) => !known.includes(name)).map((name) =>
        `${name}: unknown environment variable, ignored${Suggestion.words(suggest(name, known))}`
      )
    }
  },
  // A source that cannot be read is a defect of whoever provided it; the environment itself always can.
  Effect.orDie
)
