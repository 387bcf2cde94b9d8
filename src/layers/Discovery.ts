/** Keeps the pool's members what discovery says they are. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Discovery } from "../services/Discovery.ts"
import { Pool } from "../services/Pool.ts"

/** When a source that has broken down is asked again: soon at first. It begins anew with each answer. */
const again = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("30 seconds")])

/** Follows the source for as long as the layer lives. */
export const layer: Layer.Layer<never, never, Discovery | Pool> = Layer.effectDiscard(
  Effect.gen(function*() {
    const { backends, name } = yield* Discovery
    const pool = yield* Pool
    yield* backends.pipe(
      Stream.tapDefect((defect) =>
        Effect.logError(
          `The source of backends (${name}) has broken down; it is asked again, the last ones it knew stay`,
          defect
        )
      ),
      Stream.catchDefect(Stream.fail),
      Stream.retry(again),
      Stream.runForEach(pool.reconcile),
      Effect.orDie,
      // At once, so that a pool whose source knows its backends from the start is never seen without them.
      Effect.forkScoped({ startImmediately: true })
    )
  })
)
