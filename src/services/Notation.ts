/**
 * How single values of the configuration are written: addresses, backends, durations, networks, numbers.
 *
 * Owns the codecs between those notations and values. Which settings there are is the business of `Configuration`. Where a
 * codec can say more than what it expects, its issue has a `message`, or a `suggestion` of what was probably meant.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { Backend, parseOrigin, Weight } from "./Backend.ts"

/** What is wrong with a value, beyond that it is not what was expected. */
interface Complaint {
  /** In place of what was expected in general. */
  readonly message?: string
  /** What was probably meant. */
  readonly suggestion?: string
}

const invalid = (complaint: Complaint = {}) => Effect.fail(new SchemaIssue.InvalidValue({ ...complaint }))

// -----------------------------------------------------------------------------
// Durations
// -----------------------------------------------------------------------------

const milliseconds: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const durationPart = /(\d+(?:\.\d+)?)\s*(millis?|seconds?|minutes?|hours?|days?|ms|s|m|h|d)\s*/y

const parseMillis = (text: string): number | undefined => {
  let total = 0
  durationPart.lastIndex = 0
  while (durationPart.lastIndex < text.length) {
    const match = durationPart.exec(text)
    if (match === null) return undefined
    const [, amount, unit] = match
    total += Number(amount) * (unit!.startsWith("milli") ? 1 : milliseconds[unit!] ?? milliseconds[unit![0]!]!)
  }
  return text === "" ? undefined : total
}

/** Node's timers run at once when they are given 2^31 ms or more, which is 24.8 days. Jitter adds to what is given here. */
const maxMillis = 20 * milliseconds["d"]!

/** `500ms`, `5s`, `1m`, `1h`, `1m 30s`, or as Effect writes it, `5 seconds`; from 1 ms to 20 days. */
export const PositiveDuration: Schema.Codec<Duration.Duration, string> = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Duration,
    SchemaTransformation.transformEffect({
      decode: (text: string) => {
        const millis = parseMillis(text.trim())
        if (millis === undefined) return invalid()
        if (millis < 1) return invalid({ message: "expected a duration of 1ms or more" })
        if (millis > maxMillis) return invalid({ message: "expected a duration of 20d or less" })
        return Effect.succeed(Duration.millis(millis))
      },
      encode: (duration) => Effect.succeed(Duration.format(duration))
    })
  )
)

// -----------------------------------------------------------------------------
// Numbers and paths
// -----------------------------------------------------------------------------

/** A number as such, or in digits. */
const number = (range: { readonly minimum: number; readonly maximum: number }): Schema.Codec<number, number | string> =>
  Schema.Union([Schema.Finite, Schema.String]).pipe(
    Schema.decodeTo(
      Schema.Int.check(Schema.isBetween(range)),
      SchemaTransformation.transformEffect({
        decode: (input: number | string) =>
          typeof input === "number"
            ? Effect.succeed(input)
            : /^\d{1,15}$/.test(input)
            ? Effect.succeed(Number(input))
            : invalid(),
        encode: (count) => Effect.succeed(count)
      })
    )
  )

/** A whole number of 1 or more. */
export const Count = number({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })

/** A whole number of 0 or more. */
export const WholeNumber = number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** The status of an error. */
export const ErrorStatus = number({ minimum: 400, maximum: 599 })

/** From `0%` to `100%`, with or without the sign, as a share from 0 to 1. */
export const Percentage: Schema.Codec<number, number | string> = Schema.Union([Schema.Finite, Schema.String]).pipe(
  Schema.decodeTo(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    SchemaTransformation.transformEffect({
      decode: (input: number | string) => {
        const match = /^(\d{1,3}(?:\.\d+)?)\s*%?$/.exec(String(input).trim())
        return match === null ? invalid() : Effect.succeed(Number(match[1]) / 100)
      },
      encode: (share) => Effect.succeed(`${Number((share * 100).toFixed(6))}%`)
    })
  )
)

/** A method, which is case-sensitive (RFC 9110 §9.1). All that are registered are in upper case. */
export const Method: Schema.Codec<string> = Schema.String.check(
  Schema.makeFilter((method: string) => /^[A-Z][A-Z-]*$/.test(method))
)

const byteUnits: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** A number of bytes, 1 or more: `16384`, `16KiB`, `1MiB`, or as nginx writes it, `16k`. */
export const Bytes: Schema.Codec<number, number | string> = Schema.Union([Schema.Finite, Schema.String]).pipe(
  Schema.decodeTo(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
    SchemaTransformation.transformEffect({
      decode: (input: number | string) => {
        if (typeof input === "number") return Effect.succeed(input)
        const match = /^(\d{1,12})\s*(?:([kmg])(?:i?b)?|b)?$/i.exec(input.trim())
        return match === null
          ? invalid()
          : Effect.succeed(Number(match[1]) * byteUnits[(match[2] ?? "").toLowerCase()]!)
      },
      encode: (bytes) => Effect.succeed(bytes)
    })
  )
)

