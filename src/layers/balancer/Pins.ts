/**
 * Who is pinned to whom may stay there. Looked up only for exchanges that have a pin.
 */
import * as Health from "../../services/Health.ts"
import type { Endpoint } from "../../services/Load.ts"
import { empty, memberOf, type PoolState } from "../../services/Pool.ts"

export class Pins {
  private state: PoolState = empty
  /** The ill ones are among them, in a panic. */
  private offered: ReadonlySet<Endpoint> = new Set()

  /**
   * The endpoint with this id, if exchanges that are pinned to it may go there. In a panic that is also who is ill
   * but offered to everybody: none of a tier that the panic is not about. It may be at its limit, but not while it is
   * on trial. A backend that drains takes no tunnels: when its time for them is over they are cut, and would come
   * back to be cut again.
   */
  endpointOf(state: PoolState, id: string, isUpgrade: boolean): Endpoint | undefined {
    if (state !== this.state) {
      this.state = state
      this.offered = new Set(state.panic ? state.eligible : [])
    }
    const member = memberOf(state, id)
    if (member === undefined) return undefined
    const { endpoint, health } = member
    if (isUpgrade && health.mode === "Draining") return undefined
    // Who has yet to show that it is well is not worth waiting for.
    if (Health.isOnTrial(health) && endpoint.load.inFlight >= endpoint.load.limit) return undefined
    return Health.isOpenToPinned(health) || this.offered.has(endpoint) ? endpoint : undefined
  }
}
