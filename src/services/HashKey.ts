/**
 * The key of a request: what a hash strategy hashes, so that requests with the same key go to the same backend.
 *
 * Owns the notation of keys and how one is read from the head of a request, as it is written there: nothing is
 * decoded, and case counts but in names of fields. A request that has no such value, or an empty one, has its
 * client's address for a key.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as ClientAddress from "./ClientAddress.ts"
import { invalid, notation } from "./Codec.ts"
import * as Cookie from "./Cookie.ts"
import * as Fields from "./Fields.ts"
import type { RequestHead } from "./Message.ts"
import * as Suggestion from "./Suggestion.ts"
import { pathOf } from "./Target.ts"

/** Where a key comes from. */
export type HashKey =
  | { readonly from: "client" | "path" }
  | { readonly from: "header" | "cookie" | "query"; readonly name: string }

/**
 * Reads the key of a request. `client` is the client's address, where there is one, behind proxies that are trusted.
 */
export type Extract = (head: RequestHead, client: string | undefined) => string | undefined

// -----------------------------------------------------------------------------
// The notation
// -----------------------------------------------------------------------------

/** What a key can be, for messages. */
export const expected = "client, path, header:NAME, cookie:NAME or query:NAME"

const alone = ["client", "path"] as const

const named = ["header", "cookie", "query"] as const

/** What can stand before the `=` of a parameter. The names of fields are tokens, as those of cookies are. */
const parameter = /^[^\s&=#]+$/

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
    if (!(from === "query" ? parameter : Cookie.name).test(name)) {
      return invalid({ message: `"${name}" cannot be a name` })
    }
    return Effect.succeed({ from, name })
  }

  const meant = Suggestion.nearest(word, [...alone, ...named])
  return invalid(meant === undefined ? {} : { suggestion: name === undefined ? meant : `${meant}:${name}` })
}

/** `client`, `path`, `header:NAME`, `cookie:NAME` or `query:NAME`. */
export const HashKey: Schema.Codec<HashKey, string> = notation(
  Schema.String,
  Schema.Union([
    Schema.Struct({ from: Schema.Literals(alone) }),
    Schema.Struct({ from: Schema.Literals(named), name: Schema.NonEmptyString })
  ]),
  {
    read: (text) => parse(text.trim()),
    write: (key) => "name" in key ? `${key.from}:${key.name}` : key.from
  }
)

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/** The client's address. An IPv4 address is the same whether the socket is one for IPv6 or not. */
export const client: Extract = (_head, address) => address === undefined ? undefined : ClientAddress.plain(address)

const queryOf = (target: string, name: string): string | undefined => {
  const mark = target.indexOf("?")
  return mark === -1 ? undefined : Cookie.pairOf(target, mark + 1, "&", name)
}

const orClient = (read: (head: RequestHead) => string | undefined): Extract => (head, address) =>
  read(head) || client(head, address)

/** How the key is read. */
export const extractor = (key: HashKey): Extract => {
  switch (key.from) {
    case "client":
      return client
    case "path":
      return orClient((head) => pathOf(head.method, head.target))
    case "header": {
      const name = key.name.toLowerCase()
      return orClient((head) => Fields.valueOf(head.fields, name))
    }
    case "cookie":
      return orClient((head) => Cookie.valueOf(head.fields, key.name))
    case "query":
      return orClient((head) => queryOf(head.target, key.name))
  }
}
