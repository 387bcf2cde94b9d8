/**
 * What a fake backend does with a request: answers, waits, refuses, breaks off. Behaviours are plain values that wrap
 * each other, such as `delayed("20 millis", respond("hello"))`.
 *
 * Owns the behaviours, in the order in which a real backend would do things: accept the connection, send the head of an
 * answer, send its body. Which backend behaves how, and what was seen of it, is in `FakeBackends`. All time is
 * `Clock`'s and all chance is `Random`'s.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { causeResponse } from "effect/http/HttpServerError"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { TransportFailure } from "../../services/Failure.ts"
import { withStream } from "../../services/PlatformResponse.ts"

/** One connection for one request. */
export interface Attempt {
  readonly request: HttpServerRequest
  /** How many requests of clients came before this one, refused ones included. Health checks do not count. */
  readonly turn: number
  /** Milliseconds since the layer was built. */
  readonly elapsed: Effect.Effect<number>
}

/** The work on a request whose connection was accepted: succeeds when the head of the answer is there. */
export type Answer = Effect.Effect<HttpServerResponse.HttpServerResponse, TransportFailure>

/** Succeeds when the connection is accepted, fails when it is refused, and may also take for ever. */
export type Behaviour = (attempt: Attempt) => Effect.Effect<Answer, TransportFailure>

const failure = (reason: TransportFailure["reason"], message: string): TransportFailure =>
  TransportFailure.make({ reason, message })

/** What a client sees of a port that nobody listens on. */
export const connectionRefused: TransportFailure = failure("connect_failed", "Connection refused")

/** The body of a response as a stream, whatever it was made from. */
export const bodyOf = (response: HttpServerResponse.HttpServerResponse): Stream.Stream<Uint8Array, unknown> =>
  response.body._tag === "Stream" ? response.body.stream : HttpServerResponse.toClientResponse(response).stream

/** Ends an answer, wherever it is, when `death` ends: before the head or in the middle of the body. */
export const cutBy = (death: Effect.Effect<void>) => (answer: Answer): Answer => {
  const cut = (reason: TransportFailure["reason"]) => Effect.andThen(death, () => failure(reason, "Connection closed"))
  return cut("reset_before_headers").pipe(
    Effect.raceFirst(answer),
    Effect.map((response) =>
      withStream(
        response,
        // Each pull for itself, because `Stream.interruptWhen` reads ahead, which a slow client must not cause.
        Stream.transformPull(bodyOf(response), (pull) => Effect.succeed(Effect.raceFirst(cut("reset_mid_body"), pull)))
      )
    )
  )
}

/**
 * From one time to another, counted from the start of the layer: from the start without `from`, for
 * ever without `until`.
 */
export interface Period {
  readonly from?: Duration.Input | undefined
  readonly until?: Duration.Input | undefined
}

const limitsOf = ({ from = 0, until = Duration.infinity }: Period) =>
  [Duration.toMillis(from), Duration.toMillis(until)] as const

/**
 * Answers with what `f` returns, as an Effect HTTP server does: a failure or a defect of `f` is a response of its own,
 * usually a 500.
 */
export const handle = <E>(
  f: (request: HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse, E>
): Behaviour =>
({ request }) =>
  Effect.succeed(
    Effect.suspend(() => f(request)).pipe(
      Effect.catchCause((cause) => Effect.map(causeResponse(cause), ([response]) => response))
    )
  )

/** Reads the request to its end and answers with a text: 200, unless the options say otherwise. */
export const respond = (text: string, options?: HttpServerResponse.Options.WithContentType): Behaviour =>
  handle((request) => Effect.as(Stream.runDrain(request.stream), HttpServerResponse.text(text, options)))

/** Refuses connections, as a port does that nobody listens on. */
export const refuses: Behaviour = () => Effect.fail(connectionRefused)

/** Accepts the request and answers with something that is no HTTP. */
export const garbles: Behaviour = () =>
  Effect.succeed(Effect.fail(failure("protocol_error", "The answer is not valid HTTP")))

/** Neither accepts nor refuses connections, as an address does that no machine has. */
export const unreachable: Behaviour = () => Effect.never

/** Accepts the request and never answers. */
export const hangs: Behaviour = () => Effect.succeed(Effect.never)

/** Accepts the request and resets the connection without an answer. */
export const resets: Behaviour = () => Effect.succeed(Effect.fail(failure("reset_before_headers", "Connection reset")))

/** Has its answer ready, and waits before it sends the head. */
export const delayed = (duration: Duration.Input, behaviour: Behaviour): Behaviour => (attempt) =>
  Effect.map(behaviour(attempt), Effect.tap(() => Effect.sleep(duration)))

/** The same answers with other bodies. The head says what it said. */
const withBody = (
  behaviour: Behaviour,
  change: (body: Stream.Stream<Uint8Array, unknown>) => Stream.Stream<Uint8Array, unknown>
): Behaviour =>
(attempt) => Effect.map(behaviour(attempt), Effect.map((response) => withStream(response, change(bodyOf(response)))))

/** The beginning of a body, and then what comes instead of the rest. */
const cutAfter = (
  bytes: number,
  body: Stream.Stream<Uint8Array, unknown>,
  rest: Stream.Stream<Uint8Array, TransportFailure>
): Stream.Stream<Uint8Array, unknown> =>
  Stream.suspend(() => {
    let left = bytes
    return body.pipe(
      Stream.map((chunk) => {
        const part = chunk.subarray(0, left)
        left -= part.length
        return part
      }),
      Stream.takeUntil(() => left === 0),
      Stream.concat(rest)
    )
  })

/** Breaks the connection off after so many bytes of the body, whatever the head has promised. */
export const breaksOff = (afterBytes: number, behaviour: Behaviour): Behaviour =>
  withBody(
    behaviour,
    (body) => cutAfter(afterBytes, body, Stream.fail(failure("reset_mid_body", "Connection reset")))
  )

/** Sends nothing more after so many bytes of the body, and keeps the connection. */
export const stalls = (afterBytes: number, behaviour: Behaviour): Behaviour =>
  withBody(behaviour, (body) => cutAfter(afterBytes, body, Stream.never))

const pieces = (chunk: Uint8Array, bytes: number): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(chunk.length / bytes) }, (_, i) => chunk.subarray(i * bytes, (i + 1) * bytes))

