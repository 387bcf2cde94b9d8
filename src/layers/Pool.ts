/**
 * How the pool is kept: one `Ref` for the snapshot, one `PubSub` for those who follow it.
 *
 * Owns that snapshots follow each other one at a time. What the next one is, is decided by `pool/Snapshots`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Monotonic from "../services/Monotonic.ts"
import { checked, defaultPolicy, empty, type Policy, Pool, type PoolState } from "../services/Pool.ts"
import { Snapshots } from "./pool/Snapshots.ts"

/** A pool without members. `policy` decides how signals change health. */
export const layer = (given: Policy = defaultPolicy): Layer.Layer<Pool> => {
  const policy = checked(given)
  return Layer.effect(
    Pool,
    Effect.gen(function*() {
      const state = yield* Ref.make(empty)
      // Snapshots replace each other, so a subscriber that sleeps needs the latest few and not all of them.
      const pubsub = yield* PubSub.sliding<PoolState>({ capacity: 16, replay: 1 })
      yield* PubSub.publish(pubsub, empty)
      const snapshots = new Snapshots(policy)

      // One update at a time and each to its end, so that none is lost and all are shown in the order in which they
      // happened: fibers give way between any two operations.
      const lock = yield* Semaphore.make(1)
      const update = (next: (state: PoolState, now: number) => PoolState) =>
        Effect.flatMap(Monotonic.millis, (now) => {
          const before = Ref.getUnsafe(state)
          const after = next(before, now)
          return after === before
            ? Effect.void
            : Effect.andThen(Ref.set(state, after), PubSub.publish(pubsub, after))
        }).pipe(Semaphore.withPermit(lock), Effect.uninterruptible)

      return Pool.of({
        state,
        reconcile: (backends) => update((current) => snapshots.withBackends(current, backends)),
        signal: (id, signal) => update((current, now) => snapshots.withSignal(current, id, signal, now)),
        changes: Stream.fromPubSub(pubsub)
      })
    })
  )
}
