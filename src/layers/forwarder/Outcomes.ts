/** Which answers and failures say of a backend that it could not do its work, and which are not of its making. */
import type { Reason } from "../../services/Failure.ts"
import type { Outcome } from "../../services/Load.ts"

/** Statuses with which a backend says that it could not do its work. Any other is an answer. */
export const isGatewayFailure = (status: number | undefined): boolean =>
  status === 502 || status === 503 || status === 504

const blameless: ReadonlySet<Reason> = new Set([
  "client_aborted",
  "draining",
  "bad_request",
  "body_too_large",
  "headers_too_large",
  "request_timeout",
  "overloaded",
  "not_implemented",
  "internal_error"
])

/** Reasons that are not of the backend's making, so that they say nothing about it. */
export const isBlameless = (reason: Reason): boolean => blameless.has(reason)

/**
 * What became of a try that ends with its exchange, by the reason of that for its failure and the status of its answer.
 */
export const outcomeOf = (reason: Reason | undefined, status: number | undefined): Outcome => {
  if (reason !== undefined) return isBlameless(reason) ? "aborted" : "failure"
  return isGatewayFailure(status) ? "failure" : "success"
}
