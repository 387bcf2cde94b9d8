/** Keeps the pool's members what discovery says they are. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Discovery } from "../services/Discovery.ts"
import { Pool } from "../services/Pool.ts"

/** Follows the source for as long as the layer lives. */
export const layer: Layer.Layer<never, never, Discovery | Pool> = Layer.effectDiscard(
  Effect.gen(function*() {
    const discovery = yield* Discovery
    const pool = yield* Pool
    yield* Stream.runForEach(discovery.backends, pool.reconcile).pipe(
      Effect.tapDefect((defect) =>
        Effect.logError(
          `The source of backends (${discovery.name}) has broken down; the last ones it knew stay`,
          defect
        )
      ),
      // At once, so that a pool whose source knows its backends from the start is never seen without them.
      Effect.forkScoped({ startImmediately: true })
    )
  })
)
