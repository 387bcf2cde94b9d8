/** What a `Connection` field says about its connection and about the fields that it names (RFC 9110 §7.6.1). */
import { elementsOf, type FieldLines, listOf, valueOf } from "../../services/Fields.ts"
import { connectionOptions } from "../../services/HeaderFields.ts"
import * as Framing from "./Framing.ts"
import type { RequestLine, StatusLine, Version } from "./Head.ts"

/** The options in the `Connection` fields of a head; `undefined` when there are none, which is the usual case. */
export type Options = ReturnType<typeof connectionOptions>

/**
 * Whether the sender of a head will use its connection again (RFC 9112 §9.3). HTTP/1.0 closes unless it says otherwise.
 */
const isPersistent = (options: Options, version: Version): boolean =>
  options === undefined ? version === 1 : !options.has("close") && (version === 1 || options.has("keep-alive"))

/** Whether a request is the last one of its connection. What follows a CONNECT may not be HTTP (RFC 9110 §9.3.6). */
export const isLastRequest = (
  options: Options,
  { method, version }: Pick<RequestLine, "method" | "version">
): boolean => method === "CONNECT" || !isPersistent(options, version)

/**
 * Whether a response with this framing is the last one of its connection: it ends with it, says so, or announces a body
 * where there must be none.
 */
export const endsConnection = ({ fields, status, version }: StatusLine, framing: Framing.Framing): boolean =>
  framing._tag === "Close" || !isPersistent(connectionOptions(fields), version) ||
  Framing.announcesForbidden(status, fields)

/**
 * The protocol that a head asks to go on with, or says that it goes on with (RFC 9110 §7.8). HTTP/2 is not one of them:
 * this way to it is obsolete (RFC 9113 §3.1), and requests were smuggled through it.
 */
export const upgradeOf = (options: Options, fields: FieldLines, version: Version): string | undefined => {
  if (version === 0 || options === undefined || !options.has("upgrade")) return undefined
  const upgrade = listOf(fields, "upgrade")
  return upgrade === undefined || upgrade === "" || /\bh2c?\b/i.test(upgrade) ? undefined : upgrade
}

/**
 * Whether the protocols of a 101 are among those that were asked for. Any other is a mistake or an
 * attack (RFC 9110 §7.8).
 */
export const isAmong = (fields: FieldLines, asked: string): boolean => {
  const all = elementsOf(asked)
  const chosen = elementsOf(listOf(fields, "upgrade") ?? "")
  return chosen.length > 0 && chosen.every((protocol) => all.includes(protocol))
}

/** Whether `TE` says that trailers are understood (RFC 9110 §10.1.4), and that it is meant for this connection. */
export const acceptsTrailers = (options: Options, fields: FieldLines): boolean =>
  options !== undefined && options.has("te") &&
  /(?:^|,)[ \t]*trailers[ \t]*(?:$|,|;)/i.test(listOf(fields, "te") ?? "")

/** Whether the client waits for a 100 (Continue) before it sends a body (RFC 9110 §10.1.1). */
export const expectsContinue = ({ fields, version }: RequestLine): boolean =>
  version === 1 && elementsOf(listOf(fields, "expect") ?? "").length > 0

/**
 * Milliseconds less than a server's `Keep-Alive` announces, so that we close first and lose no request;
 * infinite if it says nothing.
 */
export const announcedKeepAlive = (fields: FieldLines): number => {
  const announced = valueOf(fields, "keep-alive")
  const seconds = announced === undefined ? undefined : /(?:^|[,\s])timeout=(\d{1,6})/i.exec(announced)?.[1]
  return seconds === undefined ? Infinity : Math.max(0, Number(seconds) - 1) * 1000
}
