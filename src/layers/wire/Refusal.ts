/**
 * Requests that are refused before anybody works on them.
 *
 * Owns why, and what the client is sent: the same words as for any other error.
 */
import * as ErrorResponse from "../../services/ErrorResponse.ts"
import { elementsOf, listOf } from "../../services/Fields.ts"
import { meaningOf, type Reason } from "../../services/Reason.ts"
import * as Framing from "./Framing.ts"
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

/** Why a request is refused: a word, and what there is to say besides. */
export class Refusal {
  readonly reason: Reason
  readonly detail: string | undefined

  constructor(reason: Reason, detail?: string) {
    this.reason = reason
    this.detail = detail
  }

  /** Of what makes no sense. */
  static of(message: Malformed): Refusal {
    return new Refusal(reasonOf(message), message.detail)
  }

  /**
   * The whole response to a request with this method, if that is known, to be encoded as latin1. Its connection ends
   * with it. A HEAD gets no content (RFC 9110 §9.3.2).
   */
  response(date: string, method: string | undefined): string {
    const text = ErrorResponse.text(this.reason, this.detail)
    const { status } = meaningOf[this.reason]
    return `HTTP/1.1 ${status} ${ErrorResponse.titleOf(status)}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${text.length}\r\nCache-Control: no-store\r\nDate: ${date}\r\nConnection: close\r\n\r\n` +
      (method === "HEAD" ? "" : text)
  }
}

/** The framing of the body of a request with this head, or why the request is refused. */
export const framingOf = ({ fields, version }: RequestLine, maxBodyBytes: number): Framing.Framing | Refusal => {
  const framing = Framing.ofRequest(fields, version)
  if (framing instanceof Malformed) return Refusal.of(framing)
  // RFC 9110 §10.1.1: there is no other expectation.
  const expectations = listOf(fields, "expect")
  if (expectations !== undefined && elementsOf(expectations).some((one) => one !== "100-continue")) {
    return new Refusal("expectation_failed")
  }
  return framing._tag === "Length" && framing.length > maxBodyBytes ? new Refusal("body_too_large") : framing
}
