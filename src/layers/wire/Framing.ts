/**
 * How long a body is: the one decision that a peer must never read differently (RFC 9112 §6).
 *
 * Owns the decision for requests and for responses, from the field lines alone. It is made once, on receipt; whoever
 * sends the message on writes the framing anew.
 */
import { type FieldLines, isNamed, withoutBlanks } from "../../services/Fields.ts"
import { Malformed } from "./Grammar.ts"

/** `length` counts bytes, `close` means until the connection ends. */
export type Framing =
  | { readonly _tag: "None" }
  | { readonly _tag: "Length"; readonly length: number }
  | { readonly _tag: "Chunked" }
  | { readonly _tag: "Close" }

const none: Framing = { _tag: "None" }
/** In chunks. */
export const chunked: Framing = { _tag: "Chunked" }
const untilClose: Framing = { _tag: "Close" }

/**
 * A decimal number and nothing else: no sign, no list, no white space. A list of equal values may be repaired (RFC 9112
 * §6.3), but need not, and several Content-Length fields are how smuggling begins. -1 for anything else.
 */
export const parseLength = (value: string): number => {
  if (value.length === 0 || value.length > 15) return -1
  let length = 0
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) return -1
    length = 10 * length + digit
  }
  return length
}

/**
 * Chunked comes last and once (RFC 9112 §6.1), or the end of the message is anybody's guess (§6.3). Other codings
 * are not understood here.
 */
const checkCoding = (coding: string): Malformed | undefined => {
  if (coding.toLowerCase() === "chunked") return undefined
  const codings = coding.toLowerCase().split(",").map(withoutBlanks)
  return codings.indexOf("chunked") === codings.length - 1
    ? new Malformed(501, "the only transfer coding that is understood is chunked")
    : new Malformed(400, "chunked is not the last transfer coding")
}

/**
 * The framing that the fields say, or `undefined` if they say nothing. Content-Length with Transfer-Encoding is
 * refused, as is a Transfer-Encoding in an HTTP/1.0 message (RFC 9112 §6.1): both are how a message is smuggled past
 * somebody who reads only one of them, or none.
 */
const framingOf = (fields: FieldLines, version: 0 | 1): Framing | Malformed | undefined => {
  let length = -1
  let coding: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    if (isNamed(name, "content-length")) {
      if (length !== -1) return new Malformed(400, "there are several Content-Length fields")
      length = parseLength(fields[i + 1]!)
      if (length === -1) return new Malformed(400, "Content-Length is not valid")
    } else if (isNamed(name, "transfer-encoding")) {
      coding = coding === undefined ? fields[i + 1]! : `${coding}, ${fields[i + 1]}`
    }
  }
  if (coding === undefined) return length === -1 ? undefined : length === 0 ? none : { _tag: "Length", length }
  if (length !== -1) return new Malformed(400, "there are both Content-Length and Transfer-Encoding")
  if (version === 0) return new Malformed(400, "an HTTP/1.0 message has a Transfer-Encoding")
  return checkCoding(coding) ?? chunked
}

/** The framing of a request. Without any field that says otherwise there is no body (RFC 9112 §6.3, 7). */
export const ofRequest = (fields: FieldLines, version: 0 | 1): Framing | Malformed => framingOf(fields, version) ?? none

/** Whether a response to this method with this status has no body whatever its fields say (RFC 9112 §6.3, 1 and 2). */
export const omitsBody = (method: string, status: number): boolean =>
  method === "HEAD" || status < 200 || status === 204 || status === 304 || (method === "CONNECT" && status < 300)

/**
 * Whether a response that must not announce a body does so all the same (RFC 9112 §6.1, RFC 9110 §8.6). Its sender may
 * send one, which would be taken for the next answer. What is said of a HEAD or a 304 is about another response.
 */
export const announcesForbidden = (status: number, fields: FieldLines): boolean => {
  if (status !== 204) return false
  const framing = framingOf(fields, 1)
  return framing !== undefined && framing !== none
}

/**
 * The framing of a response to a request with this method. Fields that make no sense are refused also where there is no
 * body: they are forwarded, and the next one may not know that there is none.
 */
export const ofResponse = (method: string, status: number, fields: FieldLines, version: 0 | 1): Framing | Malformed => {
  const framing = framingOf(fields, version)
  if (framing instanceof Malformed) return framing
  return omitsBody(method, status) ? none : framing ?? untilClose
}
