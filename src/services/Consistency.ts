/**
 * What settings say together that none of them says alone: limits of time that contradict each other.
 *
 * Owns these checks and their wording. A limit that can never be kept as it stands is a problem, because whoever set it
 * believes that it is; a combination that leaves less room than it seems to is a warning.
 */
import * as Duration from "effect/Duration"
import type { Settings } from "./Configuration.ts"

/** What is wrong with the settings, and what may be. One line each. */
export interface Findings {
  readonly problems: ReadonlyArray<string>
  readonly warnings: ReadonlyArray<string>
}

const millis = Duration.toMillis
const text = Duration.format

const problemsOf = ({ timeout }: Pick<Settings, "timeout">): ReadonlyArray<string> => {
  const { connect, exchange } = timeout
  const problems: Array<string> = []
  if (exchange !== undefined && timeout.try !== undefined && millis(timeout.try) > millis(exchange)) {
    problems.push(
      `timeout.try: ${text(timeout.try)} is longer than timeout.exchange (${
        text(exchange)
      }), which ends every try before`
    )
  }
  const [key, shorter] = timeout.try === undefined
    ? ["timeout.exchange", exchange] as const
    : ["timeout.try", timeout.try]
  if (shorter !== undefined && millis(connect) >= millis(shorter)) {
    problems.push(
      `timeout.connect: ${text(connect)} is not shorter than ${key} (${text(shorter)}), ` +
        "so that nobody would know whether anything was sent; set it to less"
    )
  }
  return problems
}

const warningsOf = ({ retry, timeout }: Pick<Settings, "retry" | "timeout">): ReadonlyArray<string> => {
  const { exchange, response } = timeout
  const { backoff, budget, minPerSecond, tries } = retry
  const warnings: Array<string> = []
  if (tries > 1 && exchange !== undefined && timeout.try === undefined && millis(response) >= millis(exchange)) {
    warnings.push(
      `timeout.exchange (${text(exchange)}) leaves no time to try another backend when one does not answer within ` +
        `timeout.response (${text(response)}); timeout.try would`
    )
  }
  if (tries > 1 && exchange !== undefined && timeout.try !== undefined) {
    let waits = 0
    for (let i = 0; i < tries - 1; i++) waits += millis(backoff) * Math.min(2 ** i, 10)
    if (millis(timeout.try) <= millis(exchange) && tries * millis(timeout.try) + waits > millis(exchange)) {
      warnings.push(
        `timeout.exchange (${text(exchange)}) is shorter than ${tries} tries of timeout.try (${text(timeout.try)}) ` +
          "with the waits between them, so that the last one may be cut short"
      )
    }
  }
  if (tries > 1 && budget === 0 && minPerSecond === 0) {
    warnings.push("retry.budget and retry.minPerSecond are both 0, so that no request is tried again that was sent")
  }
  return warnings
}

/** Checks settings of which each is valid by itself. */
export const check = (settings: Pick<Settings, "retry" | "timeout">): Findings => ({
  problems: problemsOf(settings),
  warnings: warningsOf(settings)
})
