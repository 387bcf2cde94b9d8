/**
 * When a request is tried again: pure rules over what has happened so far.
 *
 * Owns the verdict after a failed try and the waits between tries. Which endpoint comes next is chosen by `Balancer`,
 * how many tries all requests together may cost is limited by `RetryBudget`, and doing it is the work of
 * `layers/Forwarder`. All times are milliseconds.
 */
import * as Struct from "effect/Struct"
import { gatewayErrors, idempotentMethods, meaningOf, type Reason as Word, reasons as words } from "./Reason.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as Validate from "./Validate.ts"

/** Failures after which another try can do no harm, if the request can be repeated or was not sent at all. */
export type Reason = {
  [K in Word]: (typeof words)[K]["tryAnother"] extends "never" ? never : K
}[Word]

/** The words of `Reason`, in the order of the vocabulary. */
export const reasons: ReadonlyArray<Reason> = Struct.keys(words).filter(
  (word): word is Reason => words[word].tryAnother !== "never"
)

/** Which requests are tried again, and how often. */
export interface Policy {
  /** How many backends may get to see a request. Tries in which nothing was sent do not count: see `maxUnsent`. */
  readonly tries: number
  /** After which failures. */
  readonly reasons: ReadonlySet<Word>
  /** After which statuses of a backend, if the request can be repeated. */
  readonly statuses: ReadonlySet<number>
  /** Methods of requests that can be repeated although nobody knows what became of them (RFC 9110 §9.2.2). */
  readonly methods: ReadonlySet<string>
  /** How many bytes of a body are kept for another try. A longer one can be sent once only. */
  readonly bodyLimit: number
  /** What the first wait is at the most; the next ones may be twice as long each, up to ten times this. */
  readonly backoff: number
  /**
   * The longest `Retry-After` that is waited for; undefined is what fits the exchange's deadline, or `defaultMaxWait`.
   */
  readonly maxWait: number | undefined
  readonly budget: RetryBudget.Policy
}

/** The longest `Retry-After` that is waited for where an exchange has no deadline. */
export const defaultMaxWait = 2_000

/** One more try, after any failure and gateway error, for whatever can be repeated. */
export const defaultPolicy: Policy = {
  tries: 2,
  reasons: new Set(reasons),
  statuses: gatewayErrors,
  methods: idempotentMethods,
  bodyLimit: 64 * 1024,
  backoff: 25,
  maxWait: undefined,
  budget: RetryBudget.defaultPolicy
}

/** The same policy if it is valid; throws otherwise, because nothing is ever less than `NaN`. */
export const checked = (policy: Policy): Policy => {
  const { backoff, bodyLimit, budget, maxWait, tries } = policy
  Validate.number("retry.tries", tries, Validate.count)
  Validate.number("retry.bodyLimit", bodyLimit, Validate.wholeNumber)
  Validate.number("retry.backoff", backoff, Validate.amount)
  Validate.number("retry.maxWait", maxWait, Validate.amount)
  Validate.number("retry.budget.ratio", budget.ratio, Validate.amount)
  Validate.number("retry.budget.perSecond", budget.perSecond, Validate.amount)
  return policy
}

/**
 * A request that nobody has seen may go to every endpoint, because each of these tries is the first as far as
 * backends can tell. These two are for pools of which much is dead: this many tries and this much time, and
 * then the client is told.
 */
export const maxUnsent = 32
export const unsentPatience = 10_000

/** What an exchange has come to. */
export interface History {
  /** Tries that were answered, or have failed after the request, or a part of it, may have reached a backend. */
  readonly reached: number
  /** Tries that have begun. */
  readonly attempt: number
  /** How long the tries took in which nothing was sent, and the waits for room after them. */
  readonly unsentMs: number
  /** Whether its method is one of the policy's. */
  readonly isIdempotent: boolean
  /** Whether its body can be sent, once more or for the first time. */
  readonly isWhole: boolean
}

/**
 * `free`: at once, and whatever the budget says, because no backend has seen the request. `budgeted`: if the budget
 * allows it, and after a back-off. `no`: the client gets what there is.
 */
export type Verdict = "free" | "budgeted" | "no"

const mayRepeat = (policy: Policy, { isIdempotent, isWhole, reached }: History): boolean =>
  reached < policy.tries && isIdempotent && isWhole

/** Whether the request goes to another endpoint after this failure. */
export const afterFailure = (policy: Policy, reason: Word, history: History): Verdict => {
  if (!policy.reasons.has(reason) || !history.isWhole) return "no"
  const { tryAnother } = meaningOf[reason]
  if (tryAnother === "always") {
    return history.attempt < maxUnsent && history.unsentMs < unsentPatience ? "free" : "no"
  }
  return tryAnother === "repeatable" && mayRepeat(policy, history) ? "budgeted" : "no"
}

/** Whether the request goes to another endpoint after an answer with this status. */
export const afterStatus = (policy: Policy, status: number, history: History): Verdict =>
  policy.statuses.has(status) && mayRepeat(policy, history) ? "budgeted" : "no"

/**
 * How long to wait before the try that follows this many others: anything up to a bound that doubles (full jitter),
 * so that the requests that a dying backend has dropped do not arrive at its neighbours at the same instant.
 * `random` is from 0 to 1.
 */
export const backoff = ({ backoff }: Policy, reached: number, random: number): number =>
  random * Math.min(backoff * 2 ** (reached - 1), backoff * 10)

/** RFC 9110 §5.6.7: a date in one of three forms, the last of which does not say that it is in GMT. */
const dateOf = (text: string): number => {
  // V8 finds a date in nearly any text with a number.
  if (!/^[A-Z][a-z]{2,8},? [\w -]+ \d\d:\d\d:\d\d (GMT|\d{4})$/.test(text)) return NaN
  return Date.parse(text.endsWith("GMT") ? text : `${text} GMT`)
}

/** How long a `Retry-After` asks to wait (RFC 9110 §10.2.3): seconds, or a date. `undefined` for anything else. */
export const retryAfter = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000
  const date = dateOf(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
