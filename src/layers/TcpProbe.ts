/**
 * The TCP health check: whether a connection can be made, in the way of the traffic, with TLS where that has it.
 *
 * It sees that somebody listens, and not that anybody works: a program that hangs is still connected to by its system.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Connector } from "../services/Connector.ts"
import * as Probe from "../services/Probe.ts"
import * as Validate from "../services/Validate.ts"

/** Where to connect to, and how long to wait for the connection. */
export interface Options extends Probe.Place {
  readonly timeout: Duration.Duration
}

/** Within 2 s. */
export const defaultOptions: Options = { timeout: Duration.seconds(2) }

/** Checks that a connection can be made, with the `Connector` that comes with the engine. */
export const layer = (options: Options = defaultOptions): Layer.Layer<Probe.Probe, never, Connector> => {
  Validate.time("timeout", options.timeout)
  return Layer.effect(
    Probe.Probe,
    Effect.map(Connector, (connector) =>
      Probe.Probe.of({
        check: ({ origin }) =>
          connector.connect(Probe.originToCheck(origin, options)).pipe(
            Effect.as("connected"),
            Effect.catchTag("TransportFailure", (failure) => Effect.fail(Probe.fromFailure(failure, options, origin))),
            Probe.within(options.timeout)
          )
      }))
  )
}
