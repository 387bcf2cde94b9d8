/**
 * The fibers that check backends: one for each member of the pool, for as long as it is a member.
 *
 * First checks run in parallel, and those of a large pool do not all begin at once. Whatever a check does, also throw or
 * never end, its fiber goes on, unless it cannot be interrupted. A check that throws has a bug of its own, which says
 * nothing of the backend: were it a failure, one bug would take all backends out at once.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type { Backend } from "../services/Backend.ts"
import {
  checked,
  defaultTimeout,
  defaultTimetable,
  smallPool,
  type Timetable,
  untilFirstCheck,
  untilNextCheck
} from "../services/HealthChecker.ts"
import * as Monotonic from "../services/Monotonic.ts"
import * as Occasionally from "../services/Occasionally.ts"
import { empty, forEachChange, memberOf, Pool } from "../services/Pool.ts"
import { Probe, ProbeFailed, ProbeSkipped } from "../services/Probe.ts"

/** How many checks of a large pool may begin before requests have their turn. */
const atATime = 16

/** Lets checks of a large pool begin a few at a time, so that requests have their turns between those that are due. */
const makeTurns = Effect.fnUntraced(function*(pool: Pool["Service"]) {
  const due = yield* Queue.unbounded<Deferred.Deferred<void>>()
  yield* Queue.takeBetween(due, 1, atATime).pipe(
    Effect.map((checks) => {
      for (const check of checks) Deferred.doneUnsafe(check, Effect.void)
    }),
    // Gives way each time.
    Effect.forever,
    Effect.forkScoped
  )
  return (): Effect.Effect<void> => {
    if (Ref.getUnsafe(pool.state).members.length <= smallPool) return Effect.void
    const turn = Deferred.makeUnsafe<void>()
    Queue.offerUnsafe(due, turn)
    return Deferred.await(turn)
  }
})

/** Checks every member of the pool by the timetable and tells the pool the results. */
export const layer = (given: Timetable = defaultTimetable): Layer.Layer<never, never, Pool | Probe> => {
  const timetable = checked(given)
  const { timeout = defaultTimeout } = timetable
  return Layer.effectDiscard(
    Effect.gen(function*() {
      const pool = yield* Pool
      const probe = yield* Probe
      const fibers = yield* FiberMap.make<string>()

      const current = (id: string) => Effect.map(Ref.get(pool.state), (state) => memberOf(state, id))

      const inTurn = yield* makeTurns(pool)
      const occasionally = yield* Occasionally.runner
      const brokeDown = ({ origin }: Backend, bug: unknown): void => {
        const what = `A check of ${origin} broke down, which says nothing of the backend: the probe has a bug`
        occasionally(Effect.logError(what, bug))
      }

      // No span, because a tracer would hear of little else.
      const check = Effect.fnUntraced(function*(backend: Backend) {
        const fiber = yield* Effect.forkChild(Effect.suspend(() => probe.check(backend)), { startImmediately: true })
        const seen = yield* Effect.exit(Effect.timeoutOrElse(Fiber.join(fiber), {
          duration: timeout,
          orElse: () => ProbeFailed.make({ message: `no answer within ${Duration.format(timeout)}`, silent: true })
        }))
        if (Exit.isSuccess(seen)) {
          yield* pool.signal(backend.id, { _tag: "ProbePassed", why: seen.value })
        } else {
          const error = Cause.squash(seen.cause)
          if (error instanceof ProbeFailed) {
            const { answered = false, message, silent = false } = error
            yield* pool.signal(backend.id, { _tag: "ProbeFailed", why: message, answered, silent })
          } else if (!(error instanceof ProbeSkipped)) brokeDown(backend, error)
        }
        // Waits for a check that cannot be interrupted, so that no other one begins meanwhile.
        yield* Fiber.interrupt(fiber)
      })

      const keepChecking = Effect.fnUntraced(function*(id: string, delay: number) {
        const since = yield* Monotonic.millis
        if (delay > 0) yield* Effect.sleep(delay)
        while (true) {
          yield* inTurn()
          const member = yield* current(id)
          if (member === undefined) return
          const startedAt = yield* Monotonic.millis
          yield* check(member.endpoint.backend)
          const health = (yield* current(id))?.health ?? member.health
          const now = yield* Monotonic.millis
          yield* Effect.sleep(startedAt + untilNextCheck(health, timetable, yield* Random.next, now, since) - now)
        }
      })

      let known = empty
      yield* Stream.runForEach(pool.changes, (state) =>
        Effect.gen(function*() {
          // Not waited for: a check that is slow to end must not hold up others, nor its own backend when that returns.
          if (state.positions !== known.positions) {
            for (const [id, fiber] of fibers) if (!state.positions.has(id)) fiber.interruptUnsafe()
          }
          const toBegin: Array<string> = []
          forEachChange(known, state, ({ endpoint: { backend: { id }, load } }, before) => {
            // What is known of another place says nothing of this one. Nobody may have seen that it was away meanwhile.
            if (before?.endpoint.load !== load) toBegin.push(id)
          })
          known = state
          for (const [i, id] of toBegin.entries()) {
            const delay = untilFirstCheck(i, toBegin.length, timetable, yield* Random.next)
            yield* FiberMap.run(fibers, id, keepChecking(id, delay))
          }
        })).pipe(Effect.forkScoped)
    })
  )
}
