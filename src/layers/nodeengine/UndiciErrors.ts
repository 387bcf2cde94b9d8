/**
 * What undici's errors mean, in the words of `Reason`.
 *
 * Owns the reading of error codes, names and messages, which are all that undici says. It knows no
 * message and no connection.
 */
import { TransportFailure } from "../../services/Failure.ts"
import * as SystemErrors from "../../services/SystemErrors.ts"

const noHttp = "The answer is not valid HTTP"

const causes: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: "Connection timed out",
  UND_ERR_HEADERS_TIMEOUT: "No answer in time",
  UND_ERR_BODY_TIMEOUT: "The body stopped",
  UND_ERR_SOCKET: "Connection closed",
  UND_ERR_HEADERS_OVERFLOW: "The head of the answer is too large",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "The length of the answer is not clear",
  ERR_ASSERTION: noHttp
}

/**
 * Codes of answers that are not valid HTTP. An assertion of undici fails when a 101 comes that no request asked for.
 */
const nonsense = new Set(["HPE", "UND_ERR_HEADERS_OVERFLOW", "UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "ERR_ASSERTION"])

/**
 * The code of an error of undici or Node. Parser errors have none, and an unasked 100 or 101 has that
 * of a closed connection.
 */
const codeOf = (cause: Error): string => {
  if (cause.name === "HTTPParserError" || cause.message === "bad response" || cause.message === "bad upgrade") {
    return "HPE"
  }
  return "code" in cause && typeof cause.code === "string" ? cause.code : ""
}

const reasonOf = (code: string, started: boolean): TransportFailure["reason"] => {
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") return "bad_request"
  if (SystemErrors.ownLimits.has(code)) return "overloaded"
  if (!started) return code === "UND_ERR_CONNECT_TIMEOUT" || code === "ETIMEDOUT" ? "connect_timeout" : "connect_failed"
  if (code === "UND_ERR_HEADERS_TIMEOUT") return "headers_timeout"
  return nonsense.has(code) ? "protocol_error" : "reset_before_headers"
}

/** The failure behind an error of undici. `started` says whether the request had begun to be sent. */
export const failureOf = (cause: unknown, started: boolean): TransportFailure => {
  if (cause instanceof TransportFailure) return cause
  const error = cause instanceof Error ? cause : new Error(String(cause))
  const code = codeOf(error)
  const said = SystemErrors.explain(error)
  const message = causes[code] ?? (code === "HPE" ? `${noHttp}: ${said}` : said || "Connection failed")
  return TransportFailure.make({ reason: reasonOf(code, started), message })
}
