/**
 * The pool: who is a member, how each is, and who is offered traffic.
 *
 * Owns membership and health, which change together in one `Ref`, a few times a minute. The numbers that change with
 * every request are not here but in `Load`, behind each endpoint. The pool never picks (`Balancer`) and never checks
 * (`HealthChecker`); it is told.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Ref from "effect/Ref"
import type * as Stream from "effect/Stream"
import type { Backend } from "./Backend.ts"
import {
  defaultPolicy as defaultHealthPolicy,
  type Health,
  isOnlyEjected,
  type Policy as HealthPolicy,
  type Signal
} from "./Health.ts"
import type { Endpoint } from "./Load.ts"
import * as Validate from "./Validate.ts"

/** An endpoint and its health. */
export interface Member {
  readonly endpoint: Endpoint
  readonly health: Health
}

/**
 * One immutable snapshot of the pool.
 *
 * `eligible` keeps its identity as long as its content is the same, so that a picker that was built for it stays valid.
 */
export interface PoolState {
  /** In the order of the configuration. */
  readonly members: ReadonlyArray<Member>
  /** Where each member is, by its id. Keeps its identity as long as the same ids are in the same places. */
  readonly positions: ReadonlyMap<string, number>
  /**
   * The endpoints that may be offered new exchanges, in the same order. Who is only ejected is not among them, and asked
   * all the same where nobody else is left.
   */
  readonly eligible: ReadonlyArray<Endpoint>
  /** Whether so few are well that ill ones are among the eligible: see `Policy`. */
  readonly panic: boolean
  /** What has changed since snapshots before: for `forEachChange`. */
  readonly journal: Journal
  /** How much of the journal is about this snapshot and those before. */
  readonly written: number
}

/**
 * The positions of the members that have changed, one after the other. Snapshots that differ in nothing else share it.
 */
export type Journal = ReadonlyArray<number>

/** The pool before discovery has spoken. */
export const empty: PoolState = {
  members: [],
  positions: new Map(),
  eligible: [],
  panic: false,
  journal: [],
  written: 0
}

/** The member with this id. */
export const memberOf = ({ members, positions }: PoolState, id: string): Member | undefined => {
  const position = positions.get(id)
  return position === undefined ? undefined : members[position]
}

/**
 * Whether requests go to anybody, as in a panic, and where who is left is ejected; otherwise each is answered 503. One
 * that is at its limit may have room soon.
 */
export const canServe = ({ eligible, members }: PoolState): boolean =>
  eligible.length > 0 || members.some(({ health }) => isOnlyEjected(health))

/**
 * Tells of each member that is not the one that it was, with what it was, if it was a member. Whoever follows the pool
 * compares a snapshot with one before by it: where the two have a journal in common, nobody else is looked at.
 */
export const forEachChange = (
  before: PoolState,
  after: PoolState,
  tell: (member: Member, known: Member | undefined) => void
): void => {
  if (before.journal === after.journal) {
    for (const position of new Set(after.journal.slice(before.written, after.written))) {
      tell(after.members[position]!, before.members[position])
    }
    return
  }
  for (const member of after.members) {
    const known = memberOf(before, member.endpoint.backend.id)
    if (member !== known) tell(member, known)
  }
}

/** The rules that concern the pool as a whole, beside those for each backend. */
export interface Policy extends HealthPolicy {
  /**
   * The share of the backends that may be ejected at once, from 0 to 1; more only where its checks fail as well, or it
   * drains, and somebody else is well, or somebody of a later tier is. One that can be used is always left, and 0 is no
   * ejection at all.
   */
  readonly maxEjected: number
  /**
   * When a smaller share than this is well, all that answer their checks at all, and are not ejected, are offered
   * traffic, from 0 to 1: the few would break down under the traffic of the many, and checks that fail everywhere are
   * more often wrong than right. 0 is never. Only the tier that has the traffic counts, which is the first one in
   * which anybody is well.
   */
  readonly panicThreshold: number
}

/**
 * Half of the pool. Envoy ejects a tenth at the most, which is none of three; its panic threshold is 50 %
 * as well, and Finagle's.
 */
export const defaultPolicy: Policy = { ...defaultHealthPolicy, maxEjected: 0.5, panicThreshold: 0.5 }

/** The same policy if it is valid. Throws otherwise. */
export const checked = (policy: Policy): Policy => {
  Validate.number("rise", policy.rise, Validate.count)
  Validate.number("fall", policy.fall, Validate.count)
  Validate.number("maxEjected", policy.maxEjected, Validate.share)
  Validate.number("panicThreshold", policy.panicThreshold, Validate.share)
  Validate.time("ejectionTime", policy.ejectionTime)
  Validate.time("maxEjectionTime", policy.maxEjectionTime)
  return policy
}

/** The service that keeps the pool. */
export class Pool extends Context.Service<Pool, {
  /**
   * The current snapshot. The data path reads it synchronously with `Ref.getUnsafe`; only the pool itself writes it.
   */
  readonly state: Ref.Ref<PoolState>
  /**
   * Makes the members exactly these backends. Idempotent: who stays keeps its health and its load, whatever else about
   * it changed, and who has moved to another origin its health. Of several backends with the same id the last one counts.
   */
  readonly reconcile: (backends: ReadonlyArray<Backend>) => Effect.Effect<void>
  /**
   * Applies a health signal to a member. A signal for an id that is no member does nothing, and neither does one that
   * would eject more than the policy allows.
   */
  readonly signal: (id: string, signal: Signal) => Effect.Effect<void>
  /**
   * The current snapshot and then each later one. A subscriber that cannot keep up misses snapshots in
   * between, never the last one.
   */
  readonly changes: Stream.Stream<PoolState>
}>()("evenkeel/services/Pool") {}
