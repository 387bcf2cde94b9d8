/**
 * How backends are drained: the pool is told, the balancer says when nothing is in flight, and tunnels
 * that are left are cut. Those of a backend that discovery takes away, or moves, are cut as well.
 *
 * Owns the tunnels that stand, by backend. That a backend drains is a fact of its health and kept in `Pool`.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Balancer } from "../services/Balancer.ts"
import { defaultOptions, Drain, type Options, TakenBack } from "../services/Drain.ts"
import type { Load } from "../services/Load.ts"
import { empty, memberOf, Pool, type PoolState } from "../services/Pool.ts"

/** How often tunnels are cut when their time is over. */
const cutEvery = "1 second"

/** The loads of members that have left, also where another one with the same id has come, or it is in another place. */
const departed = (before: PoolState, after: PoolState): ReadonlyArray<Load> =>
  before.journal === after.journal
    ? []
    : before.members.map(({ endpoint }) => endpoint)
      .filter(({ backend, load }) => memberOf(after, backend.id)?.endpoint.load !== load)
      .map(({ load }) => load)

/**
 * Drains with these options, unless it is told otherwise. Tunnels of a backend that leaves have the same time, or what a
 * drain that goes on has given them.
 */
export const layer = (options: Options = defaultOptions): Layer.Layer<Drain, never, Balancer | Pool> =>
  Layer.effect(
    Drain,
    Effect.gen(function*() {
      const balancer = yield* Balancer
      const pool = yield* Pool
      /** What ends each tunnel, by the load of its backend, which is another one when that has left and come back. */
      const cuts = new WeakMap<Load, Set<() => void>>()

      const memberBy = (id: string) => memberOf(Ref.getUnsafe(pool.state), id)

      /** The drains of each backend that go on, in their order: the last one decides when tunnels are cut. */
      const drains = new WeakMap<Load, ReadonlyArray<symbol>>()

      const drainsOf = (load: Load): ReadonlyArray<symbol> => drains.get(load) ?? []

      /** Fails where the backend is used again. Another one with its id is not it. */
      const failIfTakenBack = (id: string, load: Load) =>
        Effect.suspend(() => {
          const member = memberBy(id)
          return member?.endpoint.load === load && member.health.mode === "Ready"
            ? Effect.fail(TakenBack.make({ id, why: member.health.changed.mode.why }))
            : Effect.void
        })

      /**
       * Cuts tunnels again and again when their time is over, because one that was asked for before may open only then.
       * Another drain than this one, or any if this is none, has its own time for them.
       */
      const cutUntilIdle = (load: Load, tunnels: Duration.Duration, drain?: symbol) =>
        Effect.sync(() => {
          if (drainsOf(load).at(-1) === drain) { for (const cut of cuts.get(load) ?? []) cut() }
        }).pipe(
          Effect.repeat({ schedule: Schedule.spaced(cutEvery), while: () => load.inFlight > 0 }),
          Effect.delay(tunnels)
        )

      const scope = yield* Effect.scope
      yield* pool.changes.pipe(
        Stream.mapAccum(() => empty, (before: PoolState, after) => [after, departed(before, after)]),
        Stream.runForEach((load) => Effect.forkIn(cutUntilIdle(load, options.tunnels), scope)),
        Effect.forkScoped({ startImmediately: true })
      )

      return Drain.of({
        drain: Effect.fn("Drain.drain")(function*(id: string, why: string, { tunnels }: Options = options) {
          const load = memberBy(id)?.endpoint.load
          if (load === undefined) return
          const drain = Symbol(why)
          yield* Effect.acquireUseRelease(
            Effect.sync(() => drains.set(load, [...drainsOf(load), drain])),
            () =>
              Effect.andThen(
                pool.signal(id, { _tag: "ModeSet", mode: "Draining", why }),
                Effect.raceAllFirst([
                  balancer.untilIdle(id),
                  Effect.andThen(cutUntilIdle(load, tunnels, drain), Effect.never),
                  Stream.runForEach(pool.changes, () => failIfTakenBack(id, load))
                ])
              ),
            () => Effect.sync(() => drains.set(load, drainsOf(load).filter((other) => other !== drain)))
          )
        }),
        tunnel: ({ load }, cut) => {
          const ofBackend = cuts.get(load) ?? new Set()
          cuts.set(load, ofBackend.add(cut))
          return () => void ofBackend.delete(cut)
        }
      })
    })
  )
