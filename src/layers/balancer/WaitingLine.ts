/**
 * Those that wait for room, in order. Owns the line and who is next; whether there is room is known to the balancer.
 */
import type { Queue } from "../../services/Balancer.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { PickContext } from "../../services/Strategy.ts"

/** Somebody who waits. */
export interface Waiter {
  readonly context: PickContext
  readonly tried: ReadonlyArray<Endpoint>
  /** There is room on this endpoint. */
  readonly admit: (endpoint: Endpoint) => void
  /** Has to go, for the sake of a newer one. */
  readonly turnAway: () => void
  /** Nobody is left to wait for. */
  readonly giveUp: () => void
}

const isPinned = ({ context }: Waiter): boolean => context.pinned !== undefined

/** Whom it has tried, in a word: of those that are not pinned and have tried the same, each finds somebody or none does. */
const triedBy = ({ tried }: Waiter): string =>
  tried.length === 0 ? "" : JSON.stringify(tried.map(({ backend: { id, origin } }) => `${id} ${origin}`).sort())

/** A place that was left keeps its neighbours, so that a walk along the line can go on from there. */
interface Place {
  readonly waiter: Waiter
  readonly tried: string
  older: Place | undefined
  newer: Place | undefined
}

export class WaitingLine {
  private readonly places = new Map<Waiter, Place>()
  private oldest: Place | undefined
  private newest: Place | undefined
  /** How many of them are pinned. */
  private pinned = 0
  private readonly options: Pick<Queue, "size" | "order">

  constructor(options: Pick<Queue, "size" | "order">) {
    this.options = options
  }

  get isEmpty(): boolean {
    return this.oldest === undefined
  }

  /** Whether there was a place. */
  join(waiter: Waiter): boolean {
    const { order, size } = this.options
    if (this.places.size >= size) {
      if (order === "oldest" || this.oldest === undefined) return false
      const { waiter: oldest } = this.oldest
      this.leave(oldest)
      oldest.turnAway()
    }
    const place: Place = { waiter, tried: triedBy(waiter), older: this.newest, newer: undefined }
    if (this.newest === undefined) this.oldest = place
    else this.newest.newer = place
    this.newest = place
    this.places.set(waiter, place)
    if (isPinned(waiter)) this.pinned++
    return true
  }

  /** Lets those go who have nobody left to wait for. */
  dismiss(isHopeless: (waiter: Waiter) => boolean): void {
    for (const waiter of this.places.keys()) {
      if (!isHopeless(waiter)) continue
      this.leave(waiter)
      waiter.giveUp()
    }
  }

  leave(waiter: Waiter): void {
    const place = this.places.get(waiter)
    if (place === undefined) return
    this.places.delete(waiter)
    if (isPinned(waiter)) this.pinned--
    const { newer, older } = place
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.newest = older
    else newer.older = older
  }

  /**
   * Admits waiters in their order until `select` finds no endpoint for one. Behind that one only pinned waiters are
   * admitted, to their own backends. A waiter that has tried every endpoint with room holds up only those that have tried
   * the same.
   */
  advance(select: (waiter: Waiter) => Endpoint | undefined): void {
    const isOldestFirst = this.options.order === "oldest"
    const first = isOldestFirst ? this.oldest : this.newest
    /** What those have tried who find nobody. */
    const inVain = new Set<string>()
    for (let place = first; place !== undefined; place = isOldestFirst ? place.newer : place.older) {
      const { tried, waiter } = place
      // An admitted waiter may be done at once, which advances the line from within.
      if (!this.places.has(waiter)) continue
      const isFull = inVain.has("")
      if (isFull && this.pinned === 0) return
      if ((isFull || inVain.has(tried)) && !isPinned(waiter)) continue
      const endpoint = select(waiter)
      if (endpoint !== undefined) {
        this.leave(waiter)
        waiter.admit(endpoint)
      } else if (!isPinned(waiter)) inVain.add(tried)
    }
  }
}
