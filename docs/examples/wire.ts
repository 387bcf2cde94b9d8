// The HTTP engine without the balancer: a router on our server, asked through our client, which
// also asks a unix socket.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { HttpClient, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as WireClient from "evenkeel/layers/wire/WireClient"
import * as WireServer from "evenkeel/layers/wire/WireServer"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"

const Routes = HttpRouter.add(
  "GET",
  "/greet/:name",
  (request) => Effect.succeed(HttpServerResponse.text(`hello from ${request.url}`))
)

// Every option but the port has a default.
const Server = WireServer.layer({ host: "localhost", port: 0, headTimeout: "5 seconds", maxBodyBytes: 1024 * 1024 })
const Client = WireClient.layer({ responseTimeout: "5 seconds", maxConnectionsPerOrigin: 64 })

/**
 * Any HTTP server on a unix socket, until the scope closes. Succeeds with its origin: the path,
 * percent-encoded, is the host.
 */
const startOnSocket = Effect.acquireRelease(
  Effect.promise(async () => {
    const folder = mkdtempSync(join(tmpdir(), "evenkeel-"))
    const path = join(folder, "app.sock")
    const server = createServer((request, response) => response.end(`${request.url} on a socket`)).listen(path)
    await once(server, "listening")
    return { folder, path, server }
  }),
  ({ folder, server }) =>
    Effect.sync(() => {
      server.close()
      rmSync(folder, { recursive: true })
    })
).pipe(Effect.map(({ path }) => `http+unix://${encodeURIComponent(path)}`))

const ask = (url: string) => HttpClient.get(url).pipe(Effect.flatMap(({ text }) => text), Effect.flatMap(Console.log))

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  yield* ask(`${HttpServer.formatAddress(address)}/greet/ann?from=%2Fhere`)
  yield* ask(`${yield* startOnSocket}/status`)
}).pipe(Effect.scoped)

const App = HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge([Server, Client])
)
NodeRuntime.runMain(Effect.provide(program, App))
