/**
 * Ejects backends that fail real traffic, and lets them back: the fibers between the balancer and the pool.
 *
 * One fiber takes the signals from the data path, which never waits; another one follows the pool and says when an ejection is
 * over. A backend on trial shows with one try whether it is well.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Ejection from "../services/Ejection.ts"
import type { Signal } from "../services/Health.ts"
import { Pool, type PoolState } from "../services/Pool.ts"

/** Signals that may wait for the pool. What does not fit is said again by the next failure. */
const capacity = 1_024

/** Milliseconds until the next ejection is over; infinite when there is none. */
const untilNext = ({ members }: PoolState, now: number): number =>
  members.reduce(
    (least, { health: { changed, circuit } }) =>
      // Not longer than the whole of it, if the clock was set back.
      circuit._tag === "Open" ? Math.min(least, circuit.until - Math.max(now, changed.circuit.at)) : least,
    Infinity
  )

const onTrial = ({ members }: PoolState): ReadonlyArray<string> =>
  members.filter(({ health }) => health.circuit._tag === "Trial").map(({ endpoint }) => endpoint.backend.id)

/** Judges by this policy. */
export const layer = (
  policy: Ejection.Policy = Ejection.defaultPolicy
): Layer.Layer<Ejection.Ejection, never, Pool> =>
  Layer.effect(
    Ejection.Ejection,
    Effect.gen(function*() {
      const pool = yield* Pool
      const clock = yield* Clock.Clock
      const random = yield* Random.Random
      const signals = yield* Queue.dropping<readonly [id: string, signal: Signal]>(capacity)
      yield* Effect.forkScoped(
        Effect.forever(Effect.flatMap(Queue.take(signals), ([id, signal]) => pool.signal(id, signal)))
      )

      /** Until the state changes, which another one follows. */
      const elapse = Effect.fnUntraced(function*(state: PoolState) {
        while (true) {
          const left = untilNext(state, yield* Clock.currentTimeMillis)
          if (left === Infinity) return
          // A timer may be early by a part of a millisecond.
          yield* Effect.sleep(Math.max(1, left))
          for (const { endpoint, health } of state.members) {
            if (health.circuit._tag === "Open") yield* pool.signal(endpoint.backend.id, { _tag: "Elapsed" })
          }
        }
      })
      yield* pool.changes.pipe(
        Stream.switchMap((state) => Stream.fromEffect(elapse(state))),
        Stream.runDrain,
        Effect.forkScoped
      )

      let known: PoolState | undefined
      let trials = new Set<string>()
      const isOnTrial = (id: string): boolean => {
        const state = Ref.getUnsafe(pool.state)
        if (state !== known) {
          known = state
          trials = new Set(onTrial(state))
        }
        return trials.has(id)
      }

      return Ejection.Ejection.of({
        observe: (endpoint, outcome, why) => {
          const { backend: { id }, load } = endpoint
          if (outcome === "success") {
            if (isOnTrial(id)) Queue.offerUnsafe(signals, [id, { _tag: "Recovered", why: "the trial went well" }])
          } else if (outcome === "failure") {
            const verdict = isOnTrial(id)
              ? "the trial failed"
              : Ejection.verdict(load, clock.currentTimeMillisUnsafe(), policy)
            if (verdict === undefined) return
            const cause = why === undefined ? verdict : `${verdict}, ${why}`
            Queue.offerUnsafe(signals, [id, { _tag: "Tripped", why: cause, random: random.nextDoubleUnsafe() }])
          }
        }
      })
    })
  )

/** Judges nobody. */
export const layerNone: Layer.Layer<Ejection.Ejection> = Layer.succeed(Ejection.Ejection, { observe: () => {} })
