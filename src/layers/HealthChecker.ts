/**
 * The fibers that check backends: one for each member of the pool, for as long as it is a member.
 *
 * First checks run in parallel, and those of a large pool do not all begin at once. Whatever a check does, also throw,
 * its fiber goes on.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import { format } from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type { Backend } from "../services/Backend.ts"
import type { Signal } from "../services/Health.ts"
import { atOnce, defaultTimetable, type Timetable, untilFirstCheck, untilNextCheck } from "../services/HealthChecker.ts"
import { empty, memberOf, Pool } from "../services/Pool.ts"
import { Probe, ProbeFailed, ProbeSkipped } from "../services/Probe.ts"

/** So many checks of a large pool begin before everything else has its turn. */
const atATime = 16

/** What a check that failed says of the backend, if it says anything. */
const failed = (cause: Cause.Cause<ProbeFailed | ProbeSkipped>): Signal | undefined => {
  const error = Cause.squash(cause)
  if (error instanceof ProbeSkipped) return undefined
  return error instanceof ProbeFailed
    ? { _tag: "ProbeFailed", why: error.message, answered: error.answered ?? false, silent: error.silent ?? false }
    : { _tag: "ProbeFailed", why: `defect: ${format(error)}` }
}

/** Checks every member of the pool by the timetable and tells the pool the results. */
export const layer = (timetable: Timetable = defaultTimetable): Layer.Layer<never, never, Pool | Probe> =>
  Layer.effectDiscard(
    Effect.gen(function*() {
      const pool = yield* Pool
      const probe = yield* Probe
      const fibers = yield* FiberMap.make<string>()

      const current = (id: string) => Effect.map(Ref.get(pool.state), (state) => memberOf(state, id))

      // When many checks are due, because the process was busy for a moment, requests get their turns between them.
      const due = yield* Queue.unbounded<Deferred.Deferred<void>>()
      yield* Queue.takeBetween(due, 1, atATime).pipe(
        Effect.map((checks) => {
          for (const check of checks) Deferred.doneUnsafe(check, Effect.void)
        }),
        Effect.andThen(Effect.yieldNow),
        Effect.forever,
        Effect.forkScoped
      )
      const inTurn = Effect.suspend(() => {
        if (Ref.getUnsafe(pool.state).members.length <= atOnce) return Effect.void
        const turn = Deferred.makeUnsafe<void>()
        Queue.offerUnsafe(due, turn)
        return Deferred.await(turn)
      })

      const check = (backend: Backend): Effect.Effect<Signal | undefined> =>
        Effect.suspend(() => probe.check(backend)).pipe(
          Effect.map((why): Signal => ({ _tag: "ProbePassed", why })),
          Effect.catchCause((cause) => Effect.succeed(failed(cause)))
        )

      const keepChecking = Effect.fnUntraced(function*(id: string, delay: number) {
        if (delay > 0) yield* Effect.sleep(delay)
        while (true) {
          yield* inTurn
          const member = yield* current(id)
          if (member === undefined) return
          const startedAt = yield* Clock.currentTimeMillis
          const signal = yield* check(member.endpoint.backend)
          if (signal !== undefined) yield* pool.signal(id, signal)
          const health = (yield* current(id))?.health ?? member.health
          const now = yield* Clock.currentTimeMillis
          // The clock may have been set back meanwhile.
          const took = Math.max(0, now - startedAt)
          yield* Effect.sleep(Math.max(0, untilNextCheck(health, timetable, yield* Random.next, now) - took))
        }
      })

      let known = empty.positions
      yield* Stream.runForEach(pool.changes, ({ positions }) =>
        Effect.gen(function*() {
          if (positions === known) return
          known = positions
          for (const [id] of fibers) if (!positions.has(id)) yield* FiberMap.remove(fibers, id)
          const joined = Array.from(positions.keys()).filter((id) => !FiberMap.hasUnsafe(fibers, id))
          for (const [i, id] of joined.entries()) {
            const delay = untilFirstCheck(i, joined.length, timetable, yield* Random.next)
            yield* FiberMap.run(fibers, id, keepChecking(id, delay))
          }
        })).pipe(Effect.forkScoped)
    })
  )
