/**
 * Who gets a try: what the strategy proposes, within the rules that hold for every strategy.
 *
 * Owns the picker for the endpoints that are eligible now, and takes notice of the pool. A proposal is not taken where
 * the endpoint was tried, is full, or is warming and it is not its turn; then the strategy is asked again, and in the
 * end whoever has room is looked for. Not here: the limit for all endpoints together, the queue, and counting.
 */
import type * as Clock from "effect/Clock"
import * as Ref from "effect/Ref"
import type { Options } from "../../services/Balancer.ts"
import type { Endpoint, Load } from "../../services/Load.ts"
import { empty, type Pool, type PoolState } from "../../services/Pool.ts"
import * as SlowStart from "../../services/SlowStart.ts"
import { inTiers, type PickContext, type Picker, type Strategy } from "../../services/Strategy.ts"
import { follow } from "./Follow.ts"
import { Pins } from "./Pins.ts"

type Tried = ReadonlyArray<Endpoint>

/** Compares ids, because a backend whose weight has changed meanwhile is another endpoint. */
const isAmong = (tried: Tried, { backend: { id } }: Endpoint): boolean =>
  tried.some((endpoint) => endpoint.backend.id === id)

const isWarm = ({ load }: Endpoint): boolean => Number.isNaN(load.warmingSince)

/** Backups come last, and before them those that are still warming. */
const isBetter = (a: Endpoint, b: Endpoint | undefined): boolean =>
  b === undefined || a.backend.tier < b.backend.tier || (a.backend.tier === b.backend.tier && isWarm(a) && !isWarm(b))

/** Whether an endpoint is below its limit. */
export const hasRoom = ({ load }: Endpoint): boolean => load.inFlight < load.limit

const isFreeBut = (tried: Tried) => (endpoint: Endpoint): boolean =>
  hasRoom(endpoint) && isWarm(endpoint) && !isAmong(tried, endpoint)

/** What a selection chooses by. */
export interface Parts {
  readonly pool: Pool["Service"]
  readonly strategy: Strategy["Service"]
  readonly options: Options
  readonly clock: Clock.Clock
  /** From 0 to below 1. */
  readonly random: () => number
}

export class Selection {
  private readonly parts: Parts
  private readonly pins = new Pins()
  private readonly starting = new WeakSet<Load>()
  private strategy: Strategy["Service"]
  private known: PoolState = empty
  private eligible: ReadonlyArray<Endpoint> = []
  private picker: Picker
  /** Where the search begins when the strategy proposes nobody who can be taken. */
  private cursor = 0

  constructor(parts: Parts) {
    this.parts = parts
    this.strategy = inTiers(parts.strategy)
    this.picker = this.strategy.make(this.eligible)
  }

  /** The picker, which is told of what becomes of its picks. */
  get observer(): Picker {
    return this.picker
  }

  /** The pool as it is now, of which notice is taken. */
  current(): PoolState {
    const { clock, options, pool } = this.parts
    const state = Ref.getUnsafe(pool.state)
    if (state !== this.known) {
      follow(this.known, state, options, clock.currentTimeMillisUnsafe(), this.starting)
      this.known = state
    }
    return state
  }

  /** Goes on with another strategy. */
  swap(strategy: Strategy["Service"]): void {
    this.strategy = inTiers(strategy)
    this.picker = this.strategy.make(this.eligible)
  }

  /** Where an exchange has to go, if it is pinned and its backend may be used and was not tried. */
  pinnedTo({ isUpgrade, pinned }: PickContext, tried: Tried): Endpoint | undefined {
    if (pinned === undefined) return undefined
    const endpoint = this.pins.endpointOf(this.current(), pinned, isUpgrade === true)
    return endpoint === undefined || isAmong(tried, endpoint) ? undefined : endpoint
  }

  /** Whether there is nobody left whom an exchange could get if there were room. */
  isHopeless(context: PickContext, tried: Tried): boolean {
    return this.current().eligible.every((endpoint) => isAmong(tried, endpoint)) &&
      this.pinnedTo(context, tried) === undefined
  }

  /** An endpoint that has room and was not tried, as `Balancer` has it. */
  select(context: PickContext, tried: Tried): Endpoint | undefined {
    const pinned = this.pinnedTo(context, tried)
    if (pinned === undefined) return this.choose(context, tried)
    if (hasRoom(pinned)) return pinned
    // Only what has not failed yet has the time to wait.
    return tried.length === 0 ? undefined : this.choose(context, tried)
  }

  /** The same without regard to pins. */
  choose(context: PickContext, tried: Tried): Endpoint | undefined {
    const picker = this.refreshed()
    if (this.eligible.length === 0) return undefined
    return picker.pickWhere === undefined
      ? this.proposed(picker, context, tried)
      : this.ranked(picker, context, tried)
  }

  /** Of a strategy that ranks the endpoints, the one that it likes best of those that can be taken. */
  private ranked(picker: Picker, context: PickContext, tried: Tried): Endpoint | undefined {
    let passedOver: Endpoint | undefined
    // A number of tries says nothing to a strategy when one of those that were tried has left meanwhile.
    const first = tried.length === 0 ? picker.pick(context) : undefined
    if (first !== undefined && hasRoom(first)) {
      if (isWarm(first) || this.mayWarm(first)) return first
      passedOver = first
    }
    return picker.pickWhere?.(context, isFreeBut(tried)) ?? this.firstWithRoom(tried, passedOver)
  }

  /** Of another strategy, what it proposes, for once more than there are endpoints that were tried, and once again. */
  private proposed(picker: Picker, context: PickContext, tried: Tried): Endpoint | undefined {
    let passedOver: Endpoint | undefined
    for (let i = 0; i <= tried.length + 1; i++) {
      const endpoint = picker.pick(context)
      if (endpoint === undefined) return undefined
      if (!hasRoom(endpoint) || isAmong(tried, endpoint) || endpoint === passedOver) continue
      if (isWarm(endpoint) || this.mayWarm(endpoint)) return endpoint
      passedOver = endpoint
    }
    return this.firstWithRoom(tried, passedOver)
  }

  private refreshed(): Picker {
    const { eligible } = this.current()
    if (eligible !== this.eligible) {
      this.eligible = eligible
      this.picker = this.strategy.make(eligible)
    }
    return this.picker
  }

  /** Whether an endpoint that is warming gets the request that it is proposed for. */
  private mayWarm({ load }: Endpoint): boolean {
    const { clock, options, random } = this.parts
    const now = clock.currentTimeMillisUnsafe()
    // The clock may have been set back.
    if (now < load.warmingSince) load.warmingSince = now
    const factor = SlowStart.factor(now - load.warmingSince, options.slowStart)
    if (factor === 1) load.warmingSince = NaN
    return random() < factor
  }

  private firstWithRoom(tried: Tried, known?: Endpoint): Endpoint | undefined {
    const { eligible } = this
    this.cursor = (this.cursor + 1) % eligible.length
    let best = known
    for (let i = 0; i < eligible.length; i++) {
      const endpoint = eligible[(this.cursor + i) % eligible.length]!
      if (hasRoom(endpoint) && !isAmong(tried, endpoint) && isBetter(endpoint, best)) best = endpoint
    }
    return best
  }
}
