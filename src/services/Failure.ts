/**
 * Why an exchange failed: one vocabulary for the log, the error body and the documents.
 *
 * Owns the words and what each means to a client. It is a closed union: a new word does not compile until it has a
 * status, a log level, a rule for trying again and somebody whose fault it is, or nobody. How an engine finds out is its
 * own affair; it says what it found by failing with a `TransportFailure` as the cause of the platform's
 * `HttpClientError`.
 */
import * as Cause from "effect/Cause"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpServerError from "effect/http/HttpServerError"
import * as Schema from "effect/Schema"

/** What a reason means. */
export interface Meaning {
  /** What the client is told. 499, as in nginx's log, is never sent; 0 stands for a response that had begun. */
  readonly status: number
  readonly level: "INFO" | "WARN"
  /**
   * When another backend may be tried: `always` if nothing was sent, `repeatable` if the request can
   * be. See `RetryPolicy`.
   */
  readonly tryAnother: "always" | "repeatable" | "never"
  /** Whether it is the backend's fault: what passive health goes by. Where nothing was sent to one it is nobody's. */
  readonly isBackends: boolean
  /** One sentence for the client and for the documents. */
  readonly meaning: string
}

/** Every reason and what it means. */
export const reasons = {
  no_backend: {
    status: 503,
    level: "WARN",
    tryAnother: "never",
    isBackends: false,
    meaning: "No backend is available."
  },
  overloaded: {
    status: 503,
    level: "WARN",
    tryAnother: "always",
    isBackends: false,
    meaning: "There is no room for another request."
  },
  connect_failed: {
    status: 502,
    level: "WARN",
    tryAnother: "always",
    isBackends: true,
    meaning: "No connection to the backend could be made."
  },
  connect_timeout: {
    status: 504,
    level: "WARN",
    tryAnother: "always",
    isBackends: true,
    meaning: "The backend did not accept a connection in time."
  },
  headers_timeout: {
    status: 504,
    level: "WARN",
    tryAnother: "repeatable",
    isBackends: true,
    meaning: "The backend did not begin to answer in time."
  },
  deadline_exceeded: {
    status: 504,
    level: "WARN",
    tryAnother: "never",
    isBackends: true,
    meaning: "There was no answer within the time that a request may take here."
  },
  reset_before_headers: {
    status: 502,
    level: "WARN",
    tryAnother: "repeatable",
    isBackends: true,
    meaning: "The backend closed the connection without an answer."
  },
  reset_mid_body: {
    status: 0,
    level: "WARN",
    tryAnother: "never",
    isBackends: true,
    meaning: "The backend stopped in the middle of its answer; the client's connection was cut as well."
  },
  protocol_error: {
    status: 502,
    level: "WARN",
    tryAnother: "repeatable",
    isBackends: true,
    meaning: "The backend's answer was not valid HTTP."
  },
  client_aborted: {
    status: 499,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The client left before the end."
  },
  tunnel_idle: {
    status: 0,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "Nothing has moved through the tunnel for the time that it may stand still."
  },
  body_too_large: {
    status: 413,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The request body is too large."
  },
  target_too_long: {
    status: 414,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The request target is too long."
  },
  expectation_failed: {
    status: 417,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The request expects something else than 100-continue."
  },
  request_timeout: {
    status: 408,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The request did not come in time."
  },
  headers_too_large: {
    status: 431,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The request head is too large."
  },
  bad_request: {
    status: 400,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The request is not valid HTTP."
  },
  not_implemented: {
    status: 501,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The request needs a feature that is not supported here."
  },
  version_not_supported: {
    status: 505,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The request is in a version of HTTP that is not spoken here."
  },
  internal_error: {
    status: 500,
    level: "WARN",
    tryAnother: "never",
    isBackends: false,
    meaning: "The load balancer has a bug."
  },
  draining: {
    status: 503,
    level: "INFO",
    tryAnother: "never",
    isBackends: false,
    meaning: "The load balancer is shutting down."
  }
} as const satisfies Record<string, Meaning>

/** One word of the vocabulary. */
export type Reason = keyof typeof reasons

/** The same table with each entry as a `Meaning`. */
export const meaningOf: Readonly<Record<Reason, Meaning>> = reasons

/** Statuses with which a backend says that it could not do its work. Any other is an answer. */
export const gatewayErrors: ReadonlySet<number> = new Set([502, 503, 504])

/** Methods for which doing it twice is as good as once (RFC 9110 §9.2.2). */
export const idempotentMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])

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
 * The failure behind a client error. Of a client layer that says nothing about its cause we must assume the worst: that
 * the backend has the request.
 */
export const fromClientError = (error: HttpClientError): TransportFailure => {
  if (error.reason._tag === "InvalidUrlError") {
    return TransportFailure.make({ reason: "bad_request", message: "the request target makes no URL" })
  }
  const { cause } = error.reason
  if (cause instanceof TransportFailure) return cause
  const reason = isOfConnecting(cause) ? "connect_failed" : "reset_before_headers"
  return TransportFailure.make({ reason, message: error.message })
}

/** The failure of a try, from what its client layer failed with. */
export const behindTry = (error: HttpClientError | TransportFailure): TransportFailure =>
  error instanceof TransportFailure ? error : fromClientError(error)

/** Why a try failed. */
export const reasonOf = (error: HttpClientError | TransportFailure): Reason => behindTry(error).reason

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
