/**
 * Where to listen, and how that is written.
 */
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { invalid, notation, NumberOrText } from "./Codec.ts"

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
export const Listen: Schema.Codec<ListenAddress, number | string> = notation(
  NumberOrText,
  Schema.Struct({ host: Schema.UndefinedOr(Schema.String), port: Schema.Finite }),
  {
    read: (input) => {
      const address = parseListen(String(input).trim())
      return address === undefined ? invalid() : Effect.succeed(address)
    },
    write: formatListen
  }
)
