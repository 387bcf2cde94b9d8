/**
 * Why an exchange failed: one vocabulary for the log, the error body and the documents.
 *
 * Owns the words and what each means to a client. It is a closed union: a new word does not compile until it has a
 * status, a log level, a rule for trying again and somebody whose fault it is, or nobody.
 */

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

/** Whether it is the client's fault. */
export const isClients = (reason: Reason): boolean => {
  const { status } = meaningOf[reason]
  return status >= 400 && status < 500
}

/** Statuses with which a backend says that it could not do its work. Any other is an answer. */
export const gatewayErrors: ReadonlySet<number> = new Set([502, 503, 504])

/** Methods for which doing it twice is as good as once (RFC 9110 §9.2.2). */
export const idempotentMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