/** Sends the body in pieces of so many bytes, and waits before each. */
export const trickles = (bytes: number, wait: Duration.Input, behaviour: Behaviour): Behaviour =>
  withBody(behaviour, (body) =>
    body.pipe(
      Stream.flatMap((chunk) => Stream.fromIterable(pieces(chunk, bytes))),
      Stream.rechunk(1),
      Stream.tap(() => Effect.sleep(wait))
    ))

/** Does one thing with a probability from 0 to 1, and the other thing else. */
export const sometimes = (probability: number, behaviour: Behaviour, otherwise: Behaviour): Behaviour => (attempt) =>
  Effect.flatMap(Random.next, (random) => (random < probability ? behaviour : otherwise)(attempt))

/** Does one thing for the first request of a client, the next for the second, and the last for all that follow. */
export const inTurn = (first: Behaviour, ...others: ReadonlyArray<Behaviour>): Behaviour => (attempt) =>
  ([first, ...others][attempt.turn] ?? others.at(-1) ?? first)(attempt)

/** Does one thing for requests of this path, whatever their query, and the other thing for the rest. */
export const onPath = (path: string, behaviour: Behaviour, otherwise: Behaviour): Behaviour => (attempt) =>
  (attempt.request.url.split("?", 1)[0] === path ? behaviour : otherwise)(attempt)

/** Does one thing with the requests that come in this period, to their end, and the other thing with the rest. */
export const during = (period: Period, behaviour: Behaviour, otherwise: Behaviour): Behaviour => {
  const [from, until] = limitsOf(period)
  return (attempt) =>
    Effect.flatMap(attempt.elapsed, (now) => (from <= now && now < until ? behaviour : otherwise)(attempt))
}

/** Is dead in this period: refuses connections, and those that are open when it begins break off. */
export const down = (period: Period, behaviour: Behaviour): Behaviour => {
  const [from, until] = limitsOf(period)
  return (attempt) => {
    const death = Effect.flatMap(attempt.elapsed, (now) => Effect.sleep(from - now))
    return Effect.flatMap(attempt.elapsed, (now) => {
      if (now >= until) return behaviour(attempt)
      return now >= from ? refuses(attempt) : Effect.map(behaviour(attempt), cutBy(death))
    })
  }
}

/**
 * Stands still in this period, as a process that is stopped by SIGSTOP and continued: connections are accepted by the
 * system, and nothing else happens before its end. Work that was begun before goes on then.
 */
export const freezes = (period: Period, behaviour: Behaviour): Behaviour => {
  const [from, until] = limitsOf(period)
  return (attempt) => {
    const thaw = Effect.flatMap(
      attempt.elapsed,
      (now) => from <= now && now < until ? Effect.sleep(until - now) : Effect.void
    )
    const answers = withBody(
      behaviour,
      (body) => Stream.transformPull(body, (pull) => Effect.succeed(Effect.tap(pull, () => thaw)))
    )
    return Effect.map(answers(attempt), (answer) => thaw.pipe(Effect.andThen(answer), Effect.tap(() => thaw)))
  }
}

/**
 * Does again and again what the behaviour does in this time from the start, such as being `down` until the half of it.
 */
export const repeats = (every: Duration.Input, behaviour: Behaviour): Behaviour => {
  const length = Duration.toMillis(every)
  return (attempt) => behaviour({ ...attempt, elapsed: Effect.map(attempt.elapsed, (now) => now % length) })
}
