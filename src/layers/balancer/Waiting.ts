/**
 * How an exchange waits for an endpoint: in the line, until it is admitted, turned away, out of time, or without hope.
 *
 * Owns the end of each wait. Who is next is decided by `WaitingLine`, and who has room by `Selection`.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { type Balancer, NoBackend, Overloaded, type Queue } from "../../services/Balancer.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { Selection } from "./Selection.ts"
import type { Waiter, WaitingLine } from "./WaitingLine.ts"

const overloaded = Effect.fail(Overloaded.make({}))

const noBackend = Effect.fail(NoBackend.make({}))

/** What waits are about. */
interface Parts {
  readonly line: WaitingLine
  readonly selection: Selection
  /** Whether there is no room for anything, on any endpoint. */
  readonly isFull: () => boolean
  /** As `Balancer` has it. */
  readonly select: Balancer["Service"]["select"]
  readonly timeout: Queue["timeout"]
}

/** `wait` of the balancer. */
export const make =
  ({ isFull, line, select, selection, timeout }: Parts): Balancer["Service"]["wait"] => (context, tried, take) =>
    Effect.suspend((): Effect.Effect<Endpoint, NoBackend | Overloaded> => {
      // There may be room since it was looked for, of which nobody in the line could make use.
      let taken = select(context, tried)
      if (taken !== undefined) {
        take(taken)
        return Effect.succeed(taken)
      }
      if (selection.isHopeless(context, tried)) return noBackend
      const done = Deferred.makeUnsafe<Endpoint, NoBackend | Overloaded>()
      const waiter: Waiter = {
        context,
        tried,
        admit: (endpoint) => {
          take(taken = endpoint)
          Deferred.doneUnsafe(done, Effect.succeed(endpoint))
        },
        turnAway: () => Deferred.doneUnsafe(done, elsewhere),
        giveUp: () => Deferred.doneUnsafe(done, noBackend)
      }
      /** A pinned exchange whose backend has no room in time may go to another one. */
      const elsewhere = Effect.suspend(() => {
        line.leave(waiter)
        if (taken !== undefined) return Effect.succeed(taken)
        const other = context.pinned !== undefined && !isFull() ? selection.choose(context, tried) : undefined
        if (other === undefined) return overloaded
        take(taken = other)
        return Effect.succeed(other)
      })
      if (!line.join(waiter)) return elsewhere
      return Deferred.await(done).pipe(
        Effect.timeoutOrElse({ duration: timeout, orElse: () => elsewhere }),
        // Goes on in a turn of its own. Whoever is done at once lets the next one in, and a long line of those would be
        // more than the stack can hold.
        Effect.tap(Effect.yieldNow),
        // Whoever has stopped waiting must not be admitted any more.
        Effect.ensuring(Effect.sync(() => line.leave(waiter)))
      )
    })
