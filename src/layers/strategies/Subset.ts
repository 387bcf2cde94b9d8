/**
 * A subset, around another strategy: of a large pool, each balancer uses a few backends only.
 *
 * Where a hundred balancers keep connections to each of a thousand backends, most of these are idle. A subset is the
 * first few in an order that the balancer's id draws, as in rendezvous hashing. So it is the same after a restart, and
 * when a backend leaves, one other takes its place. Which backends are in many subsets is chance: with k of n backends
 * for each of m balancers, one is in m k / n of them, give or take the square root. Let that be 100 or more.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import { type Picker, searchFor, Strategy } from "../../services/Strategy.ts"

/** Which subset. */
export interface Options {
  /** How many backends, of those that are eligible. */
  readonly size: number
  /** Who uses them: the id of this balancer, different for each. */
  readonly id: string
}

/** The endpoints of the subset, in the order of the list. Weights do not count: within the subset they do already. */
export const of = (endpoints: ReadonlyArray<Endpoint>, { id, size }: Options): ReadonlyArray<Endpoint> => {
  if (endpoints.length <= size) return endpoints
  const seed = Hash.string(id)
  const ranked = endpoints
    .map((endpoint, position) => ({ position, score: Hash.integer(Hash.string(endpoint.backend.id), seed) }))
    .sort((a, b) => b.score - a.score)
  const chosen = new Set(ranked.slice(0, size).map(({ position }) => position))
  return endpoints.filter((_, position) => chosen.has(position))
}

/** A picker over some endpoints of a list, which are searched before all others. */
export const pickerOver = (strategy: Strategy["Service"], endpoints: ReadonlyArray<Endpoint>): Picker => {
  const picker = strategy.make(endpoints)
  return {
    pick: (context) => picker.pick(context),
    pickWhere: searchFor(picker, endpoints),
    observe: (endpoint, outcome, latencyMs) => picker.observe?.(endpoint, outcome, latencyMs),
    ended: (endpoint) => picker.ended?.(endpoint)
  }
}

/** Offers only a subset of the endpoints to the strategy. */
export const layer = (options: Options): Layer.Layer<Strategy, never, Strategy> =>
  Layer.effect(
    Strategy,
    Effect.map(Strategy, (strategy) => ({
      ...strategy,
      make: (endpoints) => pickerOver(strategy, of(endpoints, options))
    }))
  )
