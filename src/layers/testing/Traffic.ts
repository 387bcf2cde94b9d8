/**
 * Traffic for tests: clients that send by a schedule, whatever is outstanding (an open loop), and what they have seen.
 *
 * ```ts
 * const traffic = yield* Effect.forkChild(
 *   Traffic.run({ rate: 300, duration: "9 seconds", methods: { GET: 3, POST: 1 } })
 * )
 * yield* TestClock.adjust("1 minute")
 * const seen = yield* Fiber.join(traffic)
 * Traffic.failures(seen) // such as { POST: 2 }
 * ```
 *
 * Owns the clients of a `FakeServer`. All time is `Clock`'s and all chance is `Random`'s, so that the same seed gives
 * the same traffic. What the backends do is in `FakeBackends`, which also knows what they have received.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpMethod from "effect/http/HttpMethod"
import * as Random from "effect/Random"
import * as Monotonic from "../../services/Monotonic.ts"
import { FakeServer, type Reply } from "./FakeServer.ts"

/** How often each method is drawn, in proportion, such as three times as many GETs as POSTs. */
export type Methods = Readonly<Partial<Record<HttpMethod.HttpMethod, number>>>

/** What is sent, and when. */
export interface Options {
  /** Requests per second. */
  readonly rate: number
  /** How long requests are sent. The last answers come later. */
  readonly duration: Duration.Input
  /** Asked before each request whether those before were enough. Without it, requests are sent for all of `duration`. */
  readonly enough?: (() => boolean) | undefined
  /** GET only, unless they are given. */
  readonly methods?: Methods | undefined
  /** How the requests are apart: `even`, unless it is given; `poisson` is as those of independent clients are. */
  readonly spacing?: "even" | "poisson" | undefined
  /**
   * The request with this number, from 0: without it `/<number>`, with the body `body of <number>`
   * where a method has one.
   */
  readonly request?:
    | ((method: HttpMethod.HttpMethod, number: number) => HttpClientRequest.HttpClientRequest)
    | undefined
  /** How long a client waits for the end of an answer before it leaves: 30 s, unless it is given. */
  readonly patience?: Duration.Input | undefined
  /** Who has answered: what the answer says, unless it is given. */
  readonly backendOf?: ((reply: Reply) => string) | undefined
}

/** One request and what its client has seen. Times are milliseconds. */
export interface Seen {
  readonly number: number
  readonly method: HttpMethod.HttpMethod
  /** When it was sent, counted from the beginning of the traffic. */
  readonly at: number
  /** How long it took to its end, well or not. */
  readonly latency: number
  /** The answer, if all of it came. */
  readonly reply: Reply | undefined
  /** Who has answered; nobody if it has failed. */
  readonly backend: string | undefined
  /** Why it has failed: a status from 500 on, an answer that broke off, or none in time. */
  readonly problem: string | undefined
}

const requestOf = (method: HttpMethod.HttpMethod, number: number): HttpClientRequest.HttpClientRequest => {
  const request = HttpClientRequest.make(method)(`/${number}`)
  return HttpMethod.hasBody(method) && method !== "DELETE"
    ? HttpClientRequest.bodyText(request, `body of ${number}`)
    : request
}

/** Draws a method. `random` is from 0 to below 1. */
const drawer = (methods: Methods): (random: number) => HttpMethod.HttpMethod => {
  const known = [...HttpMethod.all].filter((method) => (methods[method] ?? 0) > 0)
  const total = known.reduce((sum, method) => sum + (methods[method] ?? 0), 0)
  return (random) => {
    let left = random * total
    return known.find((method) => (left -= methods[method] ?? 0) < 0) ?? known.at(-1) ?? "GET"
  }
}

const judged = (reply: Reply): Pick<Seen, "problem" | "reply"> => ({
  reply,
  problem: reply.status >= 500 ? `status ${reply.status}` : undefined
})

const lost = (problem: string): Pick<Seen, "problem" | "reply"> => ({ problem, reply: undefined })

/** Sends the requests. Succeeds when the last one is over, with all of them in the order in which they were sent. */
export const run = Effect.fn("Traffic.run")(function*(options: Options): Effect.fn.Return<
  ReadonlyArray<Seen>,
  never,
  FakeServer
> {
  const {
    backendOf = ({ text }) => text,
    enough = () => false,
    methods = { GET: 1 },
    patience = "30 seconds",
    rate,
    request = requestOf,
    spacing = "even"
  } = options
  const server = yield* FakeServer
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const startedAt = Monotonic.millisUnsafe(clock)
  const length = Duration.toMillis(options.duration)
  const draw = drawer(methods)

  const one = Effect.fnUntraced(function*(number: number, method: HttpMethod.HttpMethod) {
    const sentAt = Monotonic.millisUnsafe(clock)
    const { problem, reply } = yield* server.request(request(method, number)).pipe(
      Effect.map(judged),
      Effect.catchTag("Truncated", ({ status }) => Effect.succeed(lost(`status ${status}, then cut`))),
      Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(lost("no answer in time")) })
    )
    return {
      number,
      method,
      at: sentAt - startedAt,
      latency: Monotonic.millisUnsafe(clock) - sentAt,
      reply,
      backend: reply === undefined || problem !== undefined ? undefined : backendOf(reply),
      problem
    }
  })

  const fibers: Array<Fiber.Fiber<Seen>> = []
  let due = 0
  while (due < length) {
    // To the millisecond, as timers are.
    yield* Effect.sleep(Math.max(0, startedAt + Math.round(due) - Monotonic.millisUnsafe(clock)))
    if (enough()) break
    const method = draw(random.nextDoubleUnsafe())
    fibers.push(yield* Effect.forkChild(one(fibers.length, method)))
    due = spacing === "even"
      ? fibers.length * 1_000 / rate
      : due - Math.log(1 - random.nextDoubleUnsafe()) * 1_000 / rate
  }
  return yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
})

// -----------------------------------------------------------------------------
// What it comes to
// -----------------------------------------------------------------------------

/** How many requests have failed, by method. A method without a failure is left out. */
export const failures = (seen: ReadonlyArray<Seen>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const { method, problem } of seen) if (problem !== undefined) counts[method] = (counts[method] ?? 0) + 1
  return counts
}

/** How many requests took longer than this, failed or not. */
export const slower = (seen: ReadonlyArray<Seen>, than: Duration.Input): number => {
  const limit = Duration.toMillis(than)
  return seen.filter(({ latency }) => latency > limit).length
}

/** The latency that this share of the answers does not exceed, from 0 to 1, in milliseconds; `NaN` without any. */
export const quantile = (seen: ReadonlyArray<Seen>, share: number): number => {
  const latencies = seen.filter(({ problem }) => problem === undefined).map(({ latency }) => latency)
  const sorted = latencies.sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
}

/** How many answers each backend has given, by its name. */
export const spread = (seen: ReadonlyArray<Seen>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const { backend } of seen) if (backend !== undefined) counts[backend] = (counts[backend] ?? 0) + 1
  return counts
}
