/** How the pool is kept: one `Ref` for the snapshot, one `PubSub` for those who follow it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Backend } from "../services/Backend.ts"
import * as Health from "../services/Health.ts"
import * as Load from "../services/Load.ts"
import * as Pool from "../services/Pool.ts"

const sameItems = <A>(a: ReadonlyArray<A>, b: ReadonlyArray<A>): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i])

const endpointsOf = (members: ReadonlyArray<Pool.Member>): ReadonlyArray<Load.Endpoint> =>
  members.map((member) => member.endpoint)

const isWell = ({ health }: Pool.Member): boolean => Health.isEligible(health)

/**
 * Those whom panic is about: the first tier in which anybody is well, because it has the traffic. All when nobody is.
 */
const concerned = (members: ReadonlyArray<Pool.Member>, well: ReadonlyArray<Pool.Member>) => {
  const tier = well.reduce((least, { endpoint: { backend } }) => Math.min(least, backend.tier), Infinity)
  return tier === Infinity ? members : members.filter(({ endpoint }) => endpoint.backend.tier === tier)
}

/**
 * The next snapshot, or the same one when nothing changed. Keeps the identity of `eligible` when
 * its items are the same.
 */
const withMembers = (
  state: Pool.PoolState,
  members: ReadonlyArray<Pool.Member>,
  { panicThreshold }: Pool.Policy
): Pool.PoolState => {
  if (sameItems(state.members, members)) return state
  const well = members.filter(isWell)
  const those = concerned(members, well)
  const wanted = those.filter(({ health }) => health.mode === "Ready").length
  const wellThere = those.filter(isWell).length
  const worthTrying = new Set(those.filter(({ health }) => Health.isWorthTrying(health)))
  const panic = wellThere < wanted * panicThreshold && worthTrying.size > wellThere
  const eligible = endpointsOf(panic ? members.filter((member) => isWell(member) || worthTrying.has(member)) : well)
  return { members, eligible: sameItems(state.eligible, eligible) ? state.eligible : eligible, panic }
}

/**
 * Whether one more may be ejected. Where its checks fail as well, or somebody of a later tier stands by, others that
 * are well will certainly do better, however many are ejected already. Where nobody is well, and all that answer are
 * offered, one is as good as the other.
 */
const mayEject = (state: Pool.PoolState, candidate: Pool.Member, policy: Pool.Policy): boolean => {
  if (policy.maxEjected === 0) return false
  const ready = state.members.filter(({ health }) => health.mode === "Ready")
  const others = ready.filter((member) => member !== candidate)
  const well = others.filter(isWell)
  const isFailing = candidate.health.probe.state === "Failing"
  const isLater = ({ endpoint }: Pool.Member): boolean => endpoint.backend.tier > candidate.endpoint.backend.tier
  if (well.length > 0 && (isFailing || well.some(isLater))) return true
  const isAnyLeft = isFailing ? state.eligible.some((one) => one !== candidate.endpoint) : well.length > 0
  if (!isAnyLeft) return false
  const ejected = others.filter(({ health }) => health.circuit._tag === "Open").length
  return ejected + 1 <= ready.length * policy.maxEjected
}

const sameBackend = (a: Backend, b: Backend): boolean =>
  a.origin === b.origin && a.weight === b.weight && a.tier === b.tier && a.zone === b.zone

const admit = (
  state: Pool.PoolState,
  backends: ReadonlyArray<Backend>,
  policy: Health.Policy
): ReadonlyArray<Pool.Member> => {
  const known = new Map(state.members.map((member) => [member.endpoint.backend.id, member]))
  const wanted = new Map(backends.map((backend) => [backend.id, backend]))
  return Array.from(wanted.values(), (backend): Pool.Member => {
    const member = known.get(backend.id)
    if (member === undefined) return { endpoint: { backend, load: Load.make() }, health: Health.initialBy(policy) }
    if (sameBackend(member.endpoint.backend, backend)) return member
    return { ...member, endpoint: { backend, load: member.endpoint.load } }
  })
}

/** A pool without members. `policy` decides how signals change health. */
export const layer = (policy: Pool.Policy = Pool.defaultPolicy): Layer.Layer<Pool.Pool> =>
  Layer.effect(
    Pool.Pool,
    Effect.gen(function*() {
      const state = yield* Ref.make(Pool.empty)
      // Snapshots replace each other, so a subscriber that sleeps needs the latest few and not all of them.
      const pubsub = yield* PubSub.sliding<Pool.PoolState>({ capacity: 16, replay: 1 })
      yield* PubSub.publish(pubsub, Pool.empty)

      // One update at a time and each to its end, so that none is lost and all are shown in the order in which they
      // happened: fibers give way between any two operations.
      const lock = yield* Semaphore.make(1)
      const update = (next: (state: Pool.PoolState, now: number) => ReadonlyArray<Pool.Member>) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const before = Ref.getUnsafe(state)
          const after = withMembers(before, next(before, now), policy)
          return after === before
            ? Effect.void
            : Effect.andThen(Ref.set(state, after), PubSub.publish(pubsub, after))
        }).pipe(Semaphore.withPermit(lock), Effect.uninterruptible)

      return Pool.Pool.of({
        state,
        reconcile: (backends) => update((current) => admit(current, backends, policy)),
        signal: (id, signal) =>
          update((current, now) =>
            current.members.map((member) => {
              if (member.endpoint.backend.id !== id) return member
              if (signal._tag === "Tripped" && !mayEject(current, member, policy)) return member
              const health = Health.transition(member.health, signal, now, policy)
              return health === member.health ? member : { ...member, health }
            })
          ),
        changes: Stream.fromPubSub(pubsub)
      })
    })
  )
