/**
 * The engine on Node's own HTTP: `NodeHttpServer` in front and undici behind, through the platform's tags.
 *
 * Owns the pair. What is specific to Node's message objects is in the folder of the same name, and nowhere else: the
 * platform's types lose part of what was on the wire, so heads are attached to them (`Message`) on receipt and
 * written by hand on send. Field lines keep their order, case and repetition, targets every byte, and bodies stay
 * Node streams. Any other application on this server, and any other user of this client, gets the platform's
 * behaviour, but for upgrades.
 *
 * Not forwarded by this engine: trailers, 1xx responses, upgrades.
 */
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import type { Settings } from "../services/Configuration.ts"
import type { Connector } from "../services/Connector.ts"
import * as Client from "./nodeengine/Client.ts"
import * as Connecting from "./nodeengine/Connecting.ts"
import * as Server from "./nodeengine/Server.ts"

/** Listens with node:http. Fails with `ServeError` when it cannot. */
export const layerServer = Server.layer

/** Sends with undici, over a pool of keep-alive connections for each origin. */
export const layerClient = Client.layer

/** Makes connections and nothing more, in the way of the client. */
export const layerConnector = Connecting.layer

/** Both ends, as the settings say, and the way to connect. */
export const layer = (
  { limit, listen, timeout }: Pick<Settings, "limit" | "listen" | "timeout">
): Layer.Layer<Connector | HttpClient.HttpClient | HttpServer.HttpServer, ServeError> => {
  const limits = {
    connectTimeout: timeout.connect,
    responseTimeout: timeout.response,
    idleTimeout: timeout.idle,
    headTimeout: timeout.head,
    keepAliveTimeout: timeout.keepAlive,
    backendKeepAliveTimeout: timeout.backendKeepAlive,
    backendLifetime: timeout.backendLifetime,
    headBytes: limit.head,
    maxConnections: limit.connections,
    maxConnectionsPerOrigin: limit.connectionsPerBackend
  }
  return Layer.mergeAll(
    layerServer({ ...listen, shutdownTimeout: timeout.shutdown }, limits),
    layerClient(limits),
    layerConnector(limits)
  )
}
