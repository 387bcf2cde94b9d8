/**
 * A backend: one address from the configuration or from discovery, and its weight.
 *
 * Owns what identifies a backend and how its address is written. It does not know whether the backend is well
 * (`Health`) or busy (`Load`).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { show } from "./Shown.ts"
import * as Suggestion from "./Suggestion.ts"

/** What is expected of the values below, as messages say it. */
export const expected = {
  origin: "a URL without a path, such as http://localhost:3001, or unix:/path/of/a.sock",
  id: "a text that is not empty",
  weight: "a whole number from 1 to 1000",
  tier: "a whole number from 0 to 9",
  zone: "a name of letters, digits and . _ - : /"
} as const

/** The share of traffic that weighted strategies give to a backend, relative to the others: 1 to 1,000. */
export const Weight = Schema.Int.check(
  Schema.isBetween({ minimum: 1, maximum: 1000 }, { expected: expected.weight })
)

/** Who is asked first: 0 are the primaries, 1 their backups, and so on to 9. */
export const Tier = Schema.Int.check(
  Schema.isBetween({ minimum: 0, maximum: 9 }, { expected: expected.tier })
)

/** The name of a place, such as `eu-west-1a`. */
export const Zone = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9._:/-]+$/, { expected: expected.zone })
)

/** A unix socket, by its absolute path, as nginx and HAProxy write it. */
const unixSocket = /^unix:(\/[^\s,?#]+)$/

/**
 * The scheme, host and port of a URL that has nothing else, as `http://localhost:3001`, or a unix socket, as
 * `unix:/run/app.sock`; `undefined` for anything else.
 *
 * The path of a forwarded request is the client's own, so an origin has none. Credentials are refused, because origins
 * are printed in logs.
 */
export const parseOrigin = (input: string): string | undefined => {
  if (isUnixSocket(input)) return input.replace(/^unix:\/+/, "unix:/")
  if (!URL.canParse(input)) return undefined
  const url = new URL(input)
  const onlyOrigin = (url.protocol === "http:" || url.protocol === "https:") && url.pathname === "/" &&
    url.search === "" && url.hash === "" && url.username === "" && url.password === ""
  // A name has no comma, which begins an option where there may be some, and nobody listens on port 0.
  return onlyOrigin && !url.hostname.includes(",") && url.port !== "0" ? url.origin : undefined
}

/** The origin that is probably meant by what is none: a scheme is easily forgotten. */
export const meantOrigin = (input: string): string | undefined => parseOrigin(`http://${input}`)

/** Whether an origin is a unix socket. */
export const isUnixSocket = (origin: string): boolean => unixSocket.test(origin)

/** The host of an origin, and its port, as a `Host` field has them. A socket has no name of its own. */
export const authorityOf = (origin: string): string =>
  isUnixSocket(origin) ? "localhost" : origin.slice(origin.indexOf("//") + 2)

/**
 * The URL of a path at an origin. That of a unix socket stands percent-encoded for the host, as in
 * `http+unix://%2Frun%2Fapp.sock/healthz`.
 */
export const urlOf = (origin: string, path: string): string => {
  const socket = unixSocket.exec(origin)?.[1]
  return (socket === undefined ? origin : `http+unix://${encodeURIComponent(socket)}`) + path
}

/** The origin of such a URL. */
export const originOf = (url: URL): string =>
  url.protocol === "http+unix:" ? `unix:${decodeURIComponent(url.hostname)}` : url.origin

/** A scheme, a host and perhaps a port, without credentials. */
const isOrigin = (input: string): boolean =>
  /^(?:https?|unix):/i.test(input) ? parseOrigin(input) === input : /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@]+$/.test(input)

/**
 * Where requests are sent: `http://host:port`, `https://host:port` or `unix:/path`, in the form that `parseOrigin`
 * returns. An address of another scheme, such as `postgres://db-1:5432`, is for programs that balance what is not HTTP.
 */
export const Origin = Schema.String.check(
  Schema.makeFilter(isOrigin, { expected: expected.origin })
)

/**
 * One address that can answer requests.
 *
 * A tier is used only when all before it have nobody who is eligible. A balancer with a zone prefers backends of that
 * zone. `id` names it in logs and keeps its load and health across changes of the configuration, also while it moves to
 * another origin, which is checked at once and not blamed for requests to the one before; unless it is given, it is the
 * origin itself.
 */
export class Backend extends Schema.Class<Backend>("evenkeel/services/Backend")({
  id: Schema.NonEmptyString,
  origin: Origin,
  weight: Weight,
  tier: Tier.pipe(Schema.withConstructorDefault(Effect.succeed(0))),
  zone: Schema.optionalKey(Zone)
}) {}

/** What may be said about a backend beyond its origin. */
export interface Options {
  readonly id?: string | undefined
  readonly weight?: number | undefined
  readonly tier?: number | undefined
  readonly zone?: string | undefined
}

/** What was given is no backend. `message` says what was expected, and what was found. */
export class InvalidBackend extends Schema.TaggedError<InvalidBackend>()("InvalidBackend", {
  message: Schema.String
}) {}

/** What the options have to be, each. */
const rules = [
  ["id", Schema.is(Schema.NonEmptyString), expected.id],
  ["weight", Schema.is(Weight), expected.weight],
  ["tier", Schema.is(Tier), expected.tier],
  ["zone", Schema.is(Zone), expected.zone]
] as const

const invalid = (what: string, found: unknown, meant?: string) =>
  Result.fail(InvalidBackend.make({ message: `expected ${what}, got ${show(found)}${Suggestion.words(meant)}` }))

/**
 * A backend from its origin alone, or with more, as somebody else has written them, such as a registry. What
 * `parseOrigin` reads is taken in the form that it returns: `HTTP://Web-1:80/` is `http://web-1`.
 */
export const decode = (origin: string, options: Options = {}): Result.Result<Backend, InvalidBackend> => {
  const text = String(origin).trim()
  const known = parseOrigin(text) ?? (isOrigin(text) ? text : undefined)
  if (known === undefined) return invalid(expected.origin, origin, meantOrigin(text))
  const given = rules.filter(([name]) => options[name] !== undefined)
  for (const [name, isValid, what] of given) {
    if (!isValid(options[name])) return invalid(`${name} to be ${what}`, options[name])
  }
  const parts = Object.fromEntries(given.map(([name]) => [name, options[name]]))
  return Result.succeed(Backend.make({ id: known, weight: 1, ...parts, origin: known }))
}

/** The same for what stands in code: throws the `InvalidBackend`. */
export const make = (origin: string, options: Options = {}): Backend => Result.getOrThrow(decode(origin, options))
