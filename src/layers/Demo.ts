/**
 * Small backends for the demo: real servers inside this process, which can be stopped and come back by themselves.
 *
 * Owns the backends and nothing of the load balancer in front of them.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ServeError } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as NetAddress from "effect/net/NetAddress"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import { AccessLog, type Notice } from "../services/AccessLog.ts"

/** One backend of the demo. */
export interface Options {
  /** What it calls itself in its answers. */
  readonly name: string
  /** On `localhost`. With 0 a free port is taken, and kept. */
  readonly port: number
  /** How long it stays away when it was stopped. */
  readonly downtime: Duration.Duration
}

/** 15 s: long enough to see that it is gone, short enough to wait for it. */
export const downtime = Duration.seconds(15)

/** Says who it is, and opens the latch on `POST /stop`. */
const answer = (options: Options, stopped: Deferred.Deferred<void>) =>
  Effect.gen(function*() {
    const { method, url } = yield* HttpServerRequest
    if (method !== "POST" || url !== "/stop") return HttpServerResponse.text(`Hello from ${options.name}\n`)
    yield* Effect.addFinalizer(() => Deferred.succeed(stopped, undefined))
    // The server could not close under a connection that stays open.
    return HttpServerResponse.text(`${options.name} stops for ${Duration.format(options.downtime)}\n`, {
      headers: { connection: "close" }
    })
  })

/** Listens until it is stopped, once. `onListen` is told the port. */
const serveOnce = Effect.fnUntraced(
  function*(options: Options, port: number, onListen: (port: number) => Effect.Effect<unknown>) {
    const stopped = yield* Deferred.make<void>()
    const server = yield* NodeHttpServer.make(() => Http.createServer(), {
      host: "localhost",
      port,
      gracefulShutdownTimeout: "1 second"
    })
    yield* server.serve(answer(options, stopped))
    yield* onListen(NetAddress.isInetAddress(server.address) ? server.address.port : port)
    yield* Deferred.await(stopped)
  },
  Effect.scoped
)

/**
 * Starts a backend, and keeps it until the scope closes: whenever it was stopped, it listens again after its downtime,
 * or after another one as long as somebody else has its port. Succeeds with its port as soon as it listens. Fails when
 * it cannot listen at first.
 */
export const start = Effect.fn("Demo.start")(function*(
  options: Options
): Effect.fn.Return<number, ServeError, AccessLog | Scope.Scope> {
  const log = yield* AccessLog
  const say = (level: Notice["level"], message: string) =>
    log.write({ _tag: "Notice", level, message: `${options.name} ${message}` })
  const downtime = Duration.format(options.downtime)
  const first = yield* Deferred.make<number, ServeError>()
  yield* Effect.gen(function*() {
    yield* serveOnce(options, options.port, (port) => Deferred.succeed(first, port))
    const port = yield* Deferred.await(first)
    while (true) {
      say("INFO", `has stopped; it comes back in ${downtime}`)
      yield* Effect.sleep(options.downtime)
      yield* serveOnce(options, port, () => Effect.sync(() => say("INFO", "is back"))).pipe(
        Effect.tapError(({ cause }) =>
          Effect.sync(() => say("WARN", `cannot come back, and tries again in ${downtime}: ${cause}`))
        ),
        Effect.retry(Schedule.spaced(options.downtime))
      )
    }
  }).pipe(Effect.catch((error) => Deferred.fail(first, error)), Effect.forkScoped)
  return yield* Deferred.await(first)
})
