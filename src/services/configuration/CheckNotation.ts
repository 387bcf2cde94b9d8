/**
 * How the settings of health checks are written: statuses, header fields, hosts, ports.
 *
 * Owns the codecs between those notations and values, as `Notation` does for all other settings. Which settings there are
 * is in `HealthSettings`.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { StatusRange } from "../Probe.ts"
import { isAuthority } from "../Target.ts"
import { invalid, notation, NumberOrText } from "./Codec.ts"
import * as Notation from "./Notation.ts"

const parseRange = (text: string): StatusRange | undefined => {
  const match = /^([2-5]\d\d)(?:-([2-5]\d\d))?$/.exec(text.trim())
  if (match === null) return undefined
  const first = Number(match[1])
  const last = Number(match[2] ?? first)
  return first <= last ? { first, last } : undefined
}

/** Statuses of final responses, from 200 to 599: `200`, `200-399`, `200-299,401`. */
export const Statuses: Schema.Codec<ReadonlyArray<StatusRange>, number | string> = notation(
  NumberOrText,
  Schema.Array(Schema.Struct({ first: Schema.Finite, last: Schema.Finite })),
  {
    read: (input) => {
      const ranges = String(input).split(",").map(parseRange)
      const known = ranges.filter((range) => range !== undefined)
      return known.length === ranges.length ? Effect.succeed(known) : invalid()
    },
    write: (ranges) => ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join()
  }
)

/** A header field that is added to a check. */
export interface Field {
  readonly name: string
  readonly value: string
}

/** Fields that follow from the request and its connection. */
const framing = new Set(["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"])

/** `Name: value`, as on the wire. */
export const HeaderField: Schema.Codec<Field, string> = notation(
  Schema.String,
  Schema.Struct({ name: Schema.String, value: Schema.String }),
  {
    read: (text) => {
      const match = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([ -~\t]*?)[ \t]*$/.exec(text.trim())
      if (match === null) return invalid()
      const [, name = "", value = ""] = match
      if (name.toLowerCase() === "host") return invalid({ message: "expected no Host: health.host says what it is" })
      return framing.has(name.toLowerCase())
        ? invalid({ message: `expected no ${name}: it follows from the check` })
        : Effect.succeed({ name, value })
    },
    write: ({ name, value }) => `${name}: ${value}`
  }
)

/** What a `Host` field may say: `example.com`, `example.com:8080`. */
export const Authority: Schema.Codec<string, string> = Schema.String.check(
  Schema.makeFilter((text: string) => isAuthority(text))
)

/** A host name or an address. IPv6 may be written with or without brackets, and always gets them. */
export const HostName: Schema.Codec<string, string> = notation(Schema.String, Schema.String, {
  read: (text) => {
    const bare = text.trim().replace(/^\[(.+)\]$/, "$1")
    if (Result.isSuccess(NetAddress.ipv6FromString(bare))) return Effect.succeed(`[${bare}]`)
    // A URL takes whatever ends in a number for an IPv4 address.
    return bare === text.trim() && /^[a-z0-9._-]+$/i.test(bare) && URL.canParse(`http://${bare}`)
      ? Effect.succeed(bare)
      : invalid()
  },
  write: identity
})

/** A port that can be connected to: 1 to 65,535, as a number or in digits. */
export const Port = Notation.number({ minimum: 1, maximum: 65_535 })
