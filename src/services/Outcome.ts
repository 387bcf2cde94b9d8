/** What became of one try, and which answers and failures say of a backend that it could not do its work. */
import { gatewayErrors, meaningOf, type Reason } from "./Reason.ts"

/**
 * `aborted` says nothing about the backend: the client left, or what it sent was wrong. If the head of a good answer had
 * come before, the try went well as far as anybody can know.
 */
export type Outcome = "success" | "failure" | "aborted"

/** How a try ended: with an answer of this status, or for this reason without one. */
export type End = Reason | number

/** What became of a try that ended so. */
export const outcomeOf = (end: End): Outcome => {
  if (typeof end === "number") return gatewayErrors.has(end) ? "failure" : "success"
  return meaningOf[end].isBackends ? "failure" : "aborted"
}

/** Whether a try that ended so, or that goes on, has sent nothing to its backend. */
export const isUnsent = (end: End | undefined): boolean =>
  typeof end === "string" && meaningOf[end].tryAnother === "always"

/** How it ended in words, for whoever reads why a backend was ejected. */
export const wordOf = (end: End): string => typeof end === "number" ? `answered ${end}` : end
