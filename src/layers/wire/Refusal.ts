/**
 * Requests that are refused before anybody works on them.
 *
 * Owns why, and what the client is sent: the same words as for any other error.
 */
import * as ErrorResponse from "../../services/ErrorResponse.ts"
import { meaningOf, type Reason } from "../../services/Failure.ts"
import { elementsOf, listOf } from "../../services/Fields.ts"
import type { Framing } from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import type { RequestLine } from "./Head.ts"

const reasons = {
  400: "bad_request",
  413: "body_too_large",
  414: "target_too_long",
  431: "headers_too_large",
  501: "not_implemented",
  505: "version_not_supported"
} as const satisfies Record<Malformed["status"], Reason>

/** The word for what is wrong with a message. */
export const reasonOf = ({ status }: Malformed): (typeof reasons)[Malformed["status"]] => reasons[status]

/** Why a request of this framing is refused; `undefined` when it is not. */
export const objectionTo = (
  { fields }: RequestLine,
  framing: Framing | Malformed,
  maxBodyBytes: number
): Reason | undefined => {
  if (framing instanceof Malformed) return reasonOf(framing)
  // RFC 9110 §10.1.1: there is no other expectation.
  const expectations = listOf(fields, "expect")
  if (expectations !== undefined && elementsOf(expectations).some((one) => one !== "100-continue")) {
    return "expectation_failed"
  }
  return framing._tag === "Length" && framing.length > maxBodyBytes ? "body_too_large" : undefined
}

/**
 * The whole response to a request with this method, if that is known, to be encoded as latin1. Its connection ends with
 * it. A HEAD gets no content (RFC 9110 §9.3.2).
 */
export const refusal = (
  reason: Reason,
  detail: string | undefined,
  date: string,
  method: string | undefined
): string => {
  const text = ErrorResponse.text(reason, detail)
  const { status } = meaningOf[reason]
  return `HTTP/1.1 ${status} ${ErrorResponse.titleOf(status)}\r\nContent-Type: text/plain\r\n` +
    `Content-Length: ${text.length}\r\nCache-Control: no-store\r\nDate: ${date}\r\nConnection: close\r\n\r\n` +
    (method === "HEAD" ? "" : text)
}
