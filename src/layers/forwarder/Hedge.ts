/**
 * Two tries of one request at a time: the second begins when the first takes long, and the better answer wins.
 *
 * Owns the race. When the second begins, to whom it goes, and the books of both are given by the forwarder.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Failure from "../../services/Failure.ts"
import type { End } from "../../services/Outcome.ts"
import type { Sender, Sending } from "./Sender.ts"

/** What the race is about. */
export interface Race {
  /** Milliseconds after which the second try begins. */
  readonly delay: number
  /** The second try, counted as begun; nothing, if there is nobody to ask or no budget. */
  readonly begin: () => Sending | undefined
  /** One of the two has lost: it has failed, or, without a failure, it was given up. */
  readonly end: (firstWins: boolean, failure: End | undefined) => void
  /** Whether an answer is worth having, so that the other try may be given up. */
  readonly isGood: (response: HttpClientResponse) => boolean
  readonly release: Sender["release"]
}

type Running = Fiber.Fiber<HttpClientResponse, Effect.Error<Sending>>

/** Ends a try whose answer nobody wants, whether it has come or not. */
const giveUp = (running: Running, release: Sender["release"]): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.andThen(Fiber.interrupt(running), Fiber.await(running)),
    (exit) => Exit.isSuccess(exit) ? release(exit.value) : Effect.void
  )

/** Why the answer of a try was of no use, or why there was none. */
const failureOf = (exit: Exit.Exit<HttpClientResponse, Effect.Error<Sending>>): End =>
  Exit.isSuccess(exit)
    ? exit.value.status
    : Option.match(Exit.findErrorOption(exit), {
      onNone: () => Failure.fromCause(exit.cause),
      onSome: (error) => Failure.fromClientError(error).reason
    })

const decide = Effect.fnUntraced(function*(first: Running, second: Running, race: Race) {
  const isGood = (exit: Exit.Exit<HttpClientResponse, unknown>) => Exit.isSuccess(exit) && race.isGood(exit.value)
  const ended = yield* Effect.raceFirst(
    Effect.map(Fiber.await(first), (exit) => ({ exit, isFirst: true })),
    Effect.map(Fiber.await(second), (exit) => ({ exit, isFirst: false }))
  )
  const other = ended.isFirst ? second : first
  if (isGood(ended.exit)) {
    race.end(ended.isFirst, undefined)
    yield* giveUp(other, race.release)
    return yield* ended.exit
  }
  const exit = yield* Fiber.await(other)
  // Of two that are no good an answer is better than none.
  const isOther = Exit.isSuccess(exit) || Exit.isFailure(ended.exit)
  const [winner, loser] = isOther ? [exit, ended.exit] : [ended.exit, exit]
  race.end(isOther ? !ended.isFirst : ended.isFirst, failureOf(loser))
  if (Exit.isSuccess(loser)) yield* race.release(loser.value)
  return yield* winner
})

/** A try that runs by itself, which is noted. */
const start = (sending: Sending, running: Array<Running>): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.map(Effect.forkChild(sending, { startImmediately: true }), (fiber) => {
    running.push(fiber)
    return fiber
  })

/** Not within `hedged`: V8 keeps all that a new generator function refers to until it next looks through its whole heap. */
const compete = Effect.fnUntraced(function*(first: Sending, running: Array<Running>, race: Race) {
  const primary = yield* start(first, running)
  const early = yield* Effect.timeoutOption(Fiber.await(primary), race.delay)
  if (Option.isSome(early)) return yield* early.value
  const second = race.begin()
  return second === undefined
    ? yield* Fiber.join(primary)
    : yield* decide(primary, yield* start(second, running), race)
})

/** The answer of the first try, or of a second one that begins when the first takes long. */
export const hedged = (first: Sending, race: Race): Sending =>
  Effect.suspend(() => {
    const running: Array<Running> = []
    return Effect.onInterrupt(
      compete(first, running, race),
      () => Effect.forEach(running, (fiber) => giveUp(fiber, race.release), { discard: true })
    )
  })
