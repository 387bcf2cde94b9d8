/**
 * Requests that are refused before anybody works on them.
 *
 * Owns why, and what the client is sent: the same words as for any other error.
 */
import * as ErrorResponse from "../../services/ErrorResponse.ts"
import { meaningOf, type Reason } from "../../services/Reason.ts"
import type { Malformed } from "./Grammar.ts"
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
  /** Nothing if it is the head that is refused, or has not come whole. */
  readonly head: RequestLine | undefined
  readonly detail: string | undefined

  constructor(reason: Reason, head?: RequestLine, detail?: string) {
    this.reason = reason
    this.head = head
    this.detail = detail
  }

  /** Of what makes no sense. */
  static of(message: Malformed, head?: RequestLine): Refusal {
    return new Refusal(reasonOf(message), head, message.detail)
  }

  /**
   * The whole response, to be encoded as latin1. Its connection ends with it. A HEAD gets no content
   * (RFC 9110 §9.3.2).
   */
  response(date: string): string {
    const text = ErrorResponse.text(this.reason, this.detail)
    const { status } = meaningOf[this.reason]
    return `HTTP/1.1 ${status} ${ErrorResponse.titleOf(status)}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${text.length}\r\nCache-Control: no-store\r\nDate: ${date}\r\nConnection: close\r\n\r\n` +
      (this.head?.method === "HEAD" ? "" : text)
  }
}
