/**
 * The rules about the pool as a whole: who is offered traffic, when there is panic, and how many may be ejected.
 *
 * Owns those rules and the counts that they need, by tier, which are updated with each change: the change of one backend
 * must not cost a look at ten thousand others. What is well is decided by `Health`.
 */
import * as Health from "../../services/Health.ts"
import { smallPool } from "../../services/HealthChecker.ts"
import type { Load } from "../../services/Load.ts"
import type { Member, Policy, PoolState } from "../../services/Pool.ts"

/** Counts of the members of a tier that the operator has not taken out: all, and by what they are. */
interface Tally {
  ready: number
  well: number
  /** Well, as far as is known: no check of it is over yet. */
  unknown: number
  /** Well, as its last checks have shown, and not on trial. */
  proven: number
  worthTrying: number
  /** Checks get no answer, although requests may. */
  silent: number
  /** Ejected, and nothing else is against it. */
  ejected: number
  /** Ejected, but its checks fail as well. */
  ejectedAndFailing: number
  /** Well, but on trial. */
  onTrial: number
}

/**
 * Who is offered traffic: who is well, and in a panic also who is worth trying. Both exceptions are about one tier,
 * the one that has the traffic.
 */
export interface Offer {
  readonly panic: boolean
  /** Whether silent members are offered as well, because nobody is better. */
  readonly isLastResort: boolean
  /** Whether those that were not checked yet wait, because enough others have passed their checks. */
  readonly provenOnly: boolean
  /** The tier that this is about; `undefined` is everybody. */
  readonly tier: number | undefined
}

const isWell = ({ health }: Member): boolean => Health.isEligible(health)

const isUnknown = (member: Member): boolean => isWell(member) && member.health.probe.state === "Unknown"

const isOnTrial = (member: Member): boolean => isWell(member) && Health.isOnTrial(member.health)

/** A trial of which so many milliseconds have passed, and that nobody takes, is none that is waited for. */
const idleAfter = 5_000

/**
 * Whether nobody can take the trial now. What is beside the place of a trial was there before it, such as tunnels, and
 * may stay for hours; where it leaves no place, there is no trial, and nobody must be left to it.
 */
const isTaken = ({ inFlight, isOnTrial, limit }: Load): boolean => isOnTrial ? inFlight >= limit : inFlight > 0

const isIdle = (member: Member, now: number): boolean =>
  isOnTrial(member) && !isTaken(member.endpoint.load) && now - member.health.changed.circuit.at >= idleAfter

const isProven = (member: Member): boolean =>
  isWell(member) && member.health.probe.state === "Passing" && !isOnTrial(member)

/** Whether a member is offered traffic. */
export const isOffered = (member: Member, { isLastResort, panic, provenOnly, tier }: Offer): boolean => {
  const isConcerned = tier === undefined || member.endpoint.backend.tier === tier
  if (isWell(member)) return !(provenOnly && isConcerned && isUnknown(member))
  const { health } = member
  return panic && isConcerned && (Health.isWorthTrying(health) || (isLastResort && Health.isSilent(health)))
}

/** Whether the same ones are offered traffic. */
export const sameOffer = (a: Offer, b: Offer): boolean =>
  a.panic === b.panic && a.isLastResort === b.isLastResort && a.provenOnly === b.provenOnly &&
  (a.tier === b.tier || !(a.panic || a.provenOnly))

export class Census {
  private readonly tiers = new Map<number, Tally>()

  private count(member: Member, by: 1 | -1): void {
    const { endpoint: { backend: { tier } }, health } = member
    let tally = this.tiers.get(tier)
    if (tally === undefined) {
      const none = { ready: 0, well: 0, unknown: 0, proven: 0, worthTrying: 0, silent: 0 }
      tally = { ...none, ejected: 0, ejectedAndFailing: 0, onTrial: 0 }
      this.tiers.set(tier, tally)
    }
    if (health.mode !== "Ready") return
    tally.ready += by
    if (isWell(member)) tally.well += by
    if (isUnknown(member)) tally.unknown += by
    if (isProven(member)) tally.proven += by
    if (Health.isWorthTrying(health)) tally.worthTrying += by
    if (Health.isSilent(health)) tally.silent += by
    if (Health.isEjected(health)) tally[Health.isFailing(health) ? "ejectedAndFailing" : "ejected"] += by
    if (isOnTrial(member)) tally.onTrial += by
  }

