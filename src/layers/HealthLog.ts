/** Logs each change of a backend's health that users care about: a change of its status. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { AccessLog } from "../services/AccessLog.ts"
import * as Health from "../services/Health.ts"
import { cause } from "../services/HealthWords.ts"
import { Pool } from "../services/Pool.ts"

/** Follows the pool for as long as the layer lives. A backend that joins is logged when its first check is in. */
export const layer: Layer.Layer<never, never, AccessLog | Pool> = Layer.effectDiscard(
  Effect.gen(function*() {
    const log = yield* AccessLog
    const pool = yield* Pool
    const known = new Map<string, Health.Status>()
    yield* Stream.runForEach(pool.changes, ({ members }) =>
      Effect.sync(() => {
        const ids = new Set(members.map((member) => member.endpoint.backend.id))
        for (const id of known.keys()) if (!ids.has(id)) known.delete(id)
        for (const { endpoint: { backend }, health } of members) {
          const status = Health.status(health)
          const before = known.get(backend.id) ?? "Checking"
          known.set(backend.id, status)
          if (status !== before) {
            log.write({ _tag: "HealthChanged", backend: backend.origin, status, why: cause(health) })
          }
        }
      })).pipe(Effect.forkScoped)
  })
)
