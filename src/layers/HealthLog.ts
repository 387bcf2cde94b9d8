/**
 * Logs each change of a backend's health that users care about: a change of its status, and that the pool is in panic.
 */
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
    let wasInPanic = false
    yield* Stream.runForEach(pool.changes, ({ eligible, members, panic }) =>
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
        if (panic !== wasInPanic) {
          wasInPanic = panic
          const message = panic
            ? `Too few backends are well: ${eligible.length} of ${members.length} are offered traffic, also ill ones that answer`
            : "Enough backends are well again: ill ones are not offered traffic any more"
          log.write({ _tag: "Notice", level: panic ? "WARN" : "INFO", message })
        }
      })).pipe(Effect.forkScoped)
  })
)
