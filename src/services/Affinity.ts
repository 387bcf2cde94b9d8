/**
 * Sticky sessions: which backend a client is pinned to, as a cookie says.
 *
 * Owns what the cookie says and how it is set. Its value is a keyed token for the id of a backend: nobody without the
 * key can read the id from it or make one, and a forged one is simply nobody's. Tokens are made when backends join, so
 * that a request costs one look for the cookie and one in a table. What a pin is worth is decided by `Balancer`.
 */
import * as Context from "effect/Context"
import type { CryptoError } from "effect/crypto/CryptoError"
import * as Mac from "effect/crypto/Mac"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import type * as Redacted from "effect/Redacted"
import type { FieldLines } from "./Fields.ts"
import type { Client } from "./HeaderFields.ts"
import type { RequestHead } from "./Message.ts"
import { pathOf } from "./Target.ts"

/** The cookie, and its keys. */
export interface Policy {
  /** The name of the cookie. */
  readonly cookie: string
  /** The first one makes cookies, all are accepted. None is a random one. */
  readonly keys: ReadonlyArray<Redacted.Redacted>
  /** How long browsers keep it; until they are closed, unless it is given. */
  readonly maxAge?: Duration.Duration | undefined
  readonly path: string
  readonly sameSite: "lax" | "strict" | "none"
}

/** What the cookie of one request says. */
export interface Pin {
  /** The id of the backend that the client is pinned to, if it is one of the pool. */
  readonly id: string | undefined
  /** The field lines of the request without the cookie, which is nobody else's business. */
  readonly fields: FieldLines
  /** The field lines of an answer without a cookie of a backend that would take the place of ours. */
  readonly withoutRivals: (fields: FieldLines) => FieldLines
  /**
   * The `Set-Cookie` for an answer of the backend with this id, if the client needs one: unless it has that cookie, and
   * unless the answer says that the backend could not do its work. A cookie of an older key is replaced, so that the
   * key can be taken away one day.
   */
  readonly stamp: (id: string | undefined, status: number) => Effect.Effect<string | undefined>
}

/** Reads the cookies of requests. */
export interface Reader {
  /** What the cookie of a request says; nothing where browsers do not send it. */
  readonly read: (head: RequestHead, client: Client) => Effect.Effect<Pin | undefined>
}

/** The reader of the context; `undefined` where clients are not pinned. */
export const Affinity: Context.Reference<Reader | undefined> = Context.Reference<Reader | undefined>(
  "evenkeel/services/Affinity",
  { defaultValue: () => undefined }
)

// -----------------------------------------------------------------------------
// Tokens
// -----------------------------------------------------------------------------

/** A token has 128 bits: HMAC-SHA256, truncated as RFC 2104 §5 allows. */
const tokenBytes = 16

const encoder = new TextEncoder()

/** The token for the id of a backend, in base64url. */
export const token = (key: Mac.Key, id: string): Effect.Effect<string, CryptoError, Mac.Mac> =>
  Effect.map(
    Effect.flatMap(Mac.Mac, (mac) => mac.sign(key, encoder.encode(id))),
    (tag) => Base64Url.encode(tag.subarray(0, tokenBytes))
  )

/** The tokens of the backends. */
export interface Tokens {
  /** By the id of a backend: one token for each key, the one for new cookies first. */
  readonly byId: ReadonlyMap<string, ReadonlyArray<string>>
  /** The id of a backend by each of its tokens. */
  readonly ids: ReadonlyMap<string, string>
}

/** No tokens. */
export const noTokens: Tokens = { byId: new Map(), ids: new Map() }

/** The tokens of exactly these backends. Those that are known are not computed again. */
export const tokensOf = Effect.fnUntraced(function*(
  keys: ReadonlyArray<Mac.Key>,
  backends: ReadonlyArray<string>,
  known: Tokens
): Effect.fn.Return<Tokens, CryptoError, Mac.Mac> {
  if (backends.length === known.byId.size && backends.every((id) => known.byId.has(id))) return known
  const byId = new Map<string, ReadonlyArray<string>>()
  const ids = new Map<string, string>()
  for (const id of backends) {
    const tokens = known.byId.get(id) ?? (yield* Effect.forEach(keys, (key) => token(key, id)))
    byId.set(id, tokens)
    for (const token of tokens) ids.set(token, id)
  }
  return { byId, ids }
})

// -----------------------------------------------------------------------------
// The cookie
// -----------------------------------------------------------------------------

const sameSiteWords = { lax: "Lax", strict: "Strict", none: "None" } as const

/**
 * The value of a `Set-Cookie` field (RFC 6265 §4.1). Scripts never see the cookie. Browsers refuse `SameSite=None`
 * without `Secure`, so without TLS it is left out, which browsers take for `Lax`.
 */
export const setCookie = (
  { cookie, maxAge, path, sameSite }: Omit<Policy, "keys">,
  value: string,
  isSecure: boolean
): string => {
  const age = maxAge === undefined ? "" : `; Max-Age=${Math.ceil(Duration.toSeconds(maxAge))}`
  const site = sameSite === "none" && !isSecure ? "" : `; SameSite=${sameSiteWords[sameSite]}`
  return `${cookie}=${value}; Path=${path}${age}; HttpOnly${isSecure ? "; Secure" : ""}${site}`
}

/** Whether browsers send a cookie of this path with the request (RFC 6265 §5.1.4). */
export const isUnder = (cookiePath: string, { method, target }: RequestHead): boolean => {
  if (cookiePath === "/") return true
  const path = pathOf(method, target)
  if (!path.startsWith(cookiePath)) return false
  return path.length === cookiePath.length || cookiePath.endsWith("/") || path[cookiePath.length] === "/"
}
