/**
 * The front half of the wire engine: the platform's `HttpServer` on node:net, with our own codec.
 *
 * Owns listening, the fibers that work on requests, and connection limits. What happens on a connection is in
 * `ServerConnection`, and how all of them end in `OpenConnections`. Any Effect program can serve with it; a forwarder
 * gets messages as they were on the wire.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServer from "effect/http/HttpServer"
import { ServeError } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Net from "node:net"
import * as Occasionally from "../../services/Occasionally.ts"
import * as Validate from "../../services/Validate.ts"
import * as Deadlines from "./Deadlines.ts"
import * as Head from "./Head.ts"
import { OpenConnections } from "./OpenConnections.ts"
import { ServerConnection } from "./ServerConnection.ts"
import type { RefusedRequest, Timeouts } from "./ServerContext.ts"
import type { ServerExchange } from "./ServerExchange.ts"
import { ServerRequest } from "./ServerRequest.ts"
import { send } from "./ServerResponse.ts"

/** Where to listen and what to allow. Everything but the port has a default. */
export interface Options {
  /** All addresses, unless given. */
  readonly host?: string | undefined
  /** 0 is any free port. */
  readonly port: number
  /** How long requests in flight may take when the server is closed: 20 s. */
  readonly shutdownTimeout?: Duration.Input | undefined
  /** From the first byte of a head to its end: 10 s. Slower is an attack (slowloris). */
  readonly headTimeout?: Duration.Input | undefined
  /** Between two reads or writes of a body: 60 s. */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * Between two requests: 75 s as nginx has it, and above the 60 s of common cloud balancers, so that they close first.
   */
  readonly keepAliveTimeout?: Duration.Input | undefined
  /** How long heads may be: see `Head.defaultLimits`. */
  readonly headLimits?: Head.Limits | undefined
  /** Bytes of a request's body: no limit. */
  readonly maxBodyBytes?: number | undefined
  /** Connections of all clients together: no limit. What is beyond it is closed at once. */
  readonly maxConnections?: number | undefined
  /** Connections of one client's address: no limit. What is beyond it is closed at once. */
  readonly maxConnectionsPerClient?: number | undefined
  /** Told of each request that is refused before an application sees it. */
  readonly onRefused?: ((request: RefusedRequest) => void) | undefined
}

/** Waiting connections; more than Node's 511, for when many clients come at once. The system may cut it. */
const backlog = 4096

const timeoutsOf = (
  { headTimeout = "10 seconds", idleTimeout = "60 seconds", keepAliveTimeout = "75 seconds" }: Options
): Timeouts => ({
  head: Duration.toMillis(headTimeout),
  idle: Duration.toMillis(idleTimeout),
  keepAlive: Duration.toMillis(keepAliveTimeout)
})

const listen = (
  server: Net.Server,
  { host, port }: Options,
  onError: (error: Error) => void
): Effect.Effect<NetAddress.SocketAddress, ServeError> =>
  Effect.callback((resume) => {
    server.once("error", (cause) => resume(Effect.fail(new ServeError({ cause }))))
    server.listen({ port, backlog, ...(host === undefined ? {} : { host }) }, () => {
      server.removeAllListeners("error")
      server.on("error", onError)
      const address = server.address()
      resume(
        typeof address === "object" && address !== null
          ? Effect.fromResult(NetAddress.inetAddressFromIpString(address.address, address.port)).pipe(
            Effect.mapError((cause) => new ServeError({ cause }))
          )
          : Effect.fail(new ServeError({ cause: new Error("the server has no address") }))
      )
    })
  })

/** Logs that connections could not be accepted. A lack of file descriptors is not among the reasons: libuv hides it. */
const acceptFailed = Effect.map(
  Occasionally.runner,
  (say) => (error: Error): void => say(Effect.logWarning(`A connection could not be accepted: ${error.message}`))
)

/** Counts connections by client address, where that is limited. */
class PerClient {
  private readonly counts = new Map<string, number>()
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** Whether there is room for one more, which is then counted. */
  admit(socket: Net.Socket): boolean {
    const address = socket.remoteAddress ?? ""
    const count = this.counts.get(address) ?? 0
    if (count >= this.limit) return false
    this.counts.set(address, count + 1)
    socket.once("close", () => {
      const left = (this.counts.get(address) ?? 1) - 1
      if (left === 0) this.counts.delete(address)
      else this.counts.set(address, left)
    })
    return true
  }
}

