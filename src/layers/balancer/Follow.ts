/**
 * What a change of the pool means for the live numbers: limits, the begin of a slow start, and that old failures are forgotten.
 */
import * as Duration from "effect/Duration"
import type { Options } from "../../services/Balancer.ts"
import * as Health from "../../services/Health.ts"
import * as Load from "../../services/Load.ts"
import type { Member, PoolState } from "../../services/Pool.ts"
import * as Limits from "./Limits.ts"

const isOnTrial = ({ health }: Member): boolean => health.circuit._tag === "Trial"

const isClosed = ({ health }: Member): boolean => health.circuit._tag === "Closed"

/** Brings the loads of all members from one state of the pool to the next one. */
export const follow = (before: PoolState, after: PoolState, options: Options, now: number): void => {
  const earlier = new Map(before.members.map((member) => [member.endpoint.backend.id, member]))
  const usesSlowStart = Duration.toMillis(options.slowStart.duration) > 0 && before.members.length > 0
  for (const member of after.members) {
    const { load } = member.endpoint
    const known = earlier.get(member.endpoint.backend.id)
    Limits.follow(load, isOnTrial(member), options, now)
    // The states between the two are not always seen, so that the trial may be one that nobody saw.
    if (known !== undefined && !isClosed(known) && isClosed(member)) Load.forgive(load)
    const hasReturned = Health.isEligible(member.health) && (known === undefined || !Health.isEligible(known.health))
    if (usesSlowStart && hasReturned) load.warmingSince = now
  }
}
