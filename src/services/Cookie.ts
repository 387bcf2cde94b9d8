/**
 * The cookies of a message, as they are written there: in a request pairs that semicolons divide, in one line or several,
 * in a response a line for each.
 *
 * Owns how one is found and taken out. Nothing is decoded, and case counts (RFC 6265 §5.4).
 */
import { type FieldLines, isNamed, linesWhere, withoutBlanks } from "./Fields.ts"

/** What the name of a cookie can be: a token (RFC 9110 §5.6.2). */
export const name = /^[!#$%&'*+\-.^_`|~\da-z]+$/i

const any = (): boolean => true

/** The value of the first `name=value` among those that a separator divides, of the values that are accepted. */
export const pairOf = (
  text: string,
  start: number,
  separator: string,
  name: string,
  accepts: (value: string) => boolean = any
): string | undefined => {
  for (let begin = start; begin < text.length;) {
    const next = text.indexOf(separator, begin)
    const end = next === -1 ? text.length : next
    while (text[begin] === " " || text[begin] === "\t") begin++
    if (text.startsWith(name, begin) && text[begin + name.length] === "=") {
      const value = text.slice(begin + name.length + 1, end).trimEnd()
      if (accepts(value)) return value
    }
    begin = end + 1
  }
  return undefined
}

/** The value of the first cookie of a name, of the values that are accepted. */
export const valueOf = (
  fields: FieldLines,
  name: string,
  accepts: (value: string) => boolean = any
): string | undefined => {
  for (let i = 0; i < fields.length; i += 2) {
    if (!isNamed(fields[i]!, "cookie")) continue
    const value = pairOf(fields[i + 1]!, 0, ";", name, accepts)
    if (value !== undefined) return value
  }
  return undefined
}

/**
 * The field lines without the cookies of a name. What else they say stays as it is, and a line that
 * says nothing else goes.
 */
export const without = (fields: FieldLines, name: string): FieldLines => {
  const out: Array<string> = []
  for (let i = 0; i < fields.length; i += 2) {
    const [field, value] = [fields[i]!, fields[i + 1]!]
    if (!isNamed(field, "cookie") || pairOf(value, 0, ";", name) === undefined) {
      out.push(field, value)
      continue
    }
    const others = value.split(";").filter((pair) => pairOf(pair, 0, ";", name) === undefined).join(";").trim()
    if (others !== "") out.push(field, others)
  }
  return out
}

/** Whether a `Set-Cookie` sets a cookie of a name. Clients leave out the blanks around it (RFC 6265 §5.2). */
const sets = (setCookie: string, name: string): boolean => {
  const [pair = ""] = setCookie.split(";", 1)
  const end = pair.indexOf("=")
  return end !== -1 && withoutBlanks(pair.slice(0, end)) === name
}

/** The field lines of a response without those that set a cookie of a name. */
export const withoutSet = (fields: FieldLines, name: string): FieldLines =>
  linesWhere(fields, (field, value) => !isNamed(field, "set-cookie") || !sets(value, name))