/** How long requests that were interrupted may take to end. Those that cannot be interrupted may not end at all. */
const lastWords = "2 seconds"

/** Lets requests in flight end, for as long as there is time; they are over before anything that they use is closed. */
const finish = Effect.fnUntraced(function*(
  connections: OpenConnections,
  requests: ReadonlySet<Fiber.Fiber<void>>,
  { shutdownTimeout = "20 seconds" }: Options
) {
  yield* Effect.timeoutOrElse(connections.drain, {
    duration: shutdownTimeout,
    orElse: () => {
      const left = requests.size > 0
        ? `still going on: ${requests.size}`
        : `none is left, but clients are still connected: ${connections.size}`
      return Effect.logWarning(`The time for requests in flight is over; ${left}`)
    }
  })
  connections.terminate()
  yield* Effect.timeoutOrElse(Effect.interruptible(Fiber.awaitAll(requests)), {
    duration: lastWords,
    orElse: () => Effect.logWarning("There are requests that do not end although they were interrupted")
  })
  connections.destroySoon()
})

const make = Effect.fnUntraced(function*(options: Options) {
  const { maxBodyBytes = Infinity, maxConnections, maxConnectionsPerClient } = options
  const connections = new OpenConnections()
  /** The fibers that work on requests. */
  const requests = new Set<Fiber.Fiber<void>>()
  let isClosing = false
  let handle: ((exchange: ServerExchange) => void) | undefined
  /** Requests that came before there was an application. */
  const waiting: Array<ServerExchange> = []

  const say = yield* Occasionally.runner
  const shared = {
    limits: { ...(options.headLimits ?? Head.defaultLimits), bodyBytes: maxBodyBytes },
    timeouts: timeoutsOf(options),
    deadlines: yield* Deadlines.make,
    get isClosing() {
      return isClosing
    },
    handle: (exchange: ServerExchange) => handle === undefined ? void waiting.push(exchange) : handle(exchange),
    onRefused: (request: RefusedRequest) => {
      try {
        options.onRefused?.(request)
      } catch (defect) {
        say(Effect.logError("Who is told of requests that are refused has a bug", defect))
      }
    },
    onClose: (connection: ServerConnection) => connections.delete(connection)
  }

  const perClient = maxConnectionsPerClient === undefined ? undefined : new PerClient(maxConnectionsPerClient)
  const server = Net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    // Node keeps what it is told now. Later, a client that has reset its connection has no address any more.
    if (isClosing || socket.remoteAddress === undefined || perClient?.admit(socket) === false) socket.destroy()
    else connections.add(new ServerConnection(socket, shared))
  })
  if (maxConnections !== undefined) server.maxConnections = maxConnections

  const close = yield* Effect.cached(Effect.andThen(
    Effect.sync(() => {
      isClosing = true
      server.close()
    }),
    finish(connections, requests, options)
  ))
  yield* Effect.addFinalizer(() => close)
  const address = yield* listen(server, options, yield* acceptFailed)

  return HttpServer.make({
    address,
    serve: Effect.fnUntraced(function*(app, middleware) {
      const context = yield* Effect.context<never>()
      const handled = HttpEffect.toHandled(
        app,
        (request, response) => request instanceof ServerRequest ? send(request.source, request, response) : Effect.void,
        middleware
      )
      handle = (exchange) => {
        const run = Effect.runForkWith(Context.add(context, HttpServerRequest, new ServerRequest(exchange)))
        const fiber = run(handled)
        if (fiber.pollUnsafe() !== undefined) return
        exchange.fiber = fiber
        // A scope would cost 2 % of a request.
        requests.add(fiber)
        fiber.addObserver(() => requests.delete(fiber))
      }
      for (const exchange of waiting.splice(0)) if (!exchange.isAborted) handle(exchange)
      yield* Effect.addFinalizer(() => close)
    })
  })
})

const checked = (options: Options): Options => {
  Head.validate(options.headLimits)
  Validate.number("maxBodyBytes", options.maxBodyBytes, Validate.wholeNumber)
  Validate.number("maxConnections", options.maxConnections, Validate.count)
  Validate.number("maxConnectionsPerClient", options.maxConnectionsPerClient, Validate.count)
  return options
}

/** Listens. Fails with `ServeError` when it cannot. */
export const layer = (options: Options): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  Layer.effect(HttpServer.HttpServer, make(checked(options)))
