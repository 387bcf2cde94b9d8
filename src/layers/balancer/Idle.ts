/**
 * Waits until nothing is in flight on a backend. Backends are told apart by their load, because one that has left and
 * come back has another one.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Load } from "../../services/Load.ts"

export class Idle {
  private readonly awaited = new Map<Load, Deferred.Deferred<void>>()

  /** Nothing is in flight there any more. */
  notify(load: Load): void {
    const idle = this.awaited.get(load)
    if (idle === undefined) return
    this.awaited.delete(load)
    Deferred.doneUnsafe(idle, Effect.void)
  }

  /** At once, if nothing is in flight. */
  wait(load: Load): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (load.inFlight === 0) return Effect.void
      const idle = this.awaited.get(load) ?? Deferred.makeUnsafe<void>()
      this.awaited.set(load, idle)
      // Goes on in a turn of its own: whoever has waited for the last place may have it by then.
      return Deferred.await(idle).pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(this.wait(load)))
    })
  }
}
