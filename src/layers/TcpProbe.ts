/**
 * The TCP health check: whether a connection can be made, in the way of the traffic, with TLS where that has it.
 *
 * It sees that somebody listens, and not that anybody works: a program that hangs is still connected to by its system.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Connector } from "../services/Connector.ts"
import * as Probe from "../services/Probe.ts"

/** Checks that a connection can be made, with the `Connector` that comes with the engine. */
export const layer = (place: Probe.Place = {}): Layer.Layer<Probe.Probe, never, Connector> =>
  Layer.effect(
    Probe.Probe,
    Effect.map(Connector, (connector) =>
      Probe.Probe.of({
        check: ({ origin }) =>
          connector.connect(Probe.originToCheck(origin, place)).pipe(
            Effect.as("connected"),
            Effect.catchTag("TransportFailure", (failure) => Effect.fail(Probe.fromFailure(failure, place, origin)))
          )
      }))
  )
