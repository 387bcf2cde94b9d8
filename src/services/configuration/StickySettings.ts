/** The settings of sticky sessions: the cookie that keeps a client with its backend, and its keys. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Cookie from "../Cookie.ts"
import { CookieAge } from "./Notation.ts"
import { entry, optional, unset } from "./Setting.ts"

const CookieName = Schema.String.check(Schema.makeFilter((name: string) => Cookie.name.test(name)))

/** No semicolon, which would end the attribute, and nothing that cannot stand in a field. */
const CookiePath = Schema.String.check(Schema.makeFilter((path: string) => /^\/[!-:<-~]*$/.test(path)))

/** Shorter keys can be guessed from a token and the address of a backend. Spaces separate keys in the environment. */
const Key = Schema.RedactedFromValue(
  Schema.String.check(Schema.makeFilter((key: string) => /^[^\s]{16,}$/.test(key)))
)

/** The group of these settings. */
export const sticky = Schema.Struct({
  cookie: optional(CookieName, {
    description: "The name of a cookie that keeps each client with the backend that it came to first. " +
      "Set its keys as well, in a file or in EVENKEEL_STICKY_KEYS.",
    title: "name",
    expected: "the name of a cookie, such as lb"
  }),
  keys: entry(Schema.Array(Key), {
    default: [],
    defaultText: "a random one",
    description: "The keys of the cookie. The first one makes cookies, all are accepted. There is no flag for them.",
    title: "key",
    expected: "a key of 16 characters or more, without spaces",
    secret: "flagless"
  }),
  maxAge: unset("the browser's session", CookieAge, {
    description: "How long browsers keep the cookie, from when it was set.",
    title: "duration",
    expected: "a duration such as 1h"
  }),
  path: entry(CookiePath, {
    default: "/",
    description: "The path under which browsers send the cookie.",
    title: "path",
    expected: "a path that begins with a slash, such as /shop"
  }),
  sameSite: entry(Schema.Literals(["lax", "strict", "none"]), {
    default: "lax",
    description: "Whether browsers send the cookie with requests from other sites; none works over TLS only.",
    title: "word"
  })
}).pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
