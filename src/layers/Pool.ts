/** How the pool is kept: one `Ref` for the snapshot, one `PubSub` for those who follow it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equivalence from "effect/Equivalence"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Backend } from "../services/Backend.ts"
import * as Health from "../services/Health.ts"
import * as Load from "../services/Load.ts"
import * as Pool from "../services/Pool.ts"
import { Census, isOffered, sameOffer } from "./pool/Census.ts"

const sameMembers = Equivalence.Array(Equivalence.strictEqual<Pool.Member>())

const sameEndpoints = Equivalence.Array(Equivalence.strictEqual<Load.Endpoint>())

/** The place of an endpoint among the eligible, or the place that it would have: both lists are in the same order. */
const placeOf = (eligible: ReadonlyArray<Load.Endpoint>, position: number, positions: Pool.PoolState["positions"]) => {
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

const positionsOf = (members: ReadonlyArray<Pool.Member>): Pool.PoolState["positions"] =>
  new Map(members.map(({ endpoint }, position) => [endpoint.backend.id, position]))

const sameIds = (a: ReadonlyArray<Pool.Member>, b: ReadonlyArray<Pool.Member>): boolean =>
  a.length === b.length && a.every(({ endpoint }, i) => endpoint.backend.id === b[i]!.endpoint.backend.id)

const admit = (
  state: Pool.PoolState,
  backends: ReadonlyArray<Backend>,
  policy: Health.Policy
): ReadonlyArray<Pool.Member> => {
  const wanted = new Map(backends.map((backend) => [backend.id, backend]))
  return Array.from(wanted.values(), (backend): Pool.Member => {
    const member = Pool.memberOf(state, backend.id)
    if (member === undefined) return { endpoint: { backend, load: Load.make() }, health: Health.initialBy(policy) }
    if (sameBackend(member.endpoint.backend, backend)) return member
    return { ...member, endpoint: { backend, load: member.endpoint.load } }
  })
}

/** The length at which the journal of a small pool is begun anew. */
const minJournal = 1_000

/** A pool without members. `policy` decides how signals change health. */
export const layer = (given: Pool.Policy = Pool.defaultPolicy): Layer.Layer<Pool.Pool> => {
  const policy = Pool.checked(given)
  return Layer.effect(
    Pool.Pool,
    Effect.gen(function*() {
      const state = yield* Ref.make(Pool.empty)
      // Snapshots replace each other, so a subscriber that sleeps needs the latest few and not all of them.
      const pubsub = yield* PubSub.sliding<Pool.PoolState>({ capacity: 16, replay: 1 })
      yield* PubSub.publish(pubsub, Pool.empty)

      const census = new Census()
      let offer = census.offer(policy)
      let journal: Array<number> = []

      /** Those who are offered traffic, looked for among all. */
      const offered = (members: ReadonlyArray<Pool.Member>, known: ReadonlyArray<Load.Endpoint>) => {
        const eligible = members.filter((member) => isOffered(member, offer)).map(({ endpoint }) => endpoint)
        return sameEndpoints(known, eligible) ? known : eligible
      }

      /** The snapshot with these members, or the same one when they are the same. */
      const withMembers = (before: Pool.PoolState, members: ReadonlyArray<Pool.Member>): Pool.PoolState => {
        if (sameMembers(before.members, members)) return before
        census.reset(members)
        offer = census.offer(policy)
        return {
          members,
          positions: sameIds(before.members, members) ? before.positions : positionsOf(members),
          eligible: offered(members, before.eligible),
          panic: offer.panic,
          journal: journal = [],
          written: 0
        }
      }

      /** The snapshot with another member in this place: a copy of the lists, and no look at the others. */
      const withMember = (before: Pool.PoolState, position: number, member: Pool.Member): Pool.PoolState => {
        const known = before.members[position]!
        const members = before.members.slice()
        members[position] = member
        // Whoever is so far behind looks at all members just as fast.
        if (journal.length > Math.max(minJournal, members.length)) journal = []
        journal.push(position)
        const change = { members, journal, written: journal.length }
        census.replace(known, member)
        const earlier = offer
        offer = census.offer(policy)
        if (!sameOffer(earlier, offer)) {
          return { ...before, ...change, eligible: offered(members, before.eligible), panic: offer.panic }
        }
        const isIn = isOffered(member, offer)
        if (isOffered(known, offer) === isIn) return { ...before, ...change }
        const eligible = before.eligible.slice()
        const place = placeOf(eligible, position, before.positions)
        if (isIn) eligible.splice(place, 0, member.endpoint)
        else eligible.splice(place, 1)
        return { ...before, ...change, eligible }
      }

      const withSignal = (before: Pool.PoolState, id: string, signal: Health.Signal, now: number): Pool.PoolState => {
        const position = before.positions.get(id)
        if (position === undefined) return before
        const member = before.members[position]!
        if (signal._tag === "Tripped" && !census.mayEject(member, before.eligible, policy)) return before
        const health = Health.transition(member.health, signal, now, policy)
        return health === member.health ? before : withMember(before, position, { ...member, health })
      }

      // One update at a time and each to its end, so that none is lost and all are shown in the order in which they
      // happened: fibers give way between any two operations.
      const lock = yield* Semaphore.make(1)
      const update = (next: (state: Pool.PoolState, now: number) => Pool.PoolState) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const before = Ref.getUnsafe(state)
          const after = next(before, now)
          return after === before
            ? Effect.void
            : Effect.andThen(Ref.set(state, after), PubSub.publish(pubsub, after))
        }).pipe(Semaphore.withPermit(lock), Effect.uninterruptible)

      return Pool.Pool.of({
        state,
        reconcile: (backends) => update((current) => withMembers(current, admit(current, backends, policy))),
        signal: (id, signal) => update((current, now) => withSignal(current, id, signal, now)),
        changes: Stream.fromPubSub(pubsub)
      })
    })
  )
}
