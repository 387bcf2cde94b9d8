/**
 * The wire engine: our own `HttpServer` and `HttpClient` on node:net, through the platform's tags.
 *
 * Owns the pair, as the settings say. What moves through it stays as it was on the wire: field lines with their
 * order, case and repetition, targets with every byte, trailers, interim responses and upgrades; bodies move
 * from socket to socket.
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AccessLog, refused } from "../services/AccessLog.ts"
import * as ClientAddress from "../services/ClientAddress.ts"
import type { Settings } from "../services/Configuration.ts"
import type { Connector } from "../services/Connector.ts"
import * as WireClient from "./wire/WireClient.ts"
import * as WireConnector from "./wire/WireConnector.ts"
import * as WireServer from "./wire/WireServer.ts"

/** Listens. What is refused before it becomes a request is in the log as well, if there is one. */
const layerServer = ({ limit, listen, timeout }: Pick<Settings, "limit" | "listen" | "timeout">) =>
  Layer.unwrap(Effect.map(Effect.serviceOption(AccessLog), (log) =>
    WireServer.layer({
      ...listen,
      shutdownTimeout: timeout.shutdown,
      headTimeout: timeout.head,
      idleTimeout: timeout.idle,
      keepAliveTimeout: timeout.keepAlive,
      headLimits: headLimitsOf(limit),
      maxBodyBytes: limit.body,
      maxConnections: limit.connections,
      maxConnectionsPerClient: limit.connectionsPerClient,
      onRefused: ({ client, head, reason, waitedMs }) => {
        if (Option.isNone(log)) return
        log.value.write(refused(reason, client && ClientAddress.plain(client), head, waitedMs))
      }
    })))

const headLimitsOf = ({ fields, head, target }: Settings["limit"]) => ({
  headBytes: head,
  fields,
  targetBytes: target
})

/** Both ends, as the settings say, and the way to connect. */
export const layer = (
  settings: Pick<Settings, "limit" | "listen" | "timeout">
): Layer.Layer<Connector | HttpClient.HttpClient | HttpServer.HttpServer, ServeError> => {
  const { limit, timeout } = settings
  return Layer.mergeAll(
    layerServer(settings),
    WireConnector.layer,
    WireClient.layer({
      connectTimeout: timeout.connect,
      responseTimeout: timeout.response,
      idleTimeout: timeout.idle,
      keepAliveTimeout: timeout.backendKeepAlive,
      lifetime: timeout.backendLifetime,
      maxConnectionsPerOrigin: limit.connectionsPerBackend,
      headLimits: headLimitsOf(limit)
    })
  )
}
