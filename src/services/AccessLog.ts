/**
 * The log: what happened, as data, and how each fact reads on a terminal and as JSON.
 *
 * Owns the entries and their two renderings, which are pure. Where lines go, and how many at once, is the business of
 * `layers/AccessLog`. Query strings are never logged: they hold secrets too often.
 */
import * as Context from "effect/Context"
import type { Status } from "./Health.ts"
import type { End } from "./Outcome.ts"
import { meaningOf, type Reason } from "./Reason.ts"

/** Something to tell the operator. */
export interface Notice {
  readonly _tag: "Notice"
  readonly level: "INFO" | "WARN" | "ERROR"
  readonly message: string
}

/** A backend's health has changed, and why. */
export interface HealthChanged {
  readonly _tag: "HealthChanged"
  readonly backend: string
  readonly status: Status
  readonly why: string
}

/** A request was sent to a backend. */
export interface Sent {
  readonly _tag: "Sent"
  readonly method: string
  readonly path: string
  readonly backend: string
}

/** A try that another one had to make up for. */
export interface FailedTry {
  readonly backend: string
  /** Why: a word of the vocabulary, or the status with which the backend said that it could not. */
  readonly reason: End
}

/** An exchange has ended: the last byte of the response is out, or there will be none. */
export interface Completed {
  readonly _tag: "Completed"
  readonly method: string
  readonly path: string
  /** The backend whose try came to this end, if there was any try. */
  readonly backend: string | undefined
  /** The address of the client. */
  readonly client: string | undefined
  /** The status that was sent; 499 if the client left before there was one. */
  readonly status: number
  /** Milliseconds from the request's head to the end of the response. */
  readonly durationMs: number
  readonly tries: number
  /**
   * The other tries that failed, in the order in which they did. One that was given up for a faster one is not here.
   */
  readonly failed?: ReadonlyArray<FailedTry> | undefined
  /** Why it failed, if it did. */
  readonly reason: Reason | undefined
  /** Whether there was no other try only because there had been too many for other requests. */
  readonly isOverBudget?: boolean | undefined
}

/**
 * What is said of a request that was refused before it was one. Where not even its head could be relied on, there is
 * none.
 */
export const refused = (
  reason: Reason,
  client: string | undefined,
  head: { readonly method: string; readonly target: string } | undefined,
  durationMs: number
): Completed => ({
  _tag: "Completed",
  method: head?.method ?? "-",
  path: head === undefined ? "-" : loggedPath(head.target),
  backend: undefined,
  client,
  status: meaningOf[reason].status,
  durationMs,
  tries: 0,
  reason
})

export type Entry = Notice | HealthChanged | Sent | Completed

/** Where everything reports to. `write` never waits and never fails: a slow terminal must not slow down traffic. */
export class AccessLog extends Context.Service<AccessLog, {
  readonly write: (entry: Entry) => void
}>()("evenkeel/services/AccessLog") {}

/** The same log, but what it throws, although it must not, is reported and ends nothing. */
export const guarded = (
  { write }: AccessLog["Service"],
  report: (defect: unknown) => void
): AccessLog["Service"] => ({
  write: (entry) => {
    try {
      write(entry)
    } catch (defect) {
      report(defect)
    }
  }
})

