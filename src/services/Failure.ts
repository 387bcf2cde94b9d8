/**
 * From what an engine or an application fails with to a reason of the vocabulary.
 *
 * How an engine finds out is its own affair; it says what it found by failing with a `TransportFailure` as the cause of
 * the platform's `HttpClientError`. What the reasons mean is in `Reason`.
 */
import * as Cause from "effect/Cause"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpServerError from "effect/http/HttpServerError"
import * as Schema from "effect/Schema"
import type { Reason } from "./Reason.ts"

/**
 * What went wrong in an exchange, between the balancer and a backend or between a client and the balancer. `message` is
 * a short cause in words, such as `Connection refused`.
 */
export class TransportFailure extends Schema.TaggedError<TransportFailure>()("TransportFailure", {
  reason: Schema.Literals([
    "connect_failed",
    "connect_timeout",
    "headers_timeout",
    "deadline_exceeded",
    "reset_before_headers",
    "reset_mid_body",
    "protocol_error",
    "client_aborted",
    "tunnel_idle",
    "bad_request",
    "body_too_large",
    "headers_too_large",
    "target_too_long",
    "version_not_supported",
    "request_timeout",
    "not_implemented",
    "overloaded"
  ]),
  message: Schema.String
}) {}

/** Whether Node says, of an error or of what caused it, that it was about making a connection. */
const isOfConnecting = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false
  if (error instanceof AggregateError && error.errors.some(isOfConnecting)) return true
  if ("syscall" in error && (error.syscall === "connect" || error.syscall === "getaddrinfo")) return true
  return isOfConnecting(error.cause)
}

/**
 * The failure behind a client error, or one of our own as it is. Of a client layer that says nothing about its cause we
 * must assume the worst: that the backend has the request.
 */
export const fromClientError = (error: HttpClientError | TransportFailure): TransportFailure => {
  if (error instanceof TransportFailure) return error
  if (error.reason._tag === "InvalidUrlError") {
    return TransportFailure.make({ reason: "bad_request", message: "the request target makes no URL" })
  }
  const { cause } = error.reason
  if (cause instanceof TransportFailure) return cause
  const reason = isOfConnecting(cause) ? "connect_failed" : "reset_before_headers"
  return TransportFailure.make({ reason, message: error.message })
}

/** The transport failure that an error is or was caused by. The platform makes defects of what breaks off a body. */
const behind = (error: unknown): TransportFailure | undefined => {
  if (error instanceof TransportFailure) return error
  const cause = HttpServerError.isHttpServerError(error) ? error.reason.cause : undefined
  return cause instanceof TransportFailure ? cause : undefined
}

/** Why the body of a request did not come: it is the client's mistake, as far as a server or a middleware has read it. */
export const ofBody = (error: unknown): TransportFailure => {
  const isTooLarge = HttpServerError.isHttpServerError(error) && error.reason._tag === "RequestParseError" &&
    error.reason.reason === "BodyTooLarge"
  return behind(error) ?? TransportFailure.make({
    reason: isTooLarge ? "body_too_large" : "bad_request",
    message: error instanceof Error ? error.message : "the body of the request cannot be read"
  })
}

/** Whether an application has failed by itself, and not a server that writes its answer. */
const isOfApplication = (error: unknown): boolean =>
  !HttpServerError.isHttpServerError(error) || error.reason._tag !== "ResponseError"

/** Why an exchange ended before its end, from the cause that its scope was closed with. */
export const fromCause = (cause: Cause.Cause<unknown>): Reason => {
  let isOurs = false
  for (const part of cause.reasons) {
    if (Cause.isInterruptReason(part)) {
      return part.annotations.has(HttpServerError.ClientAbort.key) ? "client_aborted" : "draining"
    }
    const failure = behind(Cause.isFailReason(part) ? part.error : part.defect)
    if (failure !== undefined) return failure.reason
    isOurs ||= Cause.isDieReason(part) || isOfApplication(part.error)
  }
  return isOurs ? "internal_error" : "reset_mid_body"
}
