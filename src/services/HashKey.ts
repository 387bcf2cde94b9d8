/**
 * The key of a request: what a hash strategy hashes, so that requests with the same key go to the same backend.
 *
 * Owns the notation of keys and how one is read from the head of a request, as it is written there: nothing is decoded, and
 * case counts but in names of fields. A request that has no such value, or an empty one, has its client's address for a key.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { FieldLines, RequestHead } from "./Message.ts"
import * as Suggestion from "./Suggestion.ts"
import { originForm } from "./Target.ts"

/** Where a key comes from. */
export type HashKey =
  | { readonly from: "client" | "path" }
  | { readonly from: "header" | "cookie" | "query"; readonly name: string }

/** Reads the key of a request. `client` is the client's address, where there is one, behind proxies that are trusted. */
export type Extract = (head: RequestHead, client: string | undefined) => string | undefined

// -----------------------------------------------------------------------------
// The notation
// -----------------------------------------------------------------------------

/** What a key can be, for messages. */
export const expected = "client, path, header:NAME, cookie:NAME or query:NAME"

const alone = ["client", "path"] as const

const named = ["header", "cookie", "query"] as const

/** A token (RFC 9110 §5.6.2), as the names of fields and cookies are. */
const token = /^[!#$%&'*+\-.^_`|~\da-z]+$/i

/** What can stand before the `=` of a parameter. */
const parameter = /^[^\s&=#]+$/

const invalid = (issue: { readonly message?: string; readonly suggestion?: string }) =>
  Effect.fail(new SchemaIssue.InvalidValue(issue))

const parse = (text: string): Effect.Effect<HashKey, SchemaIssue.Issue> => {
  const colon = text.indexOf(":")
  const word = colon === -1 ? text : text.slice(0, colon)
  const name = colon === -1 ? undefined : text.slice(colon + 1)

  const lonely = alone.find((from) => from === word)
  if (lonely !== undefined) {
    return name === undefined
      ? Effect.succeed({ from: lonely })
      : invalid({ suggestion: lonely })
  }

  const from = named.find((from) => from === word)
  if (from !== undefined) {
    if (name === undefined || name === "") return invalid({ message: `expected a name, as in ${from}:NAME` })
    if (!(from === "query" ? parameter : token).test(name)) return invalid({ message: `"${name}" cannot be a name` })
    return Effect.succeed({ from, name })
  }

  const meant = Suggestion.nearest(word, [...alone, ...named])
  return invalid(meant === undefined ? {} : { suggestion: name === undefined ? meant : `${meant}:${name}` })
}

/** `client`, `path`, `header:NAME`, `cookie:NAME` or `query:NAME`. */
export const HashKey: Schema.Codec<HashKey, string> = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Union([
      Schema.Struct({ from: Schema.Literals(alone) }),
      Schema.Struct({ from: Schema.Literals(named), name: Schema.NonEmptyString })
    ]),
    SchemaTransformation.transformEffect({
      decode: (text: string) => parse(text.trim()),
      encode: (key) => Effect.succeed("name" in key ? `${key.from}:${key.name}` : key.from)
    })
  )
)

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/** The client's address. An IPv4 address is the same whether the socket is one for IPv6 or not. */
export const client: Extract = (_head, address) => address?.startsWith("::ffff:") ? address.slice(7) : address

/** The path that a backend is asked for, without the query. */
const path = ({ method, target }: RequestHead): string => {
  const form = originForm(method, target)
  const end = form.indexOf("?")
  return end === -1 ? form : form.slice(0, end)
}

/** The value of the first field line of a name, which is in lower case. */
const fieldOf = (fields: FieldLines, name: string): string | undefined => {
  for (let i = 0; i < fields.length; i += 2) {
    const line = fields[i]!
    if (line.length === name.length && line.toLowerCase() === name) return fields[i + 1]
  }
  return undefined
}

/** The value of the first `name=value` among those that a separator divides. */
const pairOf = (text: string, start: number, separator: string, name: string): string | undefined => {
  for (let begin = start; begin < text.length;) {
    const next = text.indexOf(separator, begin)
    const end = next === -1 ? text.length : next
    while (text[begin] === " " || text[begin] === "\t") begin++
    if (text.startsWith(name, begin) && text[begin + name.length] === "=") {
      return text.slice(begin + name.length + 1, end).trimEnd()
    }
    begin = end + 1
  }
  return undefined
}

const cookieOf = (fields: FieldLines, name: string): string | undefined => {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i]!.length !== 6 || fields[i]!.toLowerCase() !== "cookie") continue
    const value = pairOf(fields[i + 1]!, 0, ";", name)
    if (value !== undefined) return value
  }
  return undefined
}

const queryOf = (target: string, name: string): string | undefined => {
  const mark = target.indexOf("?")
  return mark === -1 ? undefined : pairOf(target, mark + 1, "&", name)
}

const orClient = (read: (head: RequestHead) => string | undefined): Extract => (head, address) =>
  read(head) || client(head, address)

/** How the key is read. */
export const extractor = (key: HashKey): Extract => {
  switch (key.from) {
    case "client":
      return client
    case "path":
      return orClient(path)
    case "header": {
      const name = key.name.toLowerCase()
      return orClient((head) => fieldOf(head.fields, name))
    }
    case "cookie":
      return orClient((head) => cookieOf(head.fields, key.name))
    case "query":
      return orClient((head) => queryOf(head.target, key.name))
  }
}
