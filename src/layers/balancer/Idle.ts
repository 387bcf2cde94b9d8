/** Those who wait until nothing is in flight on a backend. */
import * as Effect from "effect/Effect"
import type { Endpoint } from "../../services/Load.ts"

export class Idle {
  private readonly waiting = new Map<string, Set<() => void>>()

  /** Nothing is in flight on the backend with this id. */
  notify(id: string): void {
    if (this.waiting.size === 0) return
    const waiting = this.waiting.get(id)
    this.waiting.delete(id)
    for (const resume of waiting ?? []) resume()
  }

  /** At once, if nothing is in flight. */
  wait({ backend: { id }, load }: Endpoint): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      // Looked at here, because fibers give way between any two operations.
      if (load.inFlight === 0) return resume(Effect.void)
      const done = () => resume(Effect.void)
      const waiting = this.waiting.get(id) ?? new Set()
      this.waiting.set(id, waiting.add(done))
      return Effect.sync(() => {
        waiting.delete(done)
        if (waiting.size === 0 && this.waiting.get(id) === waiting) this.waiting.delete(id)
      })
    })
  }
}
