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
import type { Endpoint, Stage } from "./Load.ts"
import type { Outcome } from "./Outcome.ts"
import * as SlowStart from "./SlowStart.ts"
import type { PickContext, Strategy } from "./Strategy.ts"
import * as Validate from "./Validate.ts"

/** Nobody can be asked: all are down, drained or disabled, or the pool is empty. */
export class NoBackend extends Schema.TaggedError<NoBackend>()("NoBackend", {}) {
  override readonly message: string = "no backend is eligible"
}

/** All endpoints are at their limits, and the queue is full, or the wait took too long. */
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
  /** Whether each endpoint has a lower limit besides, that follows from its latencies: see `AdaptiveLimit`. */
  readonly adaptive: boolean
  /** Tries in flight on all of them together. */
  readonly maxTotalInFlight: number
  readonly queue: Queue
  readonly slowStart: SlowStart.SlowStart
}

/** 1,024 tries for each endpoint, as in Envoy's circuit breakers, and a queue of 128 for a second. */
export const defaultOptions: Options = {
  maxInFlight: 1_024,
  adaptive: false,
  maxTotalInFlight: Infinity,
  queue: { size: 128, timeout: Duration.seconds(1), order: "oldest" },
  slowStart: SlowStart.off
}

/** The same limits if they are valid; throws otherwise, because no count ever exceeds `NaN`. */
export const checked = (options: Options): Options => {
  const { maxInFlight, maxTotalInFlight, queue, slowStart } = options
  Validate.number("maxInFlight", maxInFlight, Validate.count)
  Validate.number("maxTotalInFlight", maxTotalInFlight, Validate.count)
  Validate.number("queue.size", queue.size, Validate.wholeNumber)
  Validate.number("slowStart.from", slowStart.from, Validate.someShare)
  Validate.number("slowStart.aggression", slowStart.aggression, Validate.positive)
  return options
}

/** The service that chooses an endpoint for each try. */
export class Balancer extends Context.Service<Balancer, {
  /**
   * Runs `f` with a chosen endpoint, counted as in flight for exactly as long as `f` runs. Waits for one when all are
   * at their limits. Success, failure and interruption of `f` count as such. Where `f` is the trial of the endpoint and
   * runs for 15 s, another one may begin beside it.
   *
   * Use this to balance anything: database replicas, model servers, sockets.
   */
  readonly use: <A, E, R>(
    context: PickContext,
    f: (endpoint: Endpoint) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | NoBackend | Overloaded, R>
  /**
   * Chooses an endpoint that is not among those `tried` and has room: that to which the context is pinned, if it may
   * be used, and none when it is full and nothing was tried, because `wait` waits for it. Where all others were tried, or
   * there are none, one on trial beyond its limit, up to the one that it has otherwise, and then one that is only
   * ejected. The first of three steps that do what `use` does, for a data path that cannot afford a closure per request;
   * `begin` and `end` are the other two and come in pairs.
   */
  readonly select: (context: PickContext, tried?: ReadonlyArray<Endpoint>) => Endpoint | undefined
  /**
   * Waits for an endpoint when `select` has none: first for the one to which the context is pinned, then for any other.
   * `take` is called with it in the same instant as there is room, and has to `begin` a try there; otherwise the next
   * one who waits gets that room.
   */
  readonly wait: (
    context: PickContext,
    tried: ReadonlyArray<Endpoint>,
    take: (endpoint: Endpoint) => void
  ) => Effect.Effect<Endpoint, NoBackend | Overloaded>
  /** Whether `wait` would be in vain, because nobody is left whom there could be room on. */
  readonly isHopeless: (context: PickContext, tried: ReadonlyArray<Endpoint>) => boolean
  /**
   * Whether an endpoint that was selected a while ago is still eligible and has room. Looks through the list of all.
   */
  readonly canTake: (endpoint: Endpoint) => boolean
  /** A try begins. With `isAgain` one goes on that had ended: it is in flight again, and not counted as another one. */
  readonly begin: (endpoint: Endpoint, isAgain?: boolean) => void
  /**
   * The head of a good answer has come, and its latency is learned: milliseconds from the begin of the try, or from the
   * end of its request if that was later. `end` must be told the same stage. A tunnel counts as a success now, because
   * nobody knows when it will end. `at` is when the head came, in milliseconds of `Monotonic`: reading the clock again
   * would cost as much as all the rest.
   */
  readonly answered: (
    endpoint: Endpoint,
    latencyMs: number,
    at: number,
    stage: Exclude<Stage, "sent" | "unmeasured">
  ) => void
  /** A try that began so many milliseconds ago counts as a success: its answer has been coming for long enough. */
  readonly proven: (endpoint: Endpoint, millis: number) => void
  /**
   * A try that began so many milliseconds ago waits for its client, for as long as that takes: if it is the trial,
   * another one may begin beside it.
   */
  readonly bypass: (endpoint: Endpoint, millis: number) => void
  /** Runs `f`, and lets those who wait for room have what is left of it then: `f` may take itself what it frees. */
  readonly beforeOthers: <A>(f: () => A) => A
  /** Succeeds when nothing is in flight on the backend with this id: at once, if it is none of the pool. */
  readonly untilIdle: (id: string) => Effect.Effect<void>
  /** Goes on with another strategy. What was learned is in `Load` and stays, and so does what is in flight. */
  readonly swap: (strategy: Strategy["Service"]) => Effect.Effect<void>
  /**
   * A try ends. `millis` is its latency as in `answered`; where `answered` was told of it before, or the latency is not
   * the backend's (stage "unmeasured"), it is how long the whole try took. `took` is that, where `millis` is less. `why`
   * is a failure in a word, for the cause of an ejection. `stage` is "sent" unless it is given.
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
