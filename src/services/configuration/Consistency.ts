/**
 * Time limits that contradict each other, although each is valid by itself.
 *
 * Owns these checks, their wording, and the defaults that follow from other settings. A limit that can never take effect
 * is a problem, because whoever set it believes that it does; a combination that leaves less time than it seems to is a
 * warning. Only settings that were given can contradict each other: a default gives way.
 */
import * as Duration from "effect/Duration"
import type { Settings } from "../Configuration.ts"

/** What is wrong with the settings, and what may be. One line each. */
interface Findings {
  readonly problems: ReadonlyArray<string>
  readonly warnings: ReadonlyArray<string>
}

/**
 * Where a setting was given, as messages call that place: `--timeout-try`, `evenkeel.yaml:3:8: timeout.try`. Nothing
 * for a setting that has its default.
 */
export type Given = (key: string) => string | undefined

const millis = Duration.toMillis
const text = Duration.format

/** A setting in the middle of a sentence, with its value and its place: `timeout.try (3s, --timeout-try)`. */
const mention = (key: string, value: Duration.Duration, given: Given): string => {
  const place = given(key)?.replace(`: ${key}`, "") ?? key
  return `${key} (${text(value)}${place === key ? "" : `, ${place}`})`
}

/** The limit that a connection has to leave time in. */
const outer = ({ timeout }: Settings): readonly [key: string, limit: Duration.Duration] | undefined => {
  if (timeout.try !== undefined) return ["timeout.try", timeout.try]
  return timeout.exchange && ["timeout.exchange", timeout.exchange]
}

/** A connection may take half of the limit that it has to leave time in. */
const settleConnect = (settings: Settings, given: Given): Settings["timeout"] => {
  const [, limit] = outer(settings) ?? []
  const { timeout } = settings
  if (limit === undefined || given("timeout.connect") !== undefined) return timeout
  return { ...timeout, connect: Duration.min(timeout.connect, Duration.millis(Math.ceil(millis(limit) / 2))) }
}

/** An exchange that waits for room has half of its time at least to be sent, or, where it is pinned, to go elsewhere. */
const settleQueue = ({ queue, timeout: { exchange } }: Settings, given: Given): Settings["queue"] =>
  exchange === undefined || given("queue.timeout") !== undefined
    ? queue
    : { ...queue, timeout: Duration.min(queue.timeout, Duration.millis(Math.ceil(millis(exchange) / 2))) }

/** Of the first ejection and the longest one, what was set decides. */
const settleEjection = ({ ejection }: Settings, given: Given): Settings["ejection"] => {
  const { maxTime, time } = ejection
  if (given("ejection.maxTime") === undefined) return { ...ejection, maxTime: Duration.max(time, maxTime) }
  return given("ejection.time") === undefined ? { ...ejection, time: Duration.min(time, maxTime) } : ejection
}

/** The same settings, with defaults changed that contradict what was given. */
export const settle = <S extends Settings>(settings: S, given: Given): S => ({
  ...settings,
  timeout: settleConnect(settings, given),
  queue: settleQueue(settings, given),
  ejection: settleEjection(settings, given)
})

const problemsOf = (settings: Settings, given: Given): ReadonlyArray<string> => {
  const { connect, exchange, try: oneTry } = settings.timeout
  const problems: Array<string> = []
  if (exchange !== undefined && oneTry !== undefined && millis(oneTry) > millis(exchange)) {
    problems.push(
      `${given("timeout.try")}: ${text(oneTry)} is longer than ${mention("timeout.exchange", exchange, given)}, ` +
        "which ends every try before"
    )
  }
  const [key, limit] = outer(settings) ?? []
  const place = given("timeout.connect")
  if (place !== undefined && key !== undefined && limit !== undefined && millis(connect) >= millis(limit)) {
    problems.push(
      `${place}: ${text(connect)} is not shorter than ${mention(key, limit, given)}, ` +
        "so that nobody would know whether anything was sent; set it to less"
    )
  }
  const wait = settings.queue.timeout
  if (given("queue.timeout") !== undefined && exchange !== undefined && millis(wait) > millis(exchange)) {
    problems.push(
      `${given("queue.timeout")}: ${text(wait)} is longer than ${mention("timeout.exchange", exchange, given)}, ` +
        "which ends every wait before"
    )
  }
  const { maxTime, time } = settings.ejection
  if (millis(time) > millis(maxTime)) {
    problems.push(
      `${given("ejection.time")}: ${text(time)} is longer than ${mention("ejection.maxTime", maxTime, given)}, ` +
        "the longest of all ejections"
    )
  }
  return problems
}

const warningsOf = (settings: Settings, given: Given): ReadonlyArray<string> => {
  const { health } = settings
  const { exchange, response, try: oneTry } = settings.timeout
  const { backoff, budget, maxWait, minPerSecond, tries } = settings.retry
  const isGiven = (key: string) => given(key) !== undefined
  const warnings: Array<string> = []
  const [key = "", limit = response] = outer(settings) ?? []
  if (tries > 1 && exchange !== undefined && oneTry === undefined && millis(response) >= millis(exchange)) {
    if (isGiven("timeout.response") || isGiven("retry.tries")) {
      warnings.push(
        mention("timeout.exchange", exchange, given) + " leaves no time to try another backend when one does not " +
          `answer within ${mention("timeout.response", response, given)}; timeout.try would`
      )
    }
  } else if (isGiven("timeout.response") && millis(response) > millis(limit)) {
    warnings.push(
      `${mention("timeout.response", response, given)} is longer than ${mention(key, limit, given)}, ` +
        "which ends every try before"
    )
  }
  if (exchange !== undefined && oneTry !== undefined) {
    let waits = 0
    if (isGiven("retry.backoff")) {
      // Not all of them: there may be more than can be counted.
      for (let i = 0; i < tries - 1 && waits <= millis(exchange); i++) waits += millis(backoff) * Math.min(2 ** i, 10)
    }
    if (millis(oneTry) <= millis(exchange) && tries * millis(oneTry) + waits > millis(exchange)) {
      warnings.push(
        `${mention("timeout.exchange", exchange, given)} is shorter than ${tries} tries of ` +
          `${mention("timeout.try", oneTry, given)}${waits === 0 ? "" : " with the waits between them"}, ` +
          "so that the last one may be cut short"
      )
    }
  }
  if (
    isGiven("retry.maxWait") && exchange !== undefined && maxWait !== undefined && millis(maxWait) > millis(exchange)
  ) {
    warnings.push(
      `${mention("retry.maxWait", maxWait, given)} is longer than ${mention("timeout.exchange", exchange, given)}, ` +
        "which allows no such wait"
    )
  }
  if (isGiven("health.timeout") && health.kind === "http" && millis(health.timeout) > millis(response)) {
    warnings.push(
      `${mention("health.timeout", health.timeout, given)} is longer than ` +
        `${mention("timeout.response", response, given)}, within which checks have to be answered as well`
    )
  }
  if (tries > 1 && budget === 0 && minPerSecond === 0) {
    warnings.push("retry.budget and retry.minPerSecond are both 0, so that no request is tried again that was sent")
  }
  return warnings
}

/** Checks settings of which each is valid by itself. */
export const check = (settings: Settings, given: Given): Findings => ({
  problems: problemsOf(settings, given),
  warnings: warningsOf(settings, given)
})
