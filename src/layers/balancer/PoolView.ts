/**
 * The pool as the balancer sees it: when it has changed, the live numbers of its members are brought up to date.
 *
 * Owns what a change means for them: limits, the begin of a slow start, and that old failures are forgotten.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Ref from "effect/Ref"
import * as Health from "../../services/Health.ts"
import * as Load from "../../services/Load.ts"
import * as Monotonic from "../../services/Monotonic.ts"
import { empty, forEachChange, type Member, type Pool, type PoolState } from "../../services/Pool.ts"
import type { SlowStart } from "../../services/SlowStart.ts"
import type { Limits } from "./Limits.ts"

const isClosed = ({ health }: Member): boolean => !Health.isEjected(health) && !Health.isOnTrial(health)

/** Whether a member that was not well had its share all the same, which is so in a panic only. */
const hadTraffic = ({ eligible, panic }: PoolState, known: Member | undefined): boolean =>
  panic && known !== undefined && eligible.includes(known.endpoint)

export class PoolView {
  private readonly pool: Pool["Service"]
  private readonly clock: Clock.Clock
  private readonly limits: Limits
  private readonly usesSlowStart: boolean
  private known: PoolState = empty
  /**
   * Members of the first snapshot that could not be used yet: when they can, they have not come back, and are as warm as
   * the others.
   */
  private readonly starting = new WeakSet<Load.Load>()

  constructor(pool: Pool["Service"], clock: Clock.Clock, limits: Limits, slowStart: SlowStart) {
    this.pool = pool
    this.clock = clock
    this.limits = limits
    this.usesSlowStart = Duration.toMillis(slowStart.duration) > 0
  }

  /** The snapshot of now. */
  current(): PoolState {
    const state = Ref.getUnsafe(this.pool.state)
    if (state !== this.known) {
      this.follow(state)
      this.known = state
    }
    return state
  }

  private follow(state: PoolState): void {
    const now = Monotonic.millisUnsafe(this.clock)
    const isStart = this.known.members.length === 0
    forEachChange(this.known, state, (member, known) => {
      const { endpoint: { load }, health } = member
      // One that has moved is another one.
      const before = known?.endpoint.load === load ? known : undefined
      this.limits.follow(load, Health.isOnTrial(health), now)
      // Snapshots in between are not always seen, so the trial may have been in one of those.
      const isBack = before !== undefined && !isClosed(before) && isClosed(member)
      if (isBack) Load.forgive(load, now)
      const isEligible = Health.isEligible(health)
      if (isStart && !isEligible) this.starting.add(load)
      // A backend whose checks failed at the start comes back like any other.
      if (health.probe.state === "Failing") this.starting.delete(load)
      const hasReturned = isEligible && (before === undefined || !Health.isEligible(before.health))
      const isWarming = this.usesSlowStart && !isStart && hasReturned && !this.starting.delete(load)
      if (isWarming && !hadTraffic(this.known, before)) load.warmingSince = now
    })
  }
}
