/**
 * Who gets a try: what the strategy proposes, within the rules that hold for every strategy.
 *
 * Owns the tiers of the endpoints that are eligible now. A proposal is not taken where the endpoint was tried, is full,
 * or is warming and it is not its turn; then another one is searched for, and if there is none, in the next tier. Where
 * an exchange has tried all who are not on trial, or there are none, it gets one on trial, also beyond the one exchange
 * of that, and then one that is only ejected. Not here: the limit for all endpoints together, the queue, and counting.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Hash from "../../services/Hash.ts"
import * as Health from "../../services/Health.ts"
import type { Endpoint } from "../../services/Load.ts"
import * as Monotonic from "../../services/Monotonic.ts"
import { empty, memberOf, type PoolState } from "../../services/Pool.ts"
import * as SlowStart from "../../services/SlowStart.ts"
import type { Accepts, PickContext, Picker, Strategy } from "../../services/Strategy.ts"
import { guarded, pickerFor, type Report } from "./Guarded.ts"
import type { Limits } from "./Limits.ts"
import * as Pins from "./Pins.ts"
import type { PoolView } from "./PoolView.ts"
import { type MakePicker, type Tier, tiersOf } from "./Tiers.ts"

type Tried = ReadonlyArray<Endpoint>

/** Compares places, because a backend whose weight has changed meanwhile is another endpoint, and nowhere else. */
const isAmong = (tried: Tried, { backend: { id, origin } }: Endpoint): boolean =>
  tried.some(({ backend }) => backend.id === id && backend.origin === origin)

/** Whether an endpoint is below its limit. */
export const hasRoom = ({ load }: Endpoint): boolean => load.inFlight < load.limit

const areTried = (endpoints: ReadonlyArray<Endpoint>, tried: Tried): boolean =>
  endpoints.every((endpoint) => isAmong(tried, endpoint))

/** Whether nobody else than those on trial is left. */
const areOnTrialOrTried = (endpoints: ReadonlyArray<Endpoint>, tried: Tried): boolean =>
  endpoints.every((endpoint) => endpoint.load.isOnTrial || isAmong(tried, endpoint))

const hasRoomBut = (tried: Tried) => (endpoint: Endpoint): boolean => hasRoom(endpoint) && !isAmong(tried, endpoint)

/** Not the seed of other hashes: which keys come first to an endpoint that is warming has nothing to do with whose they are. */
const seed = 0x7761726d

/** The picker of a level, if anything was picked with it. */
const usedFor = (level: number, tiers: ReadonlyArray<Tier>): Picker | undefined => {
  for (const tier of tiers) if (tier.level === level) return tier.used
  return undefined
}

/** What a selection chooses by. */
interface Parts {
  readonly pool: PoolView
  readonly limits: Pick<Limits, "withoutTrial">
  readonly strategy: Strategy["Service"]
  readonly slowStart: SlowStart.SlowStart
  readonly clock: Clock.Clock
  /** From 0 to below 1. */
  readonly random: () => number
  /** Told of what a strategy has thrown. */
  readonly report: Report
  /** Told when a new exchange goes to a later tier although one before it is well: it is full. */
  readonly onSpill: () => void
}

export class Selection {
  private readonly parts: Parts
  private readonly usesSlowStart: boolean
  private readonly keyOf: (context: PickContext) => string | undefined
  private makePicker: MakePicker
  private usesKey: boolean
  private followed: PoolState = empty
  private tiers: ReadonlyArray<Tier> = []
  private areAllOnTrial = false
  private known: PoolState = empty
  private tiersOfEjected: ReadonlyArray<Tier> = []

  constructor(parts: Parts) {
    this.parts = parts
    this.keyOf = guarded((context) => context.key(), parts.report)
    this.makePicker = this.guarded(parts.strategy)
    this.usesKey = parts.strategy.usesKey === true
    this.usesSlowStart = Duration.toMillis(parts.slowStart.duration) > 0
  }

  /** Who picks an endpoint, if anybody does, and is to be told of what becomes of it. */
  pickerOf({ backend }: Endpoint): Picker | undefined {
    return usedFor(backend.tier, this.tiers) ?? usedFor(backend.tier, this.tiersOfEjected)
  }

  private guarded(strategy: Strategy["Service"]): MakePicker {
    return (endpoints) => pickerFor(strategy, endpoints, this.parts.report)
  }

  /** Goes on with another strategy. */
  swap(strategy: Strategy["Service"]): void {
    this.makePicker = this.guarded(strategy)
    this.usesKey = strategy.usesKey === true
    this.tiers = this.tiersOfEjected = []
    this.followed = this.known = empty
  }

  /** Where an exchange has to go, if it is pinned and its backend may be used and was not tried. */
  pinnedTo({ isUpgrade, pinned }: PickContext, tried: Tried): Endpoint | undefined {
    if (pinned === undefined) return undefined
    const state = this.parts.pool.current()
    const endpoint = Pins.endpointOf(state, pinned, isUpgrade === true) ?? this.lastWith(pinned, state, tried)
    return endpoint === undefined || isAmong(tried, endpoint) ? undefined : endpoint
  }

  /** Whether there is nobody left whom an exchange could get if there were room. */
  isHopeless(context: PickContext, tried: Tried): boolean {
    const state = this.parts.pool.current()
    return areTried(state.eligible, tried) &&
      this.ejectedIn(state).every(({ endpoints }) => areTried(endpoints, tried)) &&
      this.pinnedTo(context, tried) === undefined
  }

