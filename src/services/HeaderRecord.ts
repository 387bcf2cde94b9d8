/**
 * Field lines as the platform's record of headers, and back: what is lost on the way, and what is not.
 *
 * Not here: the exact lines, which go past the records (`Message`).
 */
import * as Headers from "effect/http/Headers"
import type { FieldLines } from "./Fields.ts"

/** The platform's record as field lines. */
export const toFields = (headers: Headers.Headers): Array<string> => Object.entries(headers).flat()

/** Fields that are no lists, so joined lines would be a value that nobody sent. As in Node, the first line counts. */
const singular = new Set([
  "age",
  "authorization",
  "content-length",
  "content-type",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "server",
  "user-agent"
])

/**
 * Field lines as the platform's record. Records hold one value a name, so repeated lines of a list are joined:
 * with a comma (RFC 9110 §5.3), and `Cookie`, which is no list with commas, with a semicolon (RFC 9113 §8.2.3).
 */
export const toHeaders = (fields: FieldLines): Headers.Headers => {
  const record: Record<string, string> = Object.create(null)
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase()
    const value = fields[i + 1]!
    const before = record[name]
    if (before === undefined) record[name] = value
    else if (!singular.has(name)) record[name] = `${before}${name === "cookie" ? "; " : ", "}${value}`
  }
  return Headers.fromInput(record)
}

/** What `Content-Length` says, if it is there. */
export const contentLengthOf = ({ "content-length": length }: Headers.Headers): number | undefined =>
  length === undefined ? undefined : Number(length)
