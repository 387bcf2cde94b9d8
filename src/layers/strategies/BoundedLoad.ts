/**
 * Bounded load: who would get more than its share of what is in flight is passed over. `Zones` puts it around a strategy.
 *
 * The bound of a backend is the average in flight, the new request included, times a factor, rounded up (Mirrokni,
 * Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016); by weight, unless the strategy ignores
 * weights. A hash strategy goes on to the next backend in its order, so that most keys stay where they were, and a busy
 * key spreads over few backends. Around any other strategy, somebody else who is within the bound is taken. Where none of
 * those can be taken, it is whoever is the least beyond it.
 */
import type { Endpoint } from "../../services/Load.ts"
import { type Accepts, type PickContext, type Picker, searchFor } from "../../services/Strategy.ts"

/**
 * In large pools the sum is taken anew after this part of as many picks as there are endpoints: 16
 * additions for a pick.
 */
const additionsPerPick = 16

/** Around the picker of a strategy for these endpoints, of which each has its part of all weight for its fair share. */
export const around = (
  inner: Picker,
  endpoints: ReadonlyArray<Endpoint>,
  weightOf: (endpoint: Endpoint) => number,
  factor: number
): Picker => {
  const n = endpoints.length
  const weights = endpoints.reduce((sum, endpoint) => sum + weightOf(endpoint), 0)

  let inFlight = 0
  let picksLeft = 0
  const count = (): void => {
    inFlight = 0
    for (let i = 0; i < n; i++) inFlight += endpoints[i]!.load.inFlight
    picksLeft = Math.floor(n / additionsPerPick)
  }

  const isWithinBound = (endpoint: Endpoint): boolean =>
    endpoint.load.inFlight * weights < factor * (inFlight + 1) * weightOf(endpoint)

  // Set for the time of one pick, so that none needs a closure.
  let alsoAccepts: Accepts | undefined
  const accepts = (endpoint: Endpoint): boolean =>
    isWithinBound(endpoint) && (alsoAccepts === undefined || alsoAccepts(endpoint))

  const search = searchFor(inner, endpoints)
  const pickWhere = (context: PickContext, also: Accepts | undefined): Endpoint | undefined => {
    alsoAccepts = also
    let found = search(context, accepts)
    if (found === undefined) {
      // The sum was too low; with the right one somebody is within the bound, if anybody can be taken at all.
      count()
      found = search(context, accepts)
    }
    alsoAccepts = undefined
    return found
  }

  /** Of those who can be taken, the one that has the least for its share. */
  const leastBusy = (accepts: Accepts): Endpoint | undefined => {
    let found: Endpoint | undefined
    for (const endpoint of endpoints) {
      const isLess = found === undefined ||
        endpoint.load.inFlight * weightOf(found) < found.load.inFlight * weightOf(endpoint)
      if (isLess && accepts(endpoint)) found = endpoint
    }
    return found
  }

  return {
    pick: (context) => {
      if (--picksLeft <= 0) count()
      const endpoint = inner.pick(context)
      if (endpoint === undefined || isWithinBound(endpoint)) return endpoint
      return pickWhere(context, undefined) ?? endpoint
    },
    pickWhere: (context, accepts) => {
      if (--picksLeft <= 0) count()
      return pickWhere(context, accepts) ?? leastBusy(accepts)
    },
    observe: (endpoint, outcome, latencyMs) => inner.observe?.(endpoint, outcome, latencyMs),
    ended: (endpoint) => {
      // Between two sums it is rather too low than too high: a bound that is too low costs a detour,
      // and the other is broken.
      if (inFlight > 0) inFlight--
      inner.ended?.(endpoint)
    }
  }
}
