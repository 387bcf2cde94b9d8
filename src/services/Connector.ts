/**
 * The seam for making a connection and nothing more.
 *
 * Owns the interface. An engine brings it beside its `HttpClient`, so that both reach a backend in the same
 * way; `TcpProbe` uses it.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { TransportFailure } from "./Failure.ts"

/** Connects as the traffic does. */
export class Connector extends Context.Service<Connector, {
  /**
   * Connects to an origin, with TLS if it is `https:`, and closes the connection at once. It takes as long as the
   * system takes; interrupting it gives up.
   */
  readonly connect: (origin: string) => Effect.Effect<void, TransportFailure>
}>()("evenkeel/services/Connector") {}
