/**
 * Logs changes of the pool that users care about: a backend's status, who joins, moves and leaves, traffic that goes to
 * backups, panic, and that nobody is offered traffic.
 *
 * Owns what counts as a change, and the words for it but for those about one backend's health, which are in
 * `services/HealthWords`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { AccessLog, type Entry, type Notice } from "../services/AccessLog.ts"
import * as Health from "../services/Health.ts"
import { cause } from "../services/HealthWords.ts"
import type { Endpoint } from "../services/Load.ts"
import { canServe, empty, forEachChange, type Member, memberOf, Pool, type PoolState } from "../services/Pool.ts"

/** The first tier of these; infinite when there is nobody. */
const tierOf = (endpoints: ReadonlyArray<Endpoint>): number =>
  endpoints.reduce((least, { backend: { tier } }) => Math.min(least, tier), Infinity)

const isWell = (member: Member | undefined): boolean => member !== undefined && Health.isEligible(member.health)

/** Whether it has traffic. A trial is one request at a time, unless nobody else is left, and does not count. */
const isInUse = (member: Member | undefined): boolean =>
  member !== undefined && isWell(member) && !Health.isOnTrial(member.health)

/**
 * The tier that has the traffic, if `first` is the first one of all; infinite when nobody is well, also where a panic
 * offers everybody.
 */
const tierWithTraffic = (state: PoolState, first: number): number => {
  const those = (are: typeof isInUse) => ({ backend: { id } }: Endpoint): boolean => are(memberOf(state, id))
  const inUse = those(isInUse)
  if (state.eligible.some((endpoint) => endpoint.backend.tier === first && inUse(endpoint))) return first
  const tier = tierOf(state.eligible.filter(inUse))
  return tier === Infinity ? tierOf(state.eligible.filter(those(isWell))) : tier
}

const traffic = (tier: number, first: number): Notice =>
  tier === first
    ? { _tag: "Notice", level: "INFO", message: "Backups are not needed any more" }
    : { _tag: "Notice", level: "WARN", message: `Traffic goes to backups, of tier ${tier}: nobody before is well` }

/** That one that drains cannot keep its sessions, or can again, which its status does not say. */
const pinned = ({ endpoint, health }: Member, before: Member | undefined): ReadonlyArray<Notice> => {
  if (health.mode !== "Draining" || before?.health.mode !== "Draining") return []
  const keeps = Health.isOpenToPinned(health)
  if (keeps === Health.isOpenToPinned(before.health)) return []
  const what = keeps ? "keeps its sessions again" : "cannot keep its sessions"
  const message = `${endpoint.backend.origin} drains and ${what}: ${health.why}`
  return [{ _tag: "Notice", level: "INFO", message }]
}

/** So many backends are named in one line. */
const mostNamed = 3

/** What some backends have done; nothing, if none has. */
const naming = (what: string, names: ReadonlyArray<string>): ReadonlyArray<Notice> => {
  if (names.length === 0) return []
  const more = names.length > mostNamed ? ` and ${names.length - mostNamed} more` : ""
  const message = `Backends that have ${what}: ${names.slice(0, mostNamed).join(", ")}${more}`
  return [{ _tag: "Notice", level: "INFO", message }]
}

/** The origins of those whom another state does not have. */
const missing = ({ members }: PoolState, other: PoolState): ReadonlyArray<string> =>
  members.filter(({ endpoint }) => !other.positions.has(endpoint.backend.id))
    .map(({ endpoint }) => endpoint.backend.origin)

/** Who has joined, and who has left. The first ones of all are told at the start. */
const membership = (before: PoolState, after: PoolState): ReadonlyArray<Notice> =>
  before === empty || before.positions === after.positions
    ? []
    : [...naming("joined", missing(after, before)), ...naming("left", missing(before, after))]

