/**
 * Keeps the pool's members what discovery says they are.
 *
 * Owns what happens when a source breaks down, or delivers what is no backend. Where backends come from is the business
 * of the source, and how they are is kept in `Pool`.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Backend, decode, type InvalidBackend } from "../services/Backend.ts"
import { Discovery } from "../services/Discovery.ts"
import { Pool } from "../services/Pool.ts"

/** When a source that has broken down is asked again: soon at first. It begins anew with each answer. */
const again = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("30 seconds")])

/** A class knows that its instances are right. To its type any object of the same shape is as good. */
const isMade = (given: unknown): boolean => given instanceof Backend

const read = (given: Backend): Result.Result<Backend, InvalidBackend> => {
  if (isMade(given)) return Result.succeed(given)
  // Sources that are not in TypeScript, or cast, may deliver anything.
  return Predicate.isObject(given) ? decode(given.origin, given) : decode(String(given))
}

/** The backends among what a source delivers. The rest is in the log, when it is delivered for the first time in a row. */
const sift = (name: string) => {
  let told: ReadonlySet<string> = new Set()
  return Effect.fnUntraced(function*(delivered: ReadonlyArray<Backend>) {
    const [backends, wrong] = Arr.partition(delivered, read)
    const before = told
    told = new Set(wrong.map(({ message }) => message))
    for (const message of told) {
      if (before.has(message)) continue
      yield* Effect.logError(
        `The source of backends (${name}) has delivered what is no backend, and it is left out: ${message}`
      )
    }
    return backends
  })
}

/** Follows the source for as long as the layer lives. */
export const layer: Layer.Layer<never, never, Discovery | Pool> = Layer.effectDiscard(
  Effect.gen(function*() {
    const { backends, name } = yield* Discovery
    const pool = yield* Pool
    yield* backends.pipe(
      Stream.mapEffect(sift(name)),
      // Also where it was interrupted from within, as when it waits for a fiber of its own that was.
      Stream.catchCause((cause) => {
        const what = `The source of backends (${name}) has broken down; it is asked again, the last ones it knew stay`
        return Stream.fromEffect(Effect.andThen(Effect.logError(what, Cause.squash(cause)), Effect.fail(cause)))
      }),
      Stream.retry(again),
      Stream.runForEach(pool.reconcile),
      Effect.orDie,
      // At once, so that a pool whose source knows its backends from the start is never seen without them.
      Effect.forkScoped({ startImmediately: true })
    )
  })
)
