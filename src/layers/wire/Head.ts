/**
 * Heads: the start line and the field lines of a message (RFC 9112 §2-5), from text and to text.
 *
 * Owns the grammar of a head and its limits. Where a head ends in a stream of bytes is `HeadReader`'s business, and
 * what its fields mean for the body is `Framing`'s.
 */
import { type FieldLines, isBlank, isNamed } from "../../services/Fields.ts"
import * as Target from "../../services/Target.ts"
import * as Validate from "../../services/Validate.ts"
import { bareLineEndFirst, isFieldValue, isTarget, isToken, Malformed } from "./Grammar.ts"

/** HTTP/1.0 or HTTP/1.1. There is no later 1.x, and what claims to speak one is refused as Node refuses it. */
export type Version = 0 | 1

/** The head of a request as it was on the wire. */
export interface RequestLine {
  readonly method: string
  readonly target: string
  readonly version: Version
  readonly fields: FieldLines
}

/** The head of a response as it was on the wire. */
export interface StatusLine {
  readonly status: number
  readonly statusText: string
  readonly version: Version
  readonly fields: FieldLines
}

/** How long the parts of a head may be. */
export interface Limits {
  /** Bytes of the whole head, the empty line at its end included. */
  readonly headBytes: number
  /** Field lines. */
  readonly fields: number
  /** Bytes of a request target. */
  readonly targetBytes: number
}

/** 16 KiB and 100 fields as HAProxy has it (101), and 8 KiB for a target as nginx has it. */
export const defaultLimits: Limits = { headBytes: 16 * 1024, fields: 100, targetBytes: 8 * 1024 }

/** Throws if limits that are given make no sense: a buffer of `NaN` bytes would end the process at a request. */
export const validate = (limits: Limits | undefined): void => {
  Validate.number("headLimits.headBytes", limits?.headBytes, Validate.count)
  Validate.number("headLimits.fields", limits?.fields, Validate.count)
  Validate.number("headLimits.targetBytes", limits?.targetBytes, Validate.count)
}

/** `HTTP/x.y` at `at` in the text, where x and y are one digit each (RFC 9112 §2.3). */
const versionAt = (text: string, at: number): Version | Malformed => {
  if (!text.startsWith("HTTP/", at)) return new Malformed(400, "the start line has no HTTP version")
  const major = text.charCodeAt(at + 5) - 0x30
  const minor = text.charCodeAt(at + 7) - 0x30
  if (!(major >= 0 && major <= 9 && minor >= 0 && minor <= 9) || text.charCodeAt(at + 6) !== 0x2e) {
    return new Malformed(400, "the HTTP version is not valid")
  }
  if (major !== 1 || minor > 1) return new Malformed(505, `HTTP/${major}.${minor} is not spoken here`)
  return minor === 0 ? 0 : 1
}

/**
 * The field lines from `start` to the end of the text, each of which ends with CRLF.
 *
 * Refused as RFC 9112 §5 demands: white space before the colon (§5.1), line folding (§5.2), and any character that a
 * name or a value may not have, bare CR and LF included.
 */
const fieldsFrom = (text: string, start: number, limit: number): Array<string> | Malformed => {
  const fields: Array<string> = []
  let at = start
  while (at < text.length) {
    const end = text.indexOf("\r\n", at)
    const colon = text.indexOf(":", at)
    if (colon === -1 || colon > end) return new Malformed(400, "a field line has no colon")
    if (!isToken(text, at, colon)) {
      return new Malformed(400, isBlank(text.charCodeAt(at)) ? "a field line is folded" : "a field name is not valid")
    }
    let from = colon + 1
    let to = end
    while (from < to && isBlank(text.charCodeAt(from))) from++
    while (to > from && isBlank(text.charCodeAt(to - 1))) to--
    if (!isFieldValue(text, from, to)) return new Malformed(400, "a field value is not valid")
    if (fields.length === 2 * limit) return new Malformed(431, `there are more than ${limit} fields`)
    fields.push(text.slice(at, colon), text.slice(from, to))
    at = end + 2
  }
  return fields
}

/** HTTP/1.1 demands exactly one Host, which may be empty, and earlier versions allow it (RFC 9112 §3.2). */
const hostMistake = (fields: FieldLines, version: Version): string | undefined => {
  let host: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    if (!isNamed(fields[i]!, "host")) continue
    if (host !== undefined) return "there are several Host fields"
    host = fields[i + 1]!
    if (!Target.isHost(host)) return "the Host field is not valid"
  }
  return host === undefined && version === 1 ? "there is no Host field" : undefined
}

