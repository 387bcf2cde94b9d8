/**
 * From one snapshot of the pool to the next one: with other members, or with another health of one of them.
 *
 * Owns what a snapshot is made of: the members, who of them is offered traffic, and the journal of changes. A change of
 * one backend costs copies of the lists, but no look at ten thousand others. Who is offered traffic is decided by
 * `Census`, and what a signal means for a backend by `Health`.
 */
import * as Equivalence from "effect/Equivalence"
import type { Backend } from "../../services/Backend.ts"
import * as Health from "../../services/Health.ts"
import * as Load from "../../services/Load.ts"
import { type Member, memberOf, type Policy, type PoolState } from "../../services/Pool.ts"
import { Census, isOffered, type Offer, sameOffer } from "./Census.ts"

const sameMembers = Equivalence.Array(Equivalence.strictEqual<Member>())

const sameEndpoints = Equivalence.Array(Equivalence.strictEqual<Load.Endpoint>())

/** The place of an endpoint among the eligible, or the place that it would have: both lists are in the same order. */
const placeOf = (eligible: ReadonlyArray<Load.Endpoint>, position: number, positions: PoolState["positions"]) => {
  let low = 0
  let high = eligible.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (positions.get(eligible[middle]!.backend.id)! < position) low = middle + 1
    else high = middle
  }
  return low
}

const sameBackend = (a: Backend, b: Backend): boolean =>
  a.origin === b.origin && a.weight === b.weight && a.tier === b.tier && a.zone === b.zone

const positionsOf = (members: ReadonlyArray<Member>): PoolState["positions"] =>
  new Map(members.map(({ endpoint }, position) => [endpoint.backend.id, position]))

const sameIds = (a: ReadonlyArray<Member>, b: ReadonlyArray<Member>): boolean =>
  a.length === b.length && a.every(({ endpoint }, i) => endpoint.backend.id === b[i]!.endpoint.backend.id)

/** The members for these backends. Who was one before keeps its load, unless it has moved, and its health. */
const admit = (state: PoolState, backends: ReadonlyArray<Backend>, policy: Policy): ReadonlyArray<Member> => {
  const wanted = new Map(backends.map((backend) => [backend.id, backend]))
  return Array.from(wanted.values(), (backend): Member => {
    const member = memberOf(state, backend.id)
    if (member === undefined) return { endpoint: { backend, load: Load.make() }, health: Health.initialBy(policy) }
    const { endpoint, health } = member
    if (sameBackend(endpoint.backend, backend)) return member
    return endpoint.backend.origin === backend.origin
      ? { endpoint: { backend, load: endpoint.load }, health }
      : { endpoint: { backend, load: Load.make() }, health: Health.moved(health) }
  })
}

/** The length at which the journal of a small pool is begun anew. */
const minJournal = 1_000

/** Makes the snapshots of one pool. Each has to be made from the one before. */
export class Snapshots {
  private readonly policy: Policy
  private readonly census = new Census()
  private offer: Offer
  private journal: Array<number> = []

  constructor(policy: Policy) {
    this.policy = policy
    this.offer = this.census.offer(policy)
  }

  /** With exactly these backends as members; the same snapshot when nothing has changed. */
  withBackends(before: PoolState, backends: ReadonlyArray<Backend>): PoolState {
    const members = admit(before, backends, this.policy)
    if (sameMembers(before.members, members)) return before
    this.census.reset(members)
    this.offer = this.census.offer(this.policy)
    return {
      members,
      positions: sameIds(before.members, members) ? before.positions : positionsOf(members),
      eligible: this.offered(members, before.eligible),
      panic: this.offer.panic,
      journal: this.journal = [],
      written: 0
    }
  }

  /** After a signal; the same snapshot when it changes nothing, or would eject more than the policy allows. */
  withSignal(before: PoolState, id: string, signal: Health.Signal, now: number): PoolState {
    const position = before.positions.get(id)
    if (position === undefined) return before
    const member = before.members[position]!
    if (signal._tag === "Tripped" && !this.census.mayEject(member, before, this.policy, now)) return before
    const health = Health.transition(member.health, signal, now, this.policy)
    return health === member.health ? before : this.withMember(before, position, { ...member, health })
  }

  /** Those who are offered traffic, looked for among all. */
  private offered(members: ReadonlyArray<Member>, known: ReadonlyArray<Load.Endpoint>): ReadonlyArray<Load.Endpoint> {
    const eligible = members.filter((member) => isOffered(member, this.offer)).map(({ endpoint }) => endpoint)
    return sameEndpoints(known, eligible) ? known : eligible
  }

  /** With another member in this place. */
  private withMember(before: PoolState, position: number, member: Member): PoolState {
    const known = before.members[position]!
    const members = before.members.slice()
    members[position] = member
    // Whoever is so far behind looks at all members just as fast.
    if (this.journal.length > Math.max(minJournal, members.length)) this.journal = []
    this.journal.push(position)
    const change = { members, journal: this.journal, written: this.journal.length }
    this.census.replace(known, member)
    const earlier = this.offer
    const offer = this.offer = this.census.offer(this.policy)
    if (!sameOffer(earlier, offer)) {
      return { ...before, ...change, eligible: this.offered(members, before.eligible), panic: offer.panic }
    }
    const isIn = isOffered(member, offer)
    if (isOffered(known, offer) === isIn) return { ...before, ...change }
    const place = placeOf(before.eligible, position, before.positions)
    const eligible = isIn ? before.eligible.toSpliced(place, 0, member.endpoint) : before.eligible.toSpliced(place, 1)
    return { ...before, ...change, eligible }
  }
}
