/**
 * What a request is for: the forms of its target, and its Host (RFC 9112 §3.2).
 *
 * Owns the check that both are well-formed and name one host at most. Which of them counts, and what a backend is sent, is
 * decided where messages are forwarded.
 */
import { authorityOf, isHost } from "../../services/HeaderFields.ts"
import type { FieldLines } from "../../services/Message.ts"
import { Malformed } from "./Grammar.ts"

/** Of the four forms of RFC 9112 §3.2 the one that fits the method. The characters have been checked before. */
export const checkTarget = (method: string, target: string): Malformed | undefined => {
  if (method === "CONNECT") {
    // §3.2.3: a host and a port, and both are there.
    return isHost(target) && /^[^:].*:\d+$/.test(target)
      ? undefined
      : new Malformed(400, "the target of CONNECT is not a host and a port")
  }
  if (target.startsWith("/")) return undefined
  if (target === "*") {
    return method === "OPTIONS" ? undefined : new Malformed(400, "only OPTIONS may have the target *")
  }
  const authority = authorityOf(target)
  if (authority === undefined) return new Malformed(400, "the request target is neither a path nor a URL")
  // RFC 9110 §4.2.1 and §4.2.4: there must be a host, and there must not be credentials.
  return isHost(authority) && !/^(?::|$)/.test(authority)
    ? undefined
    : new Malformed(400, "the request target has no valid authority")
}

/** HTTP/1.1 demands exactly one Host, which may be empty, and earlier versions allow it. */
export const checkHost = (fields: FieldLines, version: 0 | 1): Malformed | undefined => {
  let host: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    if (name.length !== 4 || name.toLowerCase() !== "host") continue
    if (host !== undefined) return new Malformed(400, "there are several Host fields")
    host = fields[i + 1]!
    if (!isHost(host)) return new Malformed(400, "the Host field is not valid")
  }
  return host === undefined && version === 1 ? new Malformed(400, "there is no Host field") : undefined
}