/** What has become of each backend. One that joins is told when its first check is in. */
const backends = (before: PoolState, after: PoolState): ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  const moves: Array<string> = []
  forEachChange(before, after, (member, was) => {
    const { endpoint: { backend: { origin } }, health } = member
    const from = was?.endpoint.backend.origin ?? origin
    if (from !== origin) moves.push(`${from} to ${origin}`)
    const status = Health.status(health)
    if (status !== (was === undefined ? "Checking" : Health.status(was.health))) {
      entries.push({ _tag: "HealthChanged", backend: origin, status, why: cause(health) })
    }
    entries.push(...pinned(member, was))
  })
  return [...entries, ...naming("moved", moves)]
}

/** From snapshots to what is said of backups. Who has the traffic is looked for only where that may have changed. */
const backups = () => {
  let first = Infinity
  let tier = Infinity
  let told: number | undefined
  return (before: PoolState, after: PoolState): ReadonlyArray<Notice> => {
    let hasOthers = after.positions !== before.positions
    let hasOtherUses = after.eligible !== before.eligible
    forEachChange(before, after, (member, was) => {
      hasOthers ||= member.endpoint !== was?.endpoint
      // In a panic the same ones may be offered although one of them is well now, or not any more.
      hasOtherUses ||= isInUse(member) !== isInUse(was) || isWell(member) !== isWell(was)
    })
    if (hasOthers) first = tierOf(after.members.map(({ endpoint }) => endpoint))
    if (hasOthers || hasOtherUses) tier = tierWithTraffic(after, first)
    const backup = tier === first ? undefined : tier
    // Where nobody is well there is no traffic, and each backend has its line.
    if (backup === told || tier === Infinity) return []
    told = backup
    return [traffic(tier, first)]
  }
}

const outageBegins: Notice = {
  _tag: "Notice",
  level: "WARN",
  message: "No backend is offered traffic: requests are answered 503"
}

const outageEnds: Notice = { _tag: "Notice", level: "INFO", message: "Backends are offered traffic again" }

/** From snapshots to what is said of outages. The first ones of all may have to pass a check first. */
const outages = () => {
  let isOut = false
  return (before: PoolState, after: PoolState): ReadonlyArray<Notice> => {
    if (before === empty || isOut !== canServe(after)) return []
    isOut = !isOut
    return [isOut ? outageBegins : outageEnds]
  }
}

/** Only the tier that has the traffic counts. */
const panicBegins = ({ eligible, members }: PoolState): Notice => {
  const tier = tierOf(eligible)
  const hasTraffic = ({ backend }: Endpoint): boolean => backend.tier === tier
  const offered = eligible.filter(hasTraffic).length
  const all = members.filter(({ endpoint }) => hasTraffic(endpoint)).length
  return {
    _tag: "Notice",
    level: "WARN",
    message: `Too few backends are well: ${offered} of ${all} are offered traffic, also ill ones`
  }
}

/** It ends when enough are well, and as well when no ill one is left that is worth trying. */
const panicEnds = ({ eligible, members }: PoolState): Notice => ({
  _tag: "Notice",
  level: "INFO",
  message: `Ill backends are not offered traffic any more: ${eligible.length} of ${members.length} are well`
})

/** An outage says enough. */
const panic = (before: PoolState, after: PoolState): ReadonlyArray<Notice> =>
  before.panic === after.panic || !canServe(after) ? [] : [after.panic ? panicBegins(after) : panicEnds(after)]

/** Follows the pool for as long as the layer lives. */
export const layer: Layer.Layer<never, never, AccessLog | Pool> = Layer.effectDiscard(
  Effect.gen(function*() {
    const log = yield* AccessLog
    const pool = yield* Pool
    const topics = [membership, backends, backups(), outages(), panic]
    let known = empty
    yield* Stream.runForEach(pool.changes, (state) =>
      Effect.sync(() => {
        const before = known
        known = state
        for (const tell of topics) for (const entry of tell(before, state)) log.write(entry)
      }).pipe(Effect.catchDefect((defect) => Effect.logError("A change of health could not be logged", defect)))).pipe(
        Effect.forkScoped
      )
  })
)