/** The path of a URL, with or without a query: it goes into a request line as it is. */
export const UrlPath: Schema.Codec<string, string> = Schema.String.check(
  Schema.makeFilter((path: string) => /^\/[!"$-~]*$/.test(path))
)

// -----------------------------------------------------------------------------
// Where to listen
// -----------------------------------------------------------------------------

/** A port, and the host name or address to listen on; every address of the machine when there is no host. */
export interface ListenAddress {
  readonly host: string | undefined
  readonly port: number
}

const parsePort = (digits: string): number | undefined =>
  /^\d{1,5}$/.test(digits) && Number(digits) <= 65_535 ? Number(digits) : undefined

const parseListen = (text: string): ListenAddress | undefined => {
  const colon = text.lastIndexOf(":")
  const port = parsePort(text.slice(colon + 1))
  if (port === undefined) return undefined
  if (colon <= 0) return { host: undefined, port }
  const host = text.slice(0, colon)
  const inBrackets = /^\[(.+)\]$/.exec(host)?.[1]
  if (inBrackets !== undefined) {
    return Result.isSuccess(NetAddress.ipv6FromString(inBrackets)) ? { host: inBrackets, port } : undefined
  }
  return /^[a-z0-9._-]+$/i.test(host) ? { host, port } : undefined
}

/** Writes an address so that it can be read again: `:3000`, `localhost:3000`, `[::1]:3000`. */
export const formatListen = ({ host, port }: ListenAddress): string =>
  `${host === undefined ? "" : host.includes(":") ? `[${host}]` : host}:${port}`

/** `3000`, `:3000`, `localhost:3000`, `127.0.0.1:3000`, `[::1]:3000`. Port 0 stands for any free one. */
export const Listen: Schema.Codec<ListenAddress, number | string> = Schema.Union([Schema.Finite, Schema.String]).pipe(
  Schema.decodeTo(
    Schema.Struct({ host: Schema.UndefinedOr(Schema.String), port: Schema.Finite }),
    SchemaTransformation.transformEffect({
      decode: (input: number | string) => {
        const address = parseListen(String(input).trim())
        return address === undefined ? invalid() : Effect.succeed(address)
      },
      encode: (address) => Effect.succeed(formatListen(address))
    })
  )
)

// -----------------------------------------------------------------------------
// Backends
// -----------------------------------------------------------------------------

const BackendFields = Schema.Struct({
  url: Schema.String,
  weight: Schema.optionalKey(Weight),
  id: Schema.optionalKey(Schema.NonEmptyString)
})

/** A scheme is easily forgotten. */
const withScheme = (url: string): Complaint => {
  const origin = parseOrigin(`http://${url}`)
  return origin === undefined ? {} : { suggestion: origin }
}

/** `http://host:port`, or the same with `,weight=N`, or an object that may also have an `id`. */
export const BackendNotation: Schema.Codec<
  Backend,
  string | { readonly url: string; readonly weight?: number; readonly id?: string }
> = Schema.Union([Schema.String, BackendFields]).pipe(
  Schema.decodeTo(
    Schema.toType(Backend),
    SchemaTransformation.transformEffect({
      decode: (input: string | typeof BackendFields.Type) => {
        const [url = "", attribute, ...others] = typeof input === "string" ? input.trim().split(",") : [input.url]
        const origin = parseOrigin(url)
        if (origin === undefined) return invalid(withScheme(url))
        const { id, weight } = typeof input === "string"
          ? { id: undefined, weight: attribute === undefined ? 1 : Number(/^weight=(\d{1,5})$/.exec(attribute)?.[1]) }
          : input
        return others.length === 0 && Schema.is(Weight)(weight ?? 1)
          ? Effect.succeed(Backend.make({ id: id ?? origin, origin, weight: weight ?? 1 }))
          : invalid({ message: "expected nothing after the URL but ,weight=N with a whole number from 1 to 1000" })
      },
      encode: ({ id, origin, weight }) =>
        Effect.succeed({ url: origin, ...(weight === 1 ? {} : { weight }), ...(id === origin ? {} : { id }) })
    })
  )
)

/** Backends of which no two share an origin or an id; at least one. */
export const Backends = Schema.Array(BackendNotation).check(
  Schema.makeFilter((backends: ReadonlyArray<Backend>) => {
    if (backends.length === 0) return "expected at least one backend"
    return backends.flatMap((backend, i) => {
      const earlier = backends.slice(0, i)
      const issue = earlier.some((other) => other.origin === backend.origin)
        ? `${backend.origin} is there twice`
        : earlier.some((other) => other.id === backend.id)
        ? `the id "${backend.id}" is there twice`
        : undefined
      return issue === undefined ? [] : [{ path: [i], issue }]
    })
  })
)

// -----------------------------------------------------------------------------
// Networks
// -----------------------------------------------------------------------------

const parseNetwork = (text: string): Effect.Effect<IpNetwork.IpNetwork, SchemaIssue.Issue> => {
  const slash = text.indexOf("/")
  const address = NetAddress.ipFromString(slash === -1 ? text : text.slice(0, slash))
  if (Result.isFailure(address)) return invalid()
  const width = NetAddress.isIpv4Address(address.success) ? 32 : 128
  const length = slash === -1 ? String(width) : text.slice(slash + 1)
  const network = /^\d{1,3}$/.test(length)
    ? Result.getOrUndefined(IpNetwork.fromAddress(address.success, Number(length)))
    : undefined
  if (network === undefined) return invalid()
  const isExact = IpNetwork.firstAddress(network).toString() === address.success.toString()
  return isExact ? Effect.succeed(network) : invalid({ suggestion: IpNetwork.format(network) })
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. */
export const Network: Schema.Codec<IpNetwork.IpNetwork, string> = Schema.String.pipe(
  Schema.decodeTo(
    Schema.declare(IpNetwork.isIpNetwork),
    SchemaTransformation.transformEffect({
      decode: (text: string) => parseNetwork(text.trim()),
      encode: (network) => Effect.succeed(IpNetwork.format(network))
    })
  )
)