/** A request target for the log: without query, fragment and credentials, which may be secrets. */
export const loggedPath = (target: string): string => {
  const end = target.search(/[?#]/)
  const path = end === -1 ? target : target.slice(0, end)
  return path.startsWith("/") ? path : path.replace(/^([a-z]+:\/\/)[^/]*@/i, "$1")
}

/** What could move the cursor or change the colours of a terminal, or break a line. */
// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

const hex = (char: string, digits: number): string => char.charCodeAt(0).toString(16).padStart(digits, "0")

const printable = (text: string): string =>
  text.replace(unprintable, (char) => (char > "\u00ff" ? `\\u${hex(char, 4)}` : `\\x${hex(char, 2)}`))

/** Text that JSON says as it is, which is nearly all that is logged. */
const plain = /^[ !#-[\]-~]*$/

/** A string in JSON. It leaves some of what is unprintable as it is, but may say it otherwise. */
const quoted = (text: string): string =>
  plain.test(text) ? `"${text}"` : JSON.stringify(text).replace(unprintable, (char) => `\\u${hex(char, 4)}`)

/** A member that there may not be, after others. */
const member = (name: string, value: string | undefined): string =>
  value === undefined ? "" : `,"${name}":${quoted(value)}`

let lastTime = { at: NaN, text: "" }

/** Many lines are written within a millisecond. */
const timeText = (at: number): string => {
  if (at !== lastTime.at) lastTime = { at, text: new Date(at).toISOString() }
  return lastTime.text
}

const healthWord = (status: Status): string => {
  switch (status) {
    case "Up":
      return "HEALTHY"
    case "Down":
      return "UNHEALTHY"
    default:
      return status.toUpperCase()
  }
}

const words = (entry: Entry): string => {
  switch (entry._tag) {
    case "Notice":
      return `${entry.level}: ${entry.message}`
    case "HealthChanged":
      return `HEALTH: ${healthWord(entry.status)} ${entry.backend} - ${entry.why}`
    case "Sent":
      return `REQUEST: ${entry.method} ${entry.path} -> ${entry.backend}`
    case "Completed": {
      const failed = entry.failed?.map(({ backend, reason }) => `${backend} ${reason}`).join(", ")
      const count = entry.tries === 1 ? "1 try" : `${entry.tries} tries`
      const isCounted = entry.tries > 1 || failed !== undefined
      const tries = isCounted ? `, ${count}${failed === undefined ? "" : ` (${failed})`}` : ""
      const why = entry.reason === undefined ? "" : ` ${entry.reason}`
      const budget = entry.isOverBudget === true ? ", retry budget used up" : ""
      return `RESPONSE: ${entry.method} ${entry.path} <- ${entry.backend ?? "no backend"} [${entry.status}] ` +
        `${Math.round(entry.durationMs)}ms${why}${tries}${budget}`
    }
  }
}

/** One line for a person, without a line break. */
export const pretty = (entry: Entry): string => printable(words(entry))

const begin = (at: number, level: string, message: string): string =>
  `{"timestamp":"${timeText(at)}","level":"${level}","message":${quoted(message)}`

/** A status is a text as well, because stores of logs want one type for each name. */
const failedTry = ({ backend, reason }: FailedTry): string => `{"backend":${quoted(backend)},"reason":"${reason}"}`

const levelOf = ({ reason, status }: Completed): string => {
  if (reason !== undefined) return meaningOf[reason].level
  return status >= 500 ? "WARN" : "INFO"
}

/**
 * One line of JSON for a machine, without a line break. An exchange is one line, at its end, which holds what a
 * terminal is told in two: with `Sent` there would be twice as much to write, to ship and to store. Names are those of
 * OpenTelemetry's semantic conventions where it has one, and begin with `lb.` where it has none. `at` is in
 * milliseconds since the epoch. Written by hand, because `JSON.stringify` takes three times as long.
 */
export const json = (entry: Exclude<Entry, Sent>, at: number): string => {
  switch (entry._tag) {
    case "Notice":
      return `${begin(at, entry.level, entry.message)}}`
    case "HealthChanged":
      return begin(at, entry.status === "Up" ? "INFO" : "WARN", "health") +
        `${member("lb.backend", entry.backend)},"lb.status":"${entry.status}"${member("lb.why", entry.why)}}`
    case "Completed":
      return begin(at, levelOf(entry), "response") + member("http.request.method", entry.method) +
        `${member("url.path", entry.path)},"http.response.status_code":${entry.status}` +
        `${member("client.address", entry.client)}${member("lb.backend", entry.backend)},"lb.tries":${entry.tries},` +
        (entry.failed === undefined ? "" : `"lb.failed":[${entry.failed.map(failedTry).join(",")}],`) +
        (entry.isOverBudget === true ? `"lb.over_budget":true,` : "") +
        `"lb.duration_ms":${Math.round(entry.durationMs * 10) / 10}${member("lb.reason", entry.reason)}}`
  }
}
