/**
 * How the key of hash strategies is written in the configuration: `client`, `path`, `header:NAME` and so on.
 *
 * Owns the codec and what it says about mistakes. How a key is read from a request is in `HashKey`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as Cookie from "../Cookie.ts"
import type { HashKey } from "../HashKey.ts"
import * as Suggestion from "../Suggestion.ts"
import { invalid, notation } from "./Codec.ts"

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
export const HashKeyNotation: Schema.Codec<HashKey, string> = notation(
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
