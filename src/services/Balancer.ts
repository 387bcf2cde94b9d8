/**
 * The balancer: asks the strategy, and keeps the books of what is in flight.
 *
 * Owns the rules that hold for every strategy: an endpoint that was tried is not picked again for the same exchange, and
 * each try is counted from its begin to its end. It sends nothing itself and is not bound to HTTP.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Endpoint, Outcome } from "./Load.ts"
import type { PickContext } from "./Strategy.ts"

/** Nobody is eligible: all are down, drained or disabled, or the pool is empty. */
export class NoBackend extends Schema.TaggedError<NoBackend>()("NoBackend", {}) {
  override readonly message = "no backend is eligible"
}

/** The service that chooses an endpoint for each try. */
export class Balancer extends Context.Service<Balancer, {
  /**
   * Runs `f` with a chosen endpoint, counted as in flight for exactly as long as `f` runs. Success, failure and
   * interruption of `f` count as such.
   *
   * Use this to balance anything: database replicas, model servers, sockets.
   */
  readonly use: <A, E, R>(
    context: PickContext,
    f: (endpoint: Endpoint) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | NoBackend, R>
  /**
   * Chooses an endpoint that is not among those `tried`. The first of three steps that do what `use` does, for a data
   * path that cannot afford a closure per request; `begin` and `end` are the other two and come in pairs.
   */
  readonly select: (context: PickContext, tried?: ReadonlyArray<Endpoint>) => Endpoint | undefined
  readonly begin: (endpoint: Endpoint) => void
  readonly end: (endpoint: Endpoint, outcome: Outcome, latencyMs: number) => void
}>()("evenkeel/services/Balancer") {}