  /** Counts a member that has become another one. */
  replace(before: Member, after: Member): void {
    this.count(before, -1)
    this.count(after, 1)
  }

  /** Counts everybody anew. */
  reset(members: ReadonlyArray<Member>): void {
    this.tiers.clear()
    for (const member of members) this.count(member, 1)
  }

  private sum(of: (tally: Tally) => number, isCounted: (tier: number) => boolean = () => true): number {
    let sum = 0
    for (const [tier, tally] of this.tiers) if (isCounted(tier)) sum += of(tally)
    return sum
  }

  /**
   * Both exceptions are about the first tier in which anybody is well, because it has the traffic, and about all when
   * nobody is.
   *
   * Members that were not checked yet wait only where at least as many have passed, or the first to pass would get all
   * traffic; and only where few wait, because each that passes makes another list of the eligible, and another picker.
   */
  offer({ initial, panicThreshold }: Policy): Offer {
    let first = Infinity
    for (const [tier, { well }] of this.tiers) if (well > 0) first = Math.min(first, tier)
    const tier = first === Infinity ? undefined : first
    const isConcerned = (other: number): boolean => tier === undefined || other === tier
    const ready = this.sum((tally) => tally.ready, isConcerned)
    const well = this.sum((tally) => tally.well, isConcerned)
    const worthTrying = this.sum((tally) => tally.worthTrying, isConcerned)
    const silent = this.sum((tally) => tally.silent, isConcerned)
    const isLastResort = panicThreshold > 0 && worthTrying === 0 && silent > 0
    const panic = isLastResort || (well < ready * panicThreshold && worthTrying > well)
    const unknown = this.sum((tally) => tally.unknown, isConcerned)
    const proven = this.sum((tally) => tally.proven, isConcerned)
    const provenOnly = initial === "checking" && !panic && unknown <= Math.min(proven, smallPool)
    return { panic, isLastResort, provenOnly, tier }
  }

  /**
   * Whether one more may be ejected. A member on trial takes one request at a time while others are left, and so counts
   * as ejected, unless nobody asks it: where all clients are pinned to others, its trial would never be over. One whose
   * checks fail does not count, because they have taken it out. Where the candidate's checks fail as well, or a later
   * tier stands by, those that are well will do better, however many are ejected already; and so they will for the
   * sessions of one that drains, which takes nothing else. Where nobody is well, any member is as good as the other, and
   * each that is ejected counts.
   */
  mayEject(candidate: Member, { eligible, members }: PoolState, { maxEjected }: Policy, now: number): boolean {
    if (maxEjected === 0) return false
    const { tier } = candidate.endpoint.backend
    // Looked for only where there are any, because it is a look at all.
    const idle = this.sum(({ onTrial }) => onTrial) === 0
      ? []
      : members.filter((member) => member !== candidate && isIdle(member, now))
    const inUse = ({ onTrial, well }: Tally): number => well - onTrial
    const well = this.sum(inUse) + idle.length - (isWell(candidate) && !isOnTrial(candidate) ? 1 : 0)
    const isLater = (other: number): boolean => other > tier
    const standsBy = this.sum(inUse, isLater) > 0 || idle.some(({ endpoint: { backend } }) => isLater(backend.tier))
    const isIll = Health.isFailing(candidate.health)
    if (well > 0 && (isIll || standsBy || candidate.health.mode === "Draining")) return true
    const isAnyLeft = isIll ? eligible.some((one) => one !== candidate.endpoint) : well > 0
    if (!isAnyLeft) return false
    // Who is ejected already is not ejected again, and stays as it is.
    const outOf = (tally: Tally): number => tally.ejected + tally.onTrial + (isIll ? tally.ejectedAndFailing : 0)
    const out = this.sum(outOf) - idle.length - (isOnTrial(candidate) ? 1 : 0)
    return out + 1 <= this.sum((tally) => tally.ready) * maxEjected
  }
}