  /** An endpoint that has room and was not tried, as `Balancer` has it. */
  select(context: PickContext, tried: Tried): Endpoint | undefined {
    const pinned = this.pinnedTo(context, tried)
    if (pinned === undefined) return this.choose(context, tried)
    // One that is on trial is no pinned one unless it may be asked.
    if (hasRoom(pinned) || pinned.load.isOnTrial) return pinned
    // Only what has not failed yet has the time to wait.
    return tried.length === 0 ? undefined : this.choose(context, tried)
  }

  /** The endpoint with this id, if it is one of those who are asked where nobody else is left, and would be now. */
  private lastWith(id: string, state: PoolState, tried: Tried): Endpoint | undefined {
    const member = memberOf(state, id)
    if (member === undefined) return undefined
    const { endpoint, health } = member
    if (Health.isOnlyEjected(health)) return areTried(state.eligible, tried) ? endpoint : undefined
    return state.eligible.includes(endpoint) && areOnTrialOrTried(state.eligible, tried) && this.isSpare(endpoint)
      ? endpoint
      : undefined
  }

  /** Whether it could have another one if it were not on trial. */
  private isSpare({ load }: Endpoint): boolean {
    return load.inFlight < this.parts.limits.withoutTrial(load)
  }

  /** Those who are only ejected. They are looked for where they are needed. */
  private ejectedIn(state: PoolState): ReadonlyArray<Tier> {
    if (state !== this.known) {
      this.known = state
      const ejected = state.members.filter(({ health }) => Health.isOnlyEjected(health)).map(({ endpoint }) => endpoint)
      this.tiersOfEjected = tiersOf(this.makePicker, ejected, this.tiersOfEjected)
    }
    return this.tiersOfEjected
  }

  /** What `select` gives without regard to pins: of the first tier in which anybody can be taken. */
  choose(context: PickContext, tried: Tried): Endpoint | undefined {
    const state = this.parts.pool.current()
    if (state !== this.followed) this.follow(state)
    if (this.areAllOnTrial) return this.chooseLast(state, context, tried)
    return this.chooseOf(this.tiers, context, tried) ??
      (areOnTrialOrTried(state.eligible, tried) ? this.chooseLast(state, context, tried) : undefined)
  }

  private follow(state: PoolState): void {
    if (state.eligible !== this.followed.eligible) this.tiers = tiersOf(this.makePicker, state.eligible, this.tiers)
    this.areAllOnTrial = areOnTrialOrTried(state.eligible, [])
    this.followed = state
  }

  /** Of those who are asked where nobody else is left. */
  private chooseLast(state: PoolState, context: PickContext, tried: Tried): Endpoint | undefined {
    const isSpare = (endpoint: Endpoint): boolean => this.isSpare(endpoint) && !isAmong(tried, endpoint)
    return this.find(context, hasRoomBut(tried)) ?? this.find(context, isSpare) ??
      (areTried(state.eligible, tried) ? this.chooseOf(this.ejectedIn(state), context, tried) : undefined)
  }

  /** Somebody of the first tier in which anybody is accepted. */
  private find(context: PickContext, accepts: Accepts): Endpoint | undefined {
    for (const tier of this.tiers) {
      if (tier.has(accepts)) return tier.search(context, accepts)
    }
    return undefined
  }

  private chooseOf(tiers: ReadonlyArray<Tier>, context: PickContext, tried: Tried): Endpoint | undefined {
    for (const tier of tiers) {
      const endpoint = this.chooseIn(tier, context, tried)
      if (endpoint === undefined) continue
      if (tier !== tiers[0] && tried.length === 0 && !tiers[0]?.isOnTrial) this.parts.onSpill()
      return endpoint
    }
    return undefined
  }

  private chooseIn(tier: Tier, context: PickContext, tried: Tried): Endpoint | undefined {
    let passedOver: Endpoint | undefined
    // After one that was tried the strategy would often propose the same one again.
    if (tried.length === 0) {
      const first = tier.picker.pick(context)
      if (first !== undefined && hasRoom(first)) {
        const share = this.shareOf(first)
        if (share === 1 || (this.placeOf(context) ?? this.parts.random()) < share) return first
        passedOver = first
      }
    }
    const place = this.usesSlowStart ? this.placeOf(context) : undefined
    const isFree = (endpoint: Endpoint): boolean => {
      if (!hasRoom(endpoint) || isAmong(tried, endpoint)) return false
      const share = this.shareOf(endpoint)
      return share === 1 || (place !== undefined && place < share)
    }
    if (tier.has(isFree)) return tier.search(context, isFree)
    return passedOver ?? (this.usesSlowStart ? tier.search(context, hasRoomBut(tried)) : undefined)
  }

  /**
   * From which share on, of 0 to below 1, an endpoint that is warming gets the requests with this key; none where it is
   * by chance. So it is given one key after the other, each for good, and none goes to and fro.
   */
  private placeOf(context: PickContext): number | undefined {
    const key = this.usesKey ? this.keyOf(context) : undefined
    return key === undefined ? undefined : Hash.place(key, seed)
  }

  /** The part of its share that an endpoint gets: 1, unless it is warming. */
  private shareOf({ load }: Endpoint): number {
    if (Number.isNaN(load.warmingSince)) return 1
    const { clock, slowStart } = this.parts
    const now = Monotonic.millisUnsafe(clock)
    const share = SlowStart.factor(now - load.warmingSince, slowStart)
    if (share === 1) load.warmingSince = NaN
    return share
  }
}
