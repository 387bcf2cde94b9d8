/**
 * How many of each tier are well and how many are not: all that the rules about the pool as a whole have to know. It is
 * kept up to date with each change, so that one backend's change does not cost a look at ten thousand others.
 *
 * Owns those rules: who is offered traffic, panic, and how many may be ejected. Not here: what is well (`Health`).
 */
import * as Health from "../../services/Health.ts"
import { atOnce } from "../../services/HealthChecker.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { Member, Policy } from "../../services/Pool.ts"

/** How many there are that the operator has not taken out, and how many of these are what. */
interface Tally {
  ready: number
  well: number
  /** Well, as far as is known: no check of it is over yet. */
  unknown: number
  /** Well, as its last checks have shown, and not on trial. */
  proven: number
  worthTrying: number
  ejected: number
}

/**
 * Who is offered traffic: who is well, and in a panic also who is worth trying. Both exceptions are about one tier,
 * the one that has the traffic.
 */
export interface Offer {
  readonly panic: boolean
  /** Whether those that were not checked yet wait, because enough others have passed their checks. */
  readonly provenOnly: boolean
  /** The tier that this is about; `undefined` is everybody. */
  readonly tier: number | undefined
}

const isWell = ({ health }: Member): boolean => Health.isEligible(health)

const isUnknown = (member: Member): boolean => isWell(member) && member.health.probe.state === "Unknown"

const isProven = (member: Member): boolean =>
  isWell(member) && member.health.probe.state === "Passing" && !Health.isOnTrial(member.health)

/** Whether a member is offered traffic. */
export const isOffered = (member: Member, { panic, provenOnly, tier }: Offer): boolean => {
  const isConcerned = tier === undefined || member.endpoint.backend.tier === tier
  if (isWell(member)) return !(provenOnly && isConcerned && isUnknown(member))
  return panic && isConcerned && Health.isWorthTrying(member.health)
}

/** Whether the same ones are offered traffic. */
export const sameOffer = (a: Offer, b: Offer): boolean =>
  a.panic === b.panic && a.provenOnly === b.provenOnly && (a.tier === b.tier || !(a.panic || a.provenOnly))

export class Census {
  private readonly tiers = new Map<number, Tally>()

  private count(member: Member, by: 1 | -1): void {
    const { endpoint: { backend: { tier } }, health } = member
    let tally = this.tiers.get(tier)
    if (tally === undefined) {
      this.tiers.set(tier, tally = { ready: 0, well: 0, unknown: 0, proven: 0, worthTrying: 0, ejected: 0 })
    }
    if (health.mode !== "Ready") return
    tally.ready += by
    if (isWell(member)) tally.well += by
    if (isUnknown(member)) tally.unknown += by
    if (isProven(member)) tally.proven += by
    if (Health.isWorthTrying(health)) tally.worthTrying += by
    if (Health.isEjected(health)) tally.ejected += by
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
   * Who was not checked yet waits only where at least as many have passed, lest the first one to pass gets everything,
   * and only where few wait: the first checks of many are spread over seconds, and each that passes then would be
   * another list of the eligible, for which the strategy has to make a picker.
   */
  offer({ initial, panicThreshold }: Policy): Offer {
    let first = Infinity
    for (const [tier, { well }] of this.tiers) if (well > 0) first = Math.min(first, tier)
    const tier = first === Infinity ? undefined : first
    const isConcerned = (other: number): boolean => tier === undefined || other === tier
    const ready = this.sum((tally) => tally.ready, isConcerned)
    const well = this.sum((tally) => tally.well, isConcerned)
    const worthTrying = this.sum((tally) => tally.worthTrying, isConcerned)
    const panic = well < ready * panicThreshold && worthTrying > well
    const unknown = this.sum((tally) => tally.unknown, isConcerned)
    const proven = this.sum((tally) => tally.proven, isConcerned)
    const provenOnly = initial === "checking" && !panic && unknown <= Math.min(proven, atOnce)
    return { panic, provenOnly, tier }
  }

  /**
   * Whether one more may be ejected. Where its checks fail as well, or somebody of a later tier stands by, others that
   * are well will certainly do better, however many are ejected already. Where nobody is well, and all that answer are
   * offered, one is as good as the other.
   */
  mayEject(candidate: Member, eligible: ReadonlyArray<Endpoint>, { maxEjected }: Policy): boolean {
    if (maxEjected === 0) return false
    const { endpoint, health } = candidate
    const well = this.sum((tally) => tally.well) - (isWell(candidate) ? 1 : 0)
    const isFailing = health.probe.state === "Failing"
    if (well > 0 && (isFailing || this.sum((tally) => tally.well, (tier) => tier > endpoint.backend.tier) > 0)) {
      return true
    }
    const isAnyLeft = isFailing ? eligible.some((one) => one !== endpoint) : well > 0
    if (!isAnyLeft) return false
    const ejected = this.sum((tally) => tally.ejected) - (health.mode === "Ready" && Health.isEjected(health) ? 1 : 0)
    return ejected + 1 <= this.sum((tally) => tally.ready) * maxEjected
  }
}
