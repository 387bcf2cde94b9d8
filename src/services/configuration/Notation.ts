/**
 * How single values of the configuration are written: durations, networks, numbers. Backends and addresses to listen on
 * have files of their own, `BackendNotation` and `ListenAddress`.
 *
 * Owns the codecs between those notations and values. Which settings there are is in `Configuration`. Where a codec
 * knows more than what it expects, its issue has a `message`, or a `suggestion` of what was probably meant.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { type Complaint, invalid, notation, NumberOrText } from "./Codec.ts"

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

/** A bare number with the unit that was probably meant: seconds, or milliseconds where it is large. */
const withUnit = (text: string, maxMillis: number): Complaint => {
  const suggestion = `${text}${Number(text) < 1000 ? "s" : "ms"}`
  const millis = /^[\d.]+$/.test(text) ? parseMillis(suggestion) : undefined
  return millis !== undefined && millis >= 1 && millis <= maxMillis ? { suggestion } : {}
}

/** `500ms`, `5s`, `1m`, `1h`, `1m 30s`, or as Effect writes it, `5 seconds`; from 1 ms to so many days. */
const durationOfUpTo = (days: number): Schema.Codec<Duration.Duration, string> => {
  const maxMillis = days * milliseconds["d"]!
  return notation(Schema.String, Schema.Duration, {
    read: (text) => {
      const millis = parseMillis(text.trim())
      if (millis === undefined) return invalid(withUnit(text.trim(), maxMillis))
      if (millis < 1) return invalid({ message: "expected a duration of 1ms or more" })
      if (millis > maxMillis) return invalid({ message: `expected a duration of ${days}d or less` })
      return Effect.succeed(Duration.millis(millis))
    },
    // Of a part of a millisecond `format` makes nanoseconds, which is no notation here.
    write: (duration) => {
      const millis = Duration.toMillis(duration)
      return Number.isInteger(millis) ? Duration.format(duration) : `${millis}ms`
    }
  })
}

/**
 * Node's timers run at once when they are given 2^31 ms or more, which is 24.8 days. Jitter adds to what is given here.
 */
export const PositiveDuration: Schema.Codec<Duration.Duration, string> = durationOfUpTo(20)

/** No timer waits for it, and browsers keep no cookie for longer (RFC 6265bis §5.5). */
export const CookieAge: Schema.Codec<Duration.Duration, string> = durationOfUpTo(400)

// -----------------------------------------------------------------------------
// Numbers and paths
// -----------------------------------------------------------------------------

/** A whole number within a range, as such or in digits. */
export const number = (
  range: { readonly minimum: number; readonly maximum: number }
): Schema.Codec<number, number | string> =>
  notation(NumberOrText, Schema.Int.check(Schema.isBetween(range)), {
    read: (input) => typeof input === "number" || /^\d{1,15}$/.test(input) ? Effect.succeed(Number(input)) : invalid(),
    write: identity
  })

/** A whole number of 1 or more. */
export const Count = number({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })

/** A whole number of 0 or more. */
export const WholeNumber = number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** The status of an error. */
export const ErrorStatus = number({ minimum: 400, maximum: 599 })

/** A method, which is case-sensitive (RFC 9110 §9.1). All that are registered are in upper case. */
export const Method: Schema.Codec<string> = Schema.String.check(
  Schema.makeFilter((method: string) => /^[A-Z][A-Z-]*$/.test(method))
)

const byteUnits: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** A number of bytes, 1 or more: `16384`, `16KiB`, `1MiB`, or as nginx writes it, `16k`. */
export const Bytes: Schema.Codec<number, number | string> = notation(
  NumberOrText,
  Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  {
    read: (input) => {
      if (typeof input === "number") return Effect.succeed(input)
      const match = /^(\d{1,12})\s*(?:([kmg])(?:i?b)?|b)?$/i.exec(input.trim())
      return match === null
        ? invalid()
        : Effect.succeed(Number(match[1]) * byteUnits[(match[2] ?? "").toLowerCase()]!)
    },
    write: identity
  }
)

/** The percentage that a bare number was probably meant to be: 50 is 50, and 0.5 as well. */
const percentageOf = (text: string): number | undefined => {
  if (!/^\d{1,3}(?:\.\d{1,6})?$/.test(text)) return undefined
  const number = Number(text)
  const percentage = number < 1 ? Number((number * 100).toFixed(6)) : number
  return percentage <= 100 ? percentage : undefined
}

/** A share in percent. `instead` says what to take in place of one that makes no sense. */
const share = (instead: (share: number) => string | undefined): Schema.Codec<number, string> =>
  notation(Schema.String, Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })), {
    read: (input) => {
      const text = input.trim()
      const match = /^(\d{1,3}(?:\.\d{1,6})?)\s*%$/.exec(text)
      if (match !== null) return Effect.succeed(Number(match[1]) / 100)
      const percentage = percentageOf(text)
      return invalid(percentage === undefined ? {} : { suggestion: instead(percentage / 100) ?? `${percentage}%` })
    },
    write: (share) => `${Number((share * 100).toFixed(6))}%`
  }).check(Schema.makeFilter((share: number) => {
    const suggestion = instead(share)
    return suggestion === undefined || new SchemaIssue.InvalidValue({ suggestion })
  }))

/** A share from 0 to 1, written in percent: `50%`. */
export const Percent = share(() => undefined)

/** A share of which nothing, 0%, makes no sense. */
export const SomePercent = share((share) => share > 0 ? undefined : "1%")

/** A share of which neither nothing nor all makes sense, because it parts the few from the many. */
export const Quantile = share((share) => share === 0 ? "95%" : share === 1 ? "99%" : undefined)

/**
 * A factor of more than 1, as HAProxy and Envoy write it: 125 is 1.25, with or without a `%`. HAProxy's 0,
 * for none, is no factor.
 */
export const BalanceFactor: Schema.Codec<number, number | string> = notation(
  NumberOrText,
  Schema.Finite.check(Schema.isBetween({ minimum: 1.01, maximum: 100 })),
  {
    read: (input) => {
      const percent = /^(\d{1,5})\s*%?$/.exec(String(input).trim())?.[1]
      return percent === undefined ? invalid() : Effect.succeed(Number(percent) / 100)
    },
    write: (factor) => Math.round(factor * 100)
  }
)

/** A number from 0.1 to 10, as a number or in digits. */
export const Factor: Schema.Codec<number, number | string> = notation(
  NumberOrText,
  Schema.Finite.check(Schema.isBetween({ minimum: 0.1, maximum: 10 })),
  {
    read: (input) =>
      typeof input === "number" || /^\d{1,3}(?:\.\d{1,6})?$/.test(input) ? Effect.succeed(Number(input)) : invalid(),
    write: identity
  }
)

/** The path of a URL, with or without a query: it goes into a request line as it is. */
export const UrlPath: Schema.Codec<string, string> = Schema.String.check(
  Schema.makeFilter((path: string) => /^\/[!"$-~]*$/.test(path))
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
export const Network: Schema.Codec<IpNetwork.IpNetwork, string> = notation(
  Schema.String,
  Schema.declare(IpNetwork.isIpNetwork),
  { read: (text) => parseNetwork(text.trim()), write: IpNetwork.format }
)
