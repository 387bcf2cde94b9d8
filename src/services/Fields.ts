/**
 * Field lines, and looking for fields by their names, which are the same in any case (RFC 9110 §5.1).
 *
 * Owns the comparison of names and the reading of lists. Names are compared without lower-case copies, which cost a
 * twentieth of a request. What a name means is decided elsewhere.
 */

/** Field lines as a flat list of name, value, name, value, in the order, case and repetition of the wire. */
export type FieldLines = ReadonlyArray<string>

/** Whether the name is `lower` in any case. */
export const isNamed = (name: string, lower: string): boolean =>
  name.length === lower.length && name.toLowerCase() === lower

/** The value of the first field of this name, which is given in lower case. */
export const valueOf = (fields: FieldLines, lower: string): string | undefined => {
  for (let i = 0; i < fields.length; i += 2) if (isNamed(fields[i]!, lower)) return fields[i + 1]
  return undefined
}

/** The values of all fields of this name, which is given in lower case, as one list (RFC 9110 §5.3). */
export const listOf = (fields: FieldLines, lower: string): string | undefined => {
  let list: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    if (isNamed(fields[i]!, lower)) list = list === undefined ? fields[i + 1] : `${list}, ${fields[i + 1]}`
  }
  return list
}

/** The field lines for which it is true, each as it is. `isWanted` is told their names as they are written. */
export const linesWhere = (
  fields: FieldLines,
  isWanted: (name: string, value: string) => boolean
): Array<string> => {
  const out: Array<string> = []
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    if (isWanted(name, value)) out.push(name, value)
  }
  return out
}

/** SP or HTAB, the only white space around a field value and within a list (RFC 9110 §5.6.3). */
export const isBlank = (code: number): boolean => code === 0x20 || code === 0x09

/** The text without white space around it. */
export const withoutBlanks = (text: string): string => {
  // Not by a pattern, which would look at each run of blanks within the text as often as it has blanks.
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

/** The elements of a list without quotes, in lower case. Empty ones do not count (RFC 9110 §5.6.1). */
export const elementsOf = (list: string): ReadonlyArray<string> =>
  list.toLowerCase().split(",").map(withoutBlanks).filter((element) => element !== "")

/** Longer names than this share a row of the table. */
const maxLength = 31

/**
 * Where a name stands in the table: by its length and the last five bits of its first letter, which are
 * the same in any case.
 */
const placeOf = (name: string): number => (Math.min(name.length, maxLength) << 5) | (name.charCodeAt(0) & 31)

/** A set of names, given in lower case. */
export class Names {
  private readonly names: ReadonlySet<string>
  /** 1 where a name stands. */
  private readonly table = new Uint8Array((maxLength + 1) << 5)

  constructor(names: Iterable<string>) {
    this.names = new Set(names)
    for (const name of this.names) this.table[placeOf(name)] = 1
  }

  /** Whether this name, in any case, may be in the set: by far most names are not. */
  mayHave(name: string): boolean {
    return this.table[placeOf(name)] === 1
  }

  /** Whether this name, in any case, is in the set. */
  has(name: string): boolean {
    return this.mayHave(name) && this.names.has(name.toLowerCase())
  }

  [Symbol.iterator](): Iterator<string> {
    return this.names.values()
  }
}
