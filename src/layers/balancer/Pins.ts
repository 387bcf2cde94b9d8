/**
 * Finds the endpoint that an exchange is pinned to, and decides whether it may go there. Who says so is `Affinity`; what
 * follows where there is no room is the business of `Selection` and `Waiting`.
 */
import * as Health from "../../services/Health.ts"
import type { Endpoint } from "../../services/Load.ts"
import { memberOf, type PoolState } from "../../services/Pool.ts"

/**
 * The endpoint with this id, if exchanges that are pinned to it may go there; in a panic also an ill one that is offered
 * to everybody. It may be at its limit, but not while it is on trial. A backend that drains takes no tunnels: they
 * would be cut when the time for draining is over, and come back to be cut again.
 */
export const endpointOf = (state: PoolState, id: string, isUpgrade: boolean): Endpoint | undefined => {
  const member = memberOf(state, id)
  if (member === undefined) return undefined
  const { endpoint, health } = member
  if (isUpgrade && health.mode === "Draining") return undefined
  // A backend that may still turn out to be ill is not worth waiting for.
  if (Health.isOnTrial(health) && endpoint.load.inFlight >= endpoint.load.limit) return undefined
  return Health.isOpenToPinned(health) || state.eligible.includes(endpoint) ? endpoint : undefined
}
