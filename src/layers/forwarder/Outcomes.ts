/** Which answers and failures say of a backend that it could not do its work, and which are not of its making. */
import type { FailedTry } from "../../services/AccessLog.ts"
import * as Failure from "../../services/Failure.ts"
import type { Outcome } from "../../services/Load.ts"

/** What became of a try, by its failure or by the status of its answer. */
export const outcomeOf = (end: FailedTry["reason"]): Outcome => {
  if (typeof end === "number") return Failure.gatewayErrors.has(end) ? "failure" : "success"
  return Failure.meaningOf[end].isBackends ? "failure" : "aborted"
}

/** The same in words, for whoever reads why a backend was ejected. */
export const wordOf = (end: FailedTry["reason"]): string => typeof end === "number" ? `answered ${end}` : end