const requestFrom = (text: string, limits: Limits): RequestLine | Malformed => {
  const end = text.indexOf("\r\n")
  const afterMethod = text.indexOf(" ")
  // Where the line ends before the first space, this would be a method with a CR in it.
  if (!isToken(text, 0, afterMethod)) return new Malformed(400, "the method is not valid")
  const afterTarget = text.indexOf(" ", afterMethod + 1)
  // Without a second space this is HTTP/0.9 or nothing; both are gone (RFC 9112 §2.3, Appendix C.1).
  const endOfTarget = afterTarget === -1 || afterTarget > end ? end : afterTarget
  if (endOfTarget - afterMethod - 1 > limits.targetBytes) return new Malformed(414, "the request target is too long")
  if (endOfTarget === end) return new Malformed(400, "the start line has no HTTP version")
  if (!isTarget(text, afterMethod + 1, afterTarget)) return new Malformed(400, "the request target is not valid")
  if (end !== afterTarget + 9) return new Malformed(400, "the HTTP version is not valid")
  const version = versionAt(text, afterTarget + 1)
  if (typeof version === "object") return version
  const method = text.slice(0, afterMethod)
  const target = text.slice(afterMethod + 1, afterTarget)
  const fields = fieldsFrom(text, end + 2, limits.fields)
  if (fields instanceof Malformed) return fields
  const mistake = Target.mistakeIn(method, target) ?? hostMistake(fields, version)
  return mistake === undefined ? { method, target, version, fields } : new Malformed(400, mistake)
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

const responseFrom = (text: string, limits: Limits): StatusLine | Malformed => {
  const end = text.indexOf("\r\n")
  const version = versionAt(text, 0)
  if (typeof version === "object") return version
  const digits = isDigit(text.charCodeAt(9)) && isDigit(text.charCodeAt(10)) && isDigit(text.charCodeAt(11))
  const status = digits ? Number(text.slice(9, 12)) : 0
  if (text.charCodeAt(8) !== 0x20 || status < 100) return new Malformed(400, "the status is not valid")
  // The space before an empty reason phrase is required (RFC 9112 §4), and so often missing that nginx
  // and HAProxy do without.
  if (end !== 12 && text.charCodeAt(12) !== 0x20) return new Malformed(400, "the status is not valid")
  if (!isFieldValue(text, 13, end)) return new Malformed(400, "the reason phrase is not valid")
  const fields = fieldsFrom(text, end + 2, limits.fields)
  if (fields instanceof Malformed) return fields
  return { status, statusText: text.slice(13, end), version, fields }
}

/** A request's head, from the text that a reader has found. */
export const parseRequest = (text: string, limits: Limits): RequestLine | Malformed =>
  bareLineEndFirst(text, requestFrom(text, limits))

/** A response's head, from the text that a reader has found. */
export const parseResponse = (text: string, limits: Limits): StatusLine | Malformed =>
  bareLineEndFirst(text, responseFrom(text, limits))

/** Fields that would decide about the message if somebody merged them into its head (RFC 9110 §6.5.1). */
const notTrailers = new Set(["content-length", "transfer-encoding", "host"])

const trailersFrom = (text: string, limit: number): FieldLines | Malformed => {
  const fields = fieldsFrom(text, 0, limit)
  if (fields instanceof Malformed) return fields
  for (let i = 0; i < fields.length; i += 2) {
    if (notTrailers.has(fields[i]!.toLowerCase())) return new Malformed(400, "a field may not be a trailer")
  }
  return fields
}

/** The field lines of a trailer section (RFC 9112 §7.1.2), of which there may be `limit`. */
export const parseTrailers = (text: string, limit: number): FieldLines | Malformed =>
  bareLineEndFirst(text, trailersFrom(text, limit))

/**
 * Whether field lines that a program has made may be sent. What a peer has sent was checked on receipt; from
 * anybody else a line break in a value would be another field, and so would U+0A0D, which is a line break
 * when it is cut to latin1.
 */
export const areSendable = (fields: FieldLines): boolean => {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    if (!isToken(name, 0, name.length) || !isFieldValue(value, 0, value.length)) return false
  }
  return true
}

const fieldText = (fields: FieldLines): string => {
  let text = ""
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`
  return text
}

/** The text of field lines with the empty line at their end, to be encoded as latin1: a trailer section. */
export const formatFields = (fields: FieldLines): string => `${fieldText(fields)}\r\n`

/**
 * The text of a request's head, to be encoded as latin1. Always HTTP/1.1: a version is about one connection. `more` is
 * the text of further field lines.
 */
export const formatRequest = (method: string, target: string, fields: FieldLines, more = ""): string =>
  `${method} ${target} HTTP/1.1\r\n${fieldText(fields)}${more}\r\n`

/** The text of a response's head, to be encoded as latin1. `more` is the text of further field lines. */
export const formatResponse = (status: number, statusText: string, fields: FieldLines, more = ""): string =>
  `HTTP/1.1 ${status} ${statusText}\r\n${fieldText(fields)}${more}\r\n`
