/**
 * The servers and clients that the contract suite runs on, the platform's own among them: what a stock layer promises
 * to any program, each of ours promises too. A new layer adds its row here.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as NodeServices from "@effect/platform-node/NodeServices"
import type * as Duration from "effect/Duration"
import type * as Etag from "effect/http/Etag"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import type * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Http from "node:http"
import * as NodeEngine from "../../../src/layers/NodeEngine.ts"
import * as WireClient from "../../../src/layers/wire/WireClient.ts"
import * as WireServer from "../../../src/layers/wire/WireServer.ts"

/** What an application on a server may use: the server, and what `HttpServerResponse.file` and `multipart` need. */
export type Served = HttpServer.HttpServer | HttpPlatform.HttpPlatform | Etag.Generator | NodeServices.NodeServices

/** Where to listen on 127.0.0.1, 0 for any port, and how long requests in flight may take when the layer is closed. */
export interface Listening {
  readonly port: number
  readonly shutdownTimeout: Duration.Duration
}

export interface Server {
  readonly name: ServerName
  readonly layer: (listening: Listening) => Layer.Layer<Served, ServeError>
}

export type ServerName = "NodeHttpServer" | "NodeEngine.layerServer" | "WireServer"

export const servers: ReadonlyArray<Server> = [
  {
    name: "NodeHttpServer",
    layer: ({ port, shutdownTimeout }) =>
      NodeHttpServer.layer(Http.createServer, { host: "127.0.0.1", port, gracefulShutdownTimeout: shutdownTimeout })
  },
  {
    name: "NodeEngine.layerServer",
    layer: (listening) =>
      Layer.merge(NodeEngine.layerServer({ host: "127.0.0.1", ...listening }), NodeHttpServer.layerHttpServices)
  },
  {
    name: "WireServer",
    layer: (listening) =>
      Layer.merge(WireServer.layer({ host: "127.0.0.1", ...listening }), NodeHttpServer.layerHttpServices)
  }
]

export interface Client {
  readonly name: ClientName
  readonly layer: Layer.Layer<HttpClient.HttpClient>
}

export type ClientName = "NodeHttpClient.layerUndici" | "NodeEngine.layerClient" | "WireClient"

export const clients: ReadonlyArray<Client> = [
  { name: "NodeHttpClient.layerUndici", layer: NodeHttpClient.layerUndici },
  { name: "NodeEngine.layerClient", layer: NodeEngine.layerClient() },
  { name: "WireClient", layer: WireClient.layer() }
]

/** In what a subject is known to differ, and why. It must really fail, so that one that begins to pass is noticed. */
export type Differences<Name extends string> = Readonly<Partial<Record<Name, string>>>

/**
 * A difference of our server on node:http, which gives a request that asks for an upgrade to the
 * application like any other.
 */
export const noUpgrades: Differences<ServerName> = {
  "NodeEngine.layerServer": "it takes requests for an upgrade as ordinary ones"
}
