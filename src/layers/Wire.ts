/**
 * The wire engine: our own `HttpServer` and `HttpClient` on node:net, through the platform's tags.
 *
 * Owns the pair, as the settings say. What moves through it stays as it was on the wire: field lines with their order, case
 * and repetition, targets with every byte, trailers, interim responses and upgrades; bodies move from socket to socket.
 */
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import type { Settings } from "../services/Configuration.ts"
import * as WireClient from "./wire/WireClient.ts"
import * as WireServer from "./wire/WireServer.ts"

/** Both ends, as the settings say. */
export const layer = (
  { limit, listen, timeout }: Pick<Settings, "limit" | "listen" | "timeout">
): Layer.Layer<HttpClient.HttpClient | HttpServer.HttpServer, ServeError> => {
  const headLimits = { headBytes: limit.head, fields: limit.fields, targetBytes: limit.target }
  return Layer.merge(
    WireServer.layer({
      ...listen,
      shutdownTimeout: timeout.shutdown,
      headTimeout: timeout.head,
      idleTimeout: timeout.idle,
      keepAliveTimeout: timeout.keepAlive,
      headLimits,
      maxBodyBytes: limit.body,
      maxConnections: limit.connections,
      maxConnectionsPerClient: limit.connectionsPerClient
    }),
    WireClient.layer({
      connectTimeout: timeout.connect,
      responseTimeout: timeout.response,
      idleTimeout: timeout.idle,
      keepAliveTimeout: timeout.backendKeepAlive,
      maxConnectionsPerOrigin: limit.connectionsPerBackend,
      headLimits
    })
  )
}
