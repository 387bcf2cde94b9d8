/** Balancers over a pool, for tests of what they do. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as BalancerLayer from "../../../src/layers/Balancer.ts"
import * as EjectionLayer from "../../../src/layers/Ejection.ts"
import * as PoolLayer from "../../../src/layers/Pool.ts"
import { Balancer, defaultOptions, type Options } from "../../../src/services/Balancer.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import type { Outcome } from "../../../src/services/Outcome.ts"
import { type Policy, Pool } from "../../../src/services/Pool.ts"
import { anonymous, type PickContext, type Picker, Strategy } from "../../../src/services/Strategy.ts"
import { backend } from "../../endpoints.ts"

/** What a strategy was asked and told. */
export class Journal {
  readonly lists: Array<ReadonlyArray<Endpoint>> = []
  readonly contexts: Array<PickContext> = []
  readonly observed: Array<readonly [id: string, outcome: Outcome, latencyMs: number]> = []
  readonly ended: Array<string> = []
}

/** A strategy that always proposes the first endpoint, and keeps a journal. */
export const stubborn = (journal: Journal): Layer.Layer<Strategy> =>
  Layer.succeed(Strategy, {
    name: "stubborn",
    make: (endpoints): Picker => {
      journal.lists.push(endpoints)
      return {
        pick: (context) => {
          journal.contexts.push(context)
          return endpoints[0]
        },
        observe: (endpoint, outcome, latencyMs) => journal.observed.push([endpoint.backend.id, outcome, latencyMs]),
        ended: ({ backend }) => journal.ended.push(backend.id)
      }
    }
  })

export const over = (strategy: Layer.Layer<Strategy>, options: Partial<Options> = {}, policy?: Policy) =>
  Effect.provide(
    BalancerLayer.layer({ ...defaultOptions, ...options }).pipe(
      Layer.provide(EjectionLayer.layerNone),
      Layer.provideMerge(PoolLayer.layer(policy)),
      Layer.provide(strategy)
    )
  )

export const reconcile = (...ids: ReadonlyArray<string>) =>
  Effect.flatMap(Pool, (pool) => pool.reconcile(ids.map((id) => backend(id))))

export const fail = (id: string) =>
  Effect.flatMap(Pool, (pool) => pool.signal(id, { _tag: "ProbeFailed", why: "refused" }))

/** The load of a backend that must be eligible. */
export const loadOf = (id: string) =>
  Effect.map(Balancer, ({ select }) => {
    for (const tried: Array<Endpoint> = [];;) {
      const endpoint = select(anonymous, tried)
      assert(endpoint !== undefined, `${id} is not eligible`)
      if (endpoint.backend.id === id) return endpoint.load
      tried.push(endpoint)
    }
  })
