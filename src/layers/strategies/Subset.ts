/**
 * A subset: of a large pool, each balancer uses a few backends only.
 *
 * Owns who is in it; `Zones` puts it around a strategy. Where a hundred balancers keep connections to each of a thousand
 * backends, most connections are idle. A subset is the first few backends in an order that follows from the balancer's
 * id, as in rendezvous hashing: it is the same after a restart, and when a backend leaves, one other takes its place. How
 * many subsets a backend is in is chance: with k of n backends for each of m balancers it is m k / n, give or take the
 * square root of that. Let it be 100 or more.
 */
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import { type Picker, searchFor, type Strategy } from "../../services/Strategy.ts"

/** Which subset. */
export interface Options {
  /** How many backends, of those that are eligible. */
  readonly size: number
  /** Who uses them: the id of this balancer, different for each. */
  readonly id: string
}

/** The endpoints of the subset, in the order of the list. Weights do not count here: the strategy honours them within it. */
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
