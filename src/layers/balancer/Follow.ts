/**
 * What a change of the pool means for the live numbers: limits, the begin of a slow start, and that old
 * failures are forgotten.
 */
import * as Duration from "effect/Duration"
import type { Options } from "../../services/Balancer.ts"
import * as Health from "../../services/Health.ts"
import * as Load from "../../services/Load.ts"
import { forEachChange, type Member, type PoolState } from "../../services/Pool.ts"
import * as Limits from "./Limits.ts"

const isClosed = ({ health }: Member): boolean => !Health.isEjected(health) && !Health.isOnTrial(health)

/** Whether a member that was not well had its share all the same: only in a panic, so that nobody is looked for else. */
const hadTraffic = ({ eligible, panic }: PoolState, known: Member | undefined): boolean =>
  panic && known !== undefined && eligible.includes(known.endpoint)

/**
 * Brings the loads of all members from one state of the pool to the next one. `starting` has those that were there at
 * the start and could not be used yet: when they can, they have not come back, and are as warm as the others.
 */
export const follow = (
  before: PoolState,
  after: PoolState,
  options: Options,
  now: number,
  starting: WeakSet<Load.Load>
): void => {
  const isStart = before.members.length === 0
  const usesSlowStart = Duration.toMillis(options.slowStart.duration) > 0 && !isStart
  forEachChange(before, after, (member, known) => {
    const { load } = member.endpoint
    Limits.follow(load, Health.isOnTrial(member.health), options, now)
    // The states between the two are not always seen, so that the trial may be one that nobody saw.
    if (known !== undefined && !isClosed(known) && isClosed(member)) Load.forgive(load, now)
    const isEligible = Health.isEligible(member.health)
    if (isStart && !isEligible) starting.add(load)
    // Who was ill at the start comes back like anybody else.
    if (member.health.probe.state === "Failing") starting.delete(load)
    const hasReturned = isEligible && (known === undefined || !Health.isEligible(known.health))
    if (usesSlowStart && hasReturned && !starting.delete(load) && !hadTraffic(before, known)) load.warmingSince = now
  })
}
