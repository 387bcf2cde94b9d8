/**
 * Any server of the contract suite with any client around the forwarder, and backends on node:http that say what they
 * got.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpMiddleware from "effect/http/HttpMiddleware"
import type { HttpPlatform } from "effect/http/HttpPlatform"
import * as HttpServer from "effect/http/HttpServer"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as Configuration from "../../../src/layers/Configuration.ts"
import * as Static from "../../../src/layers/discovery/Static.ts"
import * as LoadBalancer from "../../../src/layers/LoadBalancer.ts"
import { strategyOf } from "../../../src/layers/strategies/index.ts"
import { AccessLog, type Completed } from "../../../src/services/AccessLog.ts"
import { Forwarder } from "../../../src/services/Forwarder.ts"
import * as Subjects from "../../contract/support/Subjects.ts"

const clients = [
  ...Subjects.clients,
  { name: "NodeHttpClient.layerNodeHttp", layer: NodeHttpClient.layerNodeHttp },
  { name: "FetchHttpClient", layer: FetchHttpClient.layer }
]

export type Client = typeof clients[number]

/** Tests for each server with each client. */
export const onEachPair = (tests: (server: Subjects.Server, client: Client) => void): void => {
  for (const server of Subjects.servers) {
    for (const client of clients) {
      describe(`the forwarder between ${server.name} and ${client.name}`, () => {
        tests(server, client)
      })
    }
  }
}

export interface Backend {
  readonly origin: string
  /** The heads of the requests that it got. */
  readonly heads: Array<Pick<Http.IncomingMessage, "headers" | "url">>
  /** The bodies of the requests that it got. */
  readonly bodies: Array<string>
}

export const closed = (server: Http.Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/** A backend that answers each request in this way when it has all of it. */
export const listening = (answer: (response: Http.ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.callback<Backend & { readonly server: Http.Server }>((resume) => {
      const heads: Backend["heads"] = []
      const bodies: Array<string> = []
      const server = Http.createServer((request, response) => {
        heads.push(request)
        let body = ""
        request.setEncoding("utf8").on("data", (piece: string) => body += piece).on("end", () => {
          bodies.push(body)
          answer(response)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as Net.AddressInfo
        resume(Effect.succeed({ origin: `http://127.0.0.1:${port}`, heads, bodies, server }))
      })
    }),
    ({ server }) => closed(server)
  )

export const fine = listening((response) => response.end("fine"))

/** An application with the forwarder in it. */
export type App = Effect.Effect<HttpServerResponse, unknown, HttpPlatform | HttpServerRequest | Scope.Scope>

interface Options {
  readonly init?: RequestInit
  /** What an application does before the forwarder has the request, and with its answer. */
  readonly around?: (handle: Forwarder["Service"]["handle"]) => App
  /**
   * Around the application, and around the sending of its answer. What it is given ends when the client has read all that
   * it gets.
   */
  readonly middleware?: (isRead: Effect.Effect<void>) => HttpMiddleware.HttpMiddleware
  /** Whether the client leaves when it has the head of the answer. */
  readonly leaves?: boolean
  /** Whether the server stops when the client has that head. */
  readonly stops?: boolean
}

/** One request through a balancer over these backends, of which the first one is asked first. */
export const send = (
  server: Subjects.Server,
  client: Client,
  backends: ReadonlyArray<Backend>,
  { around = (handle) => handle, init = {}, leaves = false, middleware, stops = false }: Options = {}
) =>
  Effect.gen(function*() {
    const settings = Configuration.make({
      to: backends.map(({ origin }) => origin),
      strategy: "first",
      health: { kind: "off" }
    })
    const completed = yield* Deferred.make<Completed>()
    const isRead = yield* Deferred.make<void>()
    const log = Layer.succeed(AccessLog, {
      write: (entry) => {
        if (entry._tag === "Completed") Deferred.doneUnsafe(completed, Effect.succeed(entry))
      }
    })
    const ends = Layer.merge(server.layer({ port: 0, shutdownTimeout: Duration.zero }), client.layer)
    const serve = Layer.unwrap(Effect.map(Forwarder, ({ handle }) => {
      const app = around(handle)
      return middleware === undefined
        ? HttpServer.serve(app)
        : HttpServer.serve(app, middleware(Deferred.await(isRead)))
    }))
    const balancer = serve.pipe(
      Layer.provide(LoadBalancer.layerForwarder(settings)),
      Layer.provide([strategyOf(settings), Static.layer(settings.to)]),
      Layer.provideMerge(ends)
    )
    const scope = yield* Scope.fork(yield* Effect.scope)
    const context = yield* Layer.buildWithScope(Layer.provide(balancer, log), scope)
    return yield* Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const url = HttpServer.formatAddress(address)
      const response = yield* Effect.promise((signal) => fetch(url, { ...init, signal }))
      if (stops) yield* Scope.close(scope, Exit.void)
      if (leaves) yield* Effect.promise(async () => response.body?.cancel())
      const text = yield* Effect.promise(() => response.text().catch(() => undefined))
      yield* Deferred.succeed(isRead, undefined)
      const { reason } = yield* Deferred.await(completed)
      const { headers, status } = response
      return {
        status,
        headers,
        text,
        isCut: text === undefined,
        reason,
        bodies: backends.flatMap(({ bodies }) => bodies)
      }
    }).pipe(Effect.provide(context))
  })
