/**
 * How backends are drained: the pool is told, the balancer says when nothing is in flight, and tunnels
 * that are left are cut.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Balancer } from "../services/Balancer.ts"
import { defaultOptions, Drain, type Options } from "../services/Drain.ts"
import { Pool } from "../services/Pool.ts"

/** How often tunnels are cut when their time is over. */
const cutEvery = "1 second"

/** Drains with these options, unless it is told otherwise. */
export const layer = (options: Options = defaultOptions): Layer.Layer<Drain, never, Balancer | Pool> =>
  Layer.effect(
    Drain,
    Effect.gen(function*() {
      const balancer = yield* Balancer
      const pool = yield* Pool
      /** What ends each tunnel, by the id of its backend. */
      const cuts = new Map<string, Set<() => void>>()

      const cutTunnels = (id: string) =>
        Effect.sync(() => {
          for (const cut of cuts.get(id) ?? []) cut()
        })

      return Drain.of({
        drain: (id, why, { tunnels } = options) =>
          Effect.andThen(
            pool.signal(id, { _tag: "ModeSet", mode: "Draining", why }),
            Effect.raceFirst(
              balancer.untilIdle(id),
              // Again and again, because one that was asked for before may open only now.
              Effect.sleep(tunnels).pipe(Effect.andThen(Effect.repeat(cutTunnels(id), Schedule.spaced(cutEvery))))
            )
          ),
        tunnel: ({ backend: { id } }, cut) => {
          const ofBackend = cuts.get(id) ?? new Set()
          cuts.set(id, ofBackend.add(cut))
          return () => {
            ofBackend.delete(cut)
            if (ofBackend.size === 0) cuts.delete(id)
          }
        }
      })
    })
  )
