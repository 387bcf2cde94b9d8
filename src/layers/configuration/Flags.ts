/** What the command line says, as a source of settings. */
import type { Option } from "../../services/configuration/Setting.ts"
import { fromTexts, type Source } from "../../services/configuration/Source.ts"

/** The values of each flag by its name, in their order; none where it was not given. */
export type Flags = Readonly<Record<string, ReadonlyArray<string>>>

/** Says that a flag was given too often. */
export const repeated = (flag: string, values: ReadonlyArray<string>): string =>
  `--${flag}: given ${values.length} times, expected once`

/** The source, and the flags that were given more than once although they are no lists. */
export const read = (
  flags: Flags,
  options: ReadonlyArray<Option>
): { readonly source: Source; readonly problems: ReadonlyArray<string> } => {
  const given = options.flatMap((option) => {
    const texts = flags[option.flag] ?? []
    return texts.length === 0 ? [] : [{ option, texts, where: `--${option.flag}` }]
  })
  return {
    source: fromTexts(given),
    problems: given.flatMap(({ option, texts }) =>
      option.isList || texts.length === 1 ? [] : [repeated(option.flag, texts)]
    )
  }
}
