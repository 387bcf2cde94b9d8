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

export class WaitingLine {
  /** In the order in which they came. */
  private readonly waiters = new Set<Waiter>()
  /** How many of them are pinned. */
  private pinned = 0
  private readonly options: Pick<Queue, "size" | "order">

  constructor(options: Pick<Queue, "size" | "order">) {
    this.options = options
  }

  get isEmpty(): boolean {
    return this.waiters.size === 0
  }

  /** Whether there was a place. */
  join(waiter: Waiter): boolean {
    const { order, size } = this.options
    if (this.waiters.size >= size) {
      const [oldest] = this.waiters
      if (order === "oldest" || oldest === undefined) return false
      this.leave(oldest)
      oldest.turnAway()
    }
    this.waiters.add(waiter)
    if (isPinned(waiter)) this.pinned++
    return true
  }

  /** Lets those go who have nobody left to wait for. */
  dismiss(isHopeless: (waiter: Waiter) => boolean): void {
    for (const waiter of this.waiters) {
      if (!isHopeless(waiter)) continue
      this.leave(waiter)
      waiter.giveUp()
    }
  }

  leave(waiter: Waiter): void {
    if (this.waiters.delete(waiter) && isPinned(waiter)) this.pinned--
  }

  /**
   * Admits waiters in their order until the first for whom `select` finds nobody. Behind that one only those go ahead who
   * wait for a backend that they are pinned to; one that has already tried whoever has room holds nobody up.
   */
  advance(select: (waiter: Waiter) => Endpoint | undefined): void {
    let isFull = false
    const inLine = this.options.order === "oldest" ? this.waiters : [...this.waiters].toReversed()
    for (const waiter of inLine) {
      // Whoever is admitted may be done at once, and others are then admitted from there.
      if (!this.waiters.has(waiter)) continue
      if (isFull && this.pinned === 0) return
      if (isFull && !isPinned(waiter)) continue
      const endpoint = select(waiter)
      if (endpoint !== undefined) {
        this.leave(waiter)
        waiter.admit(endpoint)
      } else if (waiter.tried.length === 0 && !isPinned(waiter)) {
        isFull = true
      }
    }
  }
}
