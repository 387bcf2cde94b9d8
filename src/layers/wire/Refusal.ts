/** What a client is sent when what it sent never became a request: the same words as for any other error. */
import * as ErrorResponse from "../../services/ErrorResponse.ts"
import { meaningOf, type Reason } from "../../services/Failure.ts"

/** The whole response, to be encoded as latin1. Its connection ends with it. */
export const refusal = (reason: Reason, detail: string | undefined, date: string): string => {
  const text = ErrorResponse.text(reason, detail)
  const { status } = meaningOf[reason]
  return `HTTP/1.1 ${status} ${ErrorResponse.titleOf(status)}\r\nContent-Type: text/plain\r\n` +
    `Content-Length: ${text.length}\r\nCache-Control: no-store\r\nDate: ${date}\r\nConnection: close\r\n\r\n${text}`
}
