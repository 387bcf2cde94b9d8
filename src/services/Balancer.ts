/**
 * The balancer: asks the strategy, and keeps the books of what is in flight.
 *
 * Owns the rules that hold for every strategy: an exchange that is pinned goes to its backend, an endpoint that
 * was tried is not picked again for the same exchange, none gets more than its limit, one that has come back
 * gets its share little by little, and each try is counted from its begin to its end. It sends nothing itself
 * and is not bound to HTTP.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as AdaptiveLimit from "./AdaptiveLimit.ts"
import type { Endpoint, Stage } from "./Load.ts"
import type { Outcome } from "./Outcome.ts"
import * as SlowStart from "./SlowStart.ts"
import type { PickContext, Strategy } from "./Strategy.ts"
import * as Validate from "./Validate.ts"

/** Nobody is eligible: all are down, drained or disabled, or the pool is empty. */
export class NoBackend extends Schema.TaggedError<NoBackend>()("NoBackend", {}) {
  override readonly message: string = "no backend is eligible"
}

/** All are at their limits, and so is the queue, or nobody was done in time. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {}) {
  override readonly message: string = "there is no room for another request"
}

/** Those that wait while all endpoints are at their limits. */
export interface Queue {
  /** How many may wait. */
  readonly size: number
  /** How long each waits. */
  readonly timeout: Duration.Duration
  /**
   * Who is next when an endpoint has room. `newest` serves those whose clients are likely still there, and lets the
   * oldest run into the timeout; when the queue is full the oldest one has to go.
   */
  readonly order: "oldest" | "newest"
}

/** The limits. */
export interface Options {
  /** Tries in flight on one endpoint. */
  readonly maxInFlight: number
  /** A lower limit for each endpoint that follows from its latencies, if it is given. */
  readonly adaptive: AdaptiveLimit.Options | undefined
  /** Tries in flight on all of them together. */
  readonly maxTotalInFlight: number
  readonly queue: Queue
  readonly slowStart: SlowStart.SlowStart
}

/** 1,024 tries for each endpoint, as in Envoy's circuit breakers, and a queue of 128 for a second. */
export const defaultOptions: Options = {
  maxInFlight: 1_024,
  adaptive: undefined,
  maxTotalInFlight: Infinity,
  queue: { size: 128, timeout: Duration.seconds(1), order: "oldest" },
  slowStart: SlowStart.off
}

/** The same limits if they are valid; throws otherwise, because no count ever exceeds `NaN`. */
export const checked = (options: Options): Options => {
  const { adaptive, maxInFlight, maxTotalInFlight, queue, slowStart } = options
  Validate.number("maxInFlight", maxInFlight, Validate.count)
  Validate.number("maxTotalInFlight", maxTotalInFlight, Validate.count)
  Validate.number("queue.size", queue.size, Validate.wholeNumber)
  Validate.number("slowStart.from", slowStart.from, Validate.someShare)
  Validate.number("slowStart.aggression", slowStart.aggression, Validate.positive)
  if (adaptive !== undefined) {
    Validate.number("adaptive.floor", adaptive.floor, Validate.count)
    Validate.number("adaptive.ceiling", adaptive.ceiling, Validate.count)
    Validate.number("adaptive.initial", adaptive.initial, Validate.factor)
    Validate.number("adaptive.tolerance", adaptive.tolerance, Validate.factor)
    Validate.number("adaptive.smoothing", adaptive.smoothing, Validate.someShare)
  }
  return options
}

/** The service that chooses an endpoint for each try. */
export class Balancer extends Context.Service<Balancer, {
  /**
   * Runs `f` with a chosen endpoint, counted as in flight for exactly as long as `f` runs. Waits for one when all are
   * at their limits. Success, failure and interruption of `f` count as such.
   *
   * Use this to balance anything: database replicas, model servers, sockets.
   */
  readonly use: <A, E, R>(
    context: PickContext,
    f: (endpoint: Endpoint) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | NoBackend | Overloaded, R>
  /**
   * Chooses an endpoint that is not among those `tried` and has room: that to which the context is pinned, if it may
   * be used, and none when it is full and nothing was tried, because `wait` waits for it. The first of three steps
   * that do what `use` does, for a data path that cannot afford a closure per request; `begin` and `end` are the other
   * two and come in pairs.
   */
  readonly select: (context: PickContext, tried?: ReadonlyArray<Endpoint>) => Endpoint | undefined
  /**
   * Waits for an endpoint when `select` has none; for that to which the context is pinned, and then for another one.
   * `take` is called with it at once when there is room, so that nobody else comes first: it has to `begin`, or the
   * room is the next one's.
   */
  readonly wait: (
    context: PickContext,
    tried: ReadonlyArray<Endpoint>,
    take: (endpoint: Endpoint) => void
  ) => Effect.Effect<Endpoint, NoBackend | Overloaded>
  /**
   * Whether an endpoint that was selected a while ago is still eligible and has room. Looks through the list of all.
   */
  readonly canTake: (endpoint: Endpoint) => boolean
  /** `isAgain` is a try that has ended and goes on all the same: it is in flight, and no other one. */
  readonly begin: (endpoint: Endpoint, isAgain?: boolean) => void
  /**
   * The head of a good answer has come, so many milliseconds after its try began, or after its request was complete,
   * if that was later, and they are learned now; `end` is told the same stage. A tunnel is as good as a success,
   * although nobody knows when it will end. `at` is when it came, which whoever knows the latency knows as well: to
   * look at the clock once more would cost as much as all the rest.
   */
  readonly answered: (
    endpoint: Endpoint,
    latencyMs: number,
    at: number,
    stage: Exclude<Stage, "sent" | "unmeasured">
  ) => void
  /** A try that began so many milliseconds ago is as good as a success: its answer has been coming for long enough. */
  readonly proven: (endpoint: Endpoint, millis: number) => void
  /** A try goes on for as long as its client takes: if it is a trial, another one may begin beside it. */
  readonly bypass: (endpoint: Endpoint) => void
  /** Succeeds when nothing is in flight on the backend with this id: at once, if it is none of the pool. */
  readonly untilIdle: (id: string) => Effect.Effect<void>
  /** Goes on with another strategy. What was learned is in `Load` and stays, and so does what is in flight. */
  readonly swap: (strategy: Strategy["Service"]) => Effect.Effect<void>
  /**
   * `millis` is the latency of the try, as `answered` has it. Where that was told already, or the try's time is its
   * client's, it is how long all of it took.
   * `why` is a failure in a word, for whoever reads why a backend was ejected. `stage` is "sent", unless it is given.
   * `took` is how long ago the try began, where `millis` is less.
   */
  readonly end: (
    endpoint: Endpoint,
    outcome: Outcome,
    millis: number,
    why?: string,
    stage?: Stage,
    took?: number
  ) => void
}>()("evenkeel/services/Balancer") {}
