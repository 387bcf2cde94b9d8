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

export class WaitingLine {
  /** In the order in which they came. */
  private readonly waiters = new Set<Waiter>()
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
      this.waiters.delete(oldest)
      oldest.turnAway()
    }
    this.waiters.add(waiter)
    return true
  }

  /** Lets those go who have nobody left to wait for. */
  dismiss(isHopeless: (waiter: Waiter) => boolean): void {
    for (const waiter of this.waiters) {
      if (!isHopeless(waiter)) continue
      this.waiters.delete(waiter)
      waiter.giveUp()
    }
  }

  leave(waiter: Waiter): void {
    this.waiters.delete(waiter)
  }

  /**
   * Admits those for whom `select` finds an endpoint, until it finds none for the next one: where it is that one's
   * turn, nobody behind gets ahead, except of one that has tried what has room, or that waits for the backend that it
   * is pinned to. And who is pinned to a backend that only such exchanges may use takes nothing away from those before.
   */
  advance(select: (waiter: Waiter) => Endpoint | undefined): void {
    let isFull = false
    const inLine = this.options.order === "oldest" ? this.waiters : [...this.waiters].toReversed()
    for (const waiter of inLine) {
      // Whoever is admitted may be done at once, and others are then admitted from there.
      if (!this.waiters.has(waiter)) continue
      const isPinned = waiter.context.pinned !== undefined
      if (isFull && !isPinned) continue
      const endpoint = select(waiter)
      if (endpoint !== undefined) {
        this.waiters.delete(waiter)
        waiter.admit(endpoint)
      } else if (waiter.tried.length === 0 && !isPinned) {
        isFull = true
      }
    }
  }
}
