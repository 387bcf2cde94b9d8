/**
 * Waits until nothing is in flight on a backend. Backends are told apart by their load, because one that has left and
 * come back has another one.
 */
import * as Effect from "effect/Effect"
import type { Load } from "../../services/Load.ts"

export class Idle {
  private readonly waiting = new Map<Load, Set<() => void>>()

  /** Nothing is in flight there any more. */
  notify(load: Load): void {
    if (this.waiting.size === 0) return
    const waiting = this.waiting.get(load)
    this.waiting.delete(load)
    for (const resume of waiting ?? []) resume()
  }

  /** At once, if nothing is in flight. */
  wait(load: Load): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      // Looked at here, because fibers give way between any two operations.
      if (load.inFlight === 0) return resume(Effect.void)
      const done = () => resume(Effect.void)
      const waiting = this.waiting.get(load) ?? new Set()
      this.waiting.set(load, waiting.add(done))
      return Effect.sync(() => {
        waiting.delete(done)
        if (waiting.size === 0 && this.waiting.get(load) === waiting) this.waiting.delete(load)
      })
    })
  }
}
