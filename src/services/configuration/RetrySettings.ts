/**
 * The settings of retries and hedging, as groups of `Configuration`. What they mean is in `RetryPolicy` and `Hedging`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as RetryPolicy from "../RetryPolicy.ts"
import { ErrorStatus, Method, PositiveDuration, Quantile, SomePercent, WholeNumber } from "./Notation.ts"
import { bytes, count, duration, durationExpected, entry, optional, percent, unset } from "./Setting.ts"

/** When a request is tried again. */
export const retry = Schema.Struct({
  tries: count(2, "How many backends may get to see a request. Tries in which nothing was sent do not count."),
  on: entry(Schema.Array(Schema.Literals(RetryPolicy.reasons)), {
    default: [...RetryPolicy.reasons],
    description: "A failure after which another backend is tried, if the request was not sent or can be repeated.",
    title: "reason",
    expected: `one of ${RetryPolicy.reasons.join(", ")}`
  }),
  statuses: entry(Schema.Array(ErrorStatus), {
    default: [...RetryPolicy.defaultPolicy.statuses],
    description: "A backend's status after which another backend is tried, if the request can be repeated.",
    title: "status",
    expected: "a status from 400 to 599"
  }),
  methods: entry(Schema.Array(Method), {
    default: [...RetryPolicy.defaultPolicy.methods],
    description: "A method whose requests can be repeated.",
    title: "method",
    expected: "a method such as GET"
  }),
  bodyLimit: bytes("64KiB", "The longest body that is kept so that it can be sent again."),
  backoff: duration("25ms", "The longest wait before the first retry; the next ones may wait twice as long each."),
  maxWait: unset("what timeout.exchange allows, or 2s without it", PositiveDuration, {
    description: "The longest Retry-After that is waited for, where there is no other backend.",
    ...durationExpected
  }),
  budget: percent("20%", "How many retries there may be for the requests of the last 10 s."),
  minPerSecond: entry(WholeNumber, {
    default: 3,
    description: "How many retries a second there may be besides.",
    title: "count",
    expected: "a whole number of 0 or more"
  })
}).pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))

/** When a request is sent to a second backend although the first may still answer. */
export const hedge = Schema.Struct({
  after: optional(Quantile, {
    description: "Asks a second backend when a request takes longer than this share of the others, such as 95%.",
    title: "percent",
    expected: "a share above 0% and below 100%, such as 95%"
  }),
  budget: entry(SomePercent, {
    default: "2%",
    description: "How many of the requests of the last 10 s may be sent to a second backend for that.",
    title: "percent",
    expected: "a share above 0%, such as 2%, or no hedge.after where nothing is to be hedged"
  })
}).pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
