/**
 * Draining: how a backend is taken out without a request being lost, for a deploy or for good.
 *
 * Owns the interface. A backend that drains gets no new exchanges but those that are pinned to it, and finishes what it
 * has. That it drains is a fact of its health and kept in `Pool`.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Endpoint } from "./Load.ts"

/** How a backend is drained. */
export interface Options {
  /** Tunnels, such as WebSockets, have no end of their own: those that are left after this time are cut. */
  readonly tunnels: Duration.Duration
}

/** Tunnels have 30 s, as long as requests have when the program stops. */
export const defaultOptions: Options = { tunnels: Duration.seconds(30) }

/** The backend is used again: its mode was set to `Ready`, for this reason, before it was drained. Do not stop it. */
export class TakenBack extends Schema.TaggedError<TakenBack>()("TakenBack", { id: Schema.String, why: Schema.String }) {
  override readonly message: string = `${this.id} was taken back before it was drained: ${this.why}`
}

export class Drain extends Context.Service<Drain, {
  /**
   * Begins to drain a backend, and succeeds when nothing is in flight to it any more. Requests that are in flight
   * have the time that their own limits allow. An id that is no member is drained already. To use the backend again,
   * set its mode to `Ready`, with which a drain that is not done fails.
   */
  readonly drain: (id: string, why: string, options?: Options) => Effect.Effect<void, TakenBack>
  /** A tunnel to an endpoint has been opened, which `cut` ends. Gives back what to call when it is over. */
  readonly tunnel: (endpoint: Endpoint, cut: () => void) => () => void
}>()("evenkeel/services/Drain") {}
