/**
 * The engine on Node's own HTTP: `NodeHttpServer` in front and undici behind, through the platform's tags.
 *
 * Owns everything that is specific to Node's message objects. The platform's types lose part of what was on the wire, so
 * heads are attached to them (`Message`) on receipt and written by hand on send: field lines in order, case and repetition,
 * the exact request target, reason phrases, and bodies as Node streams. Any other application on this server, and any other
 * user of this client, gets the platform's behaviour, but for upgrades.
 *
 * Not forwarded by this engine: trailers, 1xx responses, upgrades.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { toServerResponse } from "@effect/platform-node/NodeHttpServerRequest"
import type { buildConnector, Dispatcher } from "@effect/platform-node/Undici"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerError, ResponseError, type ServeError } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Dns from "node:dns"
import * as Http from "node:http"
import type * as Net from "node:net"
import { pipeline, Readable } from "node:stream"
import type { Settings } from "../services/Configuration.ts"
import { TransportFailure } from "../services/Failure.ts"
import * as Message from "../services/Message.ts"
import { failureOf } from "./nodeengine/UndiciErrors.ts"

/** The limits of the engine. */
export interface Options {
  /** For a connection to a backend. */
  readonly connectTimeout: Duration.Duration
  /** From the end of the request to the head of the response. */
  readonly responseTimeout: Duration.Duration
  /** Between two reads of a body, in either direction. */
  readonly idleTimeout: Duration.Duration
}

/** 2 s to connect, 15 s to the head of the response, 60 s between two reads. */
export const defaultOptions: Options = {
  connectTimeout: Duration.seconds(2),
  responseTimeout: Duration.seconds(15),
  idleTimeout: Duration.seconds(60)
}

/** Where to listen, and how long requests in flight may take when the layer is closed. */
export interface ListenOptions {
  readonly host?: string | undefined
  readonly port: number
  readonly shutdownTimeout: Duration.Duration
}

// -----------------------------------------------------------------------------
// Requests from clients
// -----------------------------------------------------------------------------

/**
 * The body of a received request, which is read only when it is opened and only as fast as it is consumed.
 *
 * It stands between the client's connection and undici, which destroys the bodies of failed requests: that must not close
 * the connection that the error is still to be sent on.
 */
class RequestBody {
  private readonly source: Http.IncomingMessage
  private readonly response: Http.ServerResponse

  constructor(source: Http.IncomingMessage, response: Http.ServerResponse) {
    this.source = source
    this.response = response
  }

  open(): Readable {
    const { response, source } = this
    let started = false
    const onData = (chunk: Buffer) => {
      if (!body.push(chunk)) source.pause()
    }
    const onEnd = () => body.push(null)
    const body = new Readable({
      read() {
        if (!started) {
          started = true
          // RFC 9110 §10.1.1: the client waits until somebody wants the body, and only HTTP/1.1 has that.
          const waits = source.headers.expect !== undefined && source.httpVersion === "1.1"
          if (waits && !response.headersSent) response.writeContinue()
          source.on("data", onData).on("end", onEnd)
        }
        source.resume()
      },
      destroy(error, done) {
        source.off("data", onData).off("end", onEnd).pause()
        done(error)
      }
    })
    return body
  }
}

/** The node:http objects behind a request of `NodeHttpServer`. */
const nodeResponseOf = (request: HttpServerRequest): Http.ServerResponse | undefined => {
  const response = toServerResponse(request)
  return response instanceof Http.ServerResponse ? response : undefined
}

/** Cuts a connection on which nothing moves for want of the client. A backend's time is the client layer's business. */
const onIdle = (source: Http.IncomingMessage, socket: Net.Socket): void => {
  const waitsForClient = socket.writableLength > 0 || (source.readableFlowing === true && !source.complete)
  if (waitsForClient) socket.destroy()
  else socket.setTimeout(socket.timeout ?? 0)
}

const attachHead = (request: HttpServerRequest, response: Http.ServerResponse): void => {
  const { source } = request
  if (!(source instanceof Http.IncomingMessage)) return
  response.on("timeout", (socket) => onIdle(source, socket))
  if (response.socket === null) {
    // It waits behind other responses, and before Node 26 nobody tells it that the client has left.
    const leave = () => response.emit("close")
    source.socket.once("close", leave)
    response.once("close", () => source.socket.off("close", leave))
  }
  Message.attachRequestHead(request, {
    method: source.method ?? "GET",
    target: source.url ?? "/",
    fields: source.rawHeaders,
    body: new RequestBody(source, response)
  })
}

/** node:http throws at a reason phrase with bytes that RFC 9112 §4 does not allow; it says nothing anyway, so it is left out. */
const sendablePhrase = (phrase: string): string => /^[\t\x20-\x7e\x80-\xff]*$/.test(phrase) ? phrase : ""

/**
 * Breaks a response off, and with it its body, so that it never looks complete: for want of a length a client knows that only
 * by the reset (RFC 9112 §8).
 */
const cut = (out: Http.ServerResponse): void => {
  out.socket?.resetAndDestroy()
  out.destroy()
}

/** Writes a response by hand. Succeeds when its last byte is with the socket. */
const write = (
  request: HttpServerRequest,
  response: HttpServerResponse,
  out: Http.ServerResponse,
  head: Message.ResponseHead,
  body: Readable
): Effect.Effect<HttpServerResponse, HttpServerError> =>
  Effect.callback((resume) => {
    const fail = (reason: TransportFailure["reason"], error: Error) =>
      resume(Effect.fail(
        new HttpServerError({
          reason: new ResponseError({
            request,
            response,
            cause: TransportFailure.make({ reason, message: error.message })
          })
        })
      ))
    try {
      out.writeHead(head.status, sendablePhrase(head.statusText), [...head.fields])
    } catch (error) {
      body.destroy()
      return fail("protocol_error", error instanceof Error ? error : new Error(String(error)))
    }
    // A head must not wait for a body that may take any time; a body that is there already shares a packet with it.
    // `flushHeaders` would send it as UTF-8.
    if (body.readableLength === 0) out.write("", "latin1")
    // Said before `pipeline` closes the connection, which looks as if the client had left.
    const onBroken = (error: Error) => {
      cut(out)
      fail("reset_mid_body", error)
    }
    if (body.errored !== null) return onBroken(body.errored)
    body.once("error", onBroken)
    pipeline(body, out, (error) => error ? fail("client_aborted", error) : resume(Effect.succeed(response)))
    return Effect.sync(() => cut(out))
  })

/** Connections that are closed after a response that is on its way. What still comes on them is nobody's (RFC 9112 §9.6). */
const closing = new WeakSet<Net.Socket>()

/** The application with heads attached to requests, and with responses that have one written by hand. */
const withHeads = <E, R>(
  app: Effect.Effect<HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse, E | HttpServerError, R | HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest, (request) => {
    const out = nodeResponseOf(request)
    if (out === undefined) return app
    const { socket } = out.req
    if (closing.has(socket)) {
      out.destroy()
      return Effect.interrupt
    }
    attachHead(request, out)
    return Effect.flatMap(app, (response) => {
      if (response.headers["connection"] === "close") closing.add(socket)
      if (!Message.hasResponseHead(response)) return Effect.succeed(response)
      const head = response[Message.responseHead]
      return head.body instanceof Readable ? write(request, response, out, head, head.body) : Effect.succeed(response)
    })
    // The platform runs applications uninterruptibly; a client that leaves must stop its exchange at once.
  }).pipe(Effect.interruptible)

const createServer = (options: Options): Http.Server => {
  const server = Http.createServer({
    // nginx's keepalive_timeout. Above the 60 s of common cloud balancers, so that they close first and lose no request.
    keepAliveTimeout: 75_000,
    // A head that takes longer is an attack (slowloris). The check itself runs every 5 s.
    headersTimeout: 10_000,
    connectionsCheckingInterval: 5_000,
    // An upload may take any time, as long as it moves: see `server.timeout`.
    requestTimeout: 0
  })
  // Node silently drops the fields after the 2,000th; the 16 KiB limit of a head is enough of a limit.
  server.maxHeadersCount = 0
  // Of a socket on which nothing moves: see `onIdle`.
  server.timeout = Duration.toMillis(options.idleTimeout)
  // Without a listener node:http closes the connection without a word (RFC 9110 §9.3.6).
  server.on("connect", (_request, socket) => {
    socket.on("error", () => {})
    socket.end("HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", () => socket.destroy())
  })
  // Node reports a failed accept (EMFILE) here, and an event without a listener would end the process.
  server.on("error", () => {})
  return server
}

/**
 * Follows what node:http leaves open although it is to close: connections on which nothing was ever said, and those of
 * clients whose response was begun before. The result is to be called when it closes.
 */
const closer = (server: Http.Server): () => void => {
  const fresh = new Set<Net.Socket>()
  const open = new Set<Http.ServerResponse>()
  server.on("connection", (socket) => {
    fresh.add(socket)
    socket.once("close", () => fresh.delete(socket))
  })
  const onRequest = ({ socket }: Http.IncomingMessage, response: Http.ServerResponse) => {
    fresh.delete(socket)
    open.add(response)
    if (!server.listening) response.shouldKeepAlive = false
    response.once("close", () => {
      open.delete(response)
      if (!server.listening) server.closeIdleConnections()
    })
  }
  server.on("request", onRequest).on("checkContinue", onRequest)
  return () => {
    for (const socket of fresh) if (socket.bytesRead === 0) socket.destroy()
    for (const response of open) if (!response.headersSent) response.shouldKeepAlive = false
  }
}

/** Listens with node:http. Fails with `ServeError` when it cannot. */
export const layerServer = (
  listen: ListenOptions,
  options: Options = defaultOptions
): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  Layer.effect(
    HttpServer.HttpServer,
    Effect.gen(function*() {
      const node = createServer(options)
      const close = closer(node)
      const server = yield* NodeHttpServer.make(() => node, {
        port: listen.port,
        ...(listen.host === undefined ? {} : { host: listen.host }),
        gracefulShutdownTimeout: listen.shutdownTimeout
      })
      // Time is up for whoever is still there; the platform would wait for them.
      yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
      return HttpServer.make({
        address: server.address,
        serve: Effect.fnUntraced(function*(app, middleware) {
          yield* middleware === undefined ? server.serve(withHeads(app)) : server.serve(withHeads(app), middleware)
          // A request that asks for an upgrade is then one like any other; the platform would take its connection away.
          node.removeAllListeners("upgrade")
          yield* Effect.addFinalizer(() => Effect.sync(close))
        })
      })
    })
  )

// -----------------------------------------------------------------------------
// Requests to backends
// -----------------------------------------------------------------------------

/** More than any backend has reason to send before its answer. */
const maxInterimResponses = 100

/** One request on its way through undici, and what was seen of its response. */
class Transmission implements Dispatcher.DispatchHandler {
  readonly head: Message.RequestHead | undefined
  /** Whether a connection was there and the request began to be written. Before that, nothing can have been sent. */
  started = false
  responseHead: { readonly statusText: string; readonly fields: Message.FieldLines } | undefined
  private handler: Dispatcher.DispatchHandler = {}
  private interim = 0

  constructor(head: Message.RequestHead | undefined) {
    this.head = head
  }

  listen(handler: Dispatcher.DispatchHandler): this {
    this.handler = handler
    return this
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.started = true
    this.handler.onRequestStart?.(controller, context)
  }

  onRequestUpgrade(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onRequestUpgrade"]>>): void {
    this.handler.onRequestUpgrade?.(...args)
  }

  onResponseStart(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>): void {
    const [controller, status, , statusText] = args
    if (status < 200 && ++this.interim > maxInterimResponses) {
      // Each of them starts undici's timer anew.
      const message = "Interim responses without an end"
      return controller.abort(TransportFailure.make({ reason: "protocol_error", message }))
    }
    const { rawHeaders } = controller
    if (Array.isArray(rawHeaders)) {
      const fields = rawHeaders.map((part) => (typeof part === "string" ? part : part.toString("latin1")))
      // undici decodes the phrase as UTF-8; heads hold bytes.
      this.responseHead = { statusText: Buffer.from(statusText ?? "").toString("latin1"), fields }
    }
    this.handler.onResponseStart?.(...args)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.handler.onResponseData?.(controller, chunk)
  }

  onResponseEnd(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseEnd"]>>): void {
    this.handler.onResponseEnd?.(...args)
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.handler.onResponseError?.(controller, error)
  }
}

/** Sends a request whose head is attached exactly as that head says, and sets the timeouts that the platform turns off. */
const exactly = (options: Options): Dispatcher.DispatcherComposeInterceptor => (dispatch) => (request, handler) => {
  const transmission = "transmission" in request ? request.transmission : undefined
  if (!(transmission instanceof Transmission)) return dispatch(request, handler)
  const timeouts = {
    headersTimeout: Duration.toMillis(options.responseTimeout),
    bodyTimeout: Duration.toMillis(options.idleTimeout)
  }
  const { head } = transmission
  if (head === undefined) return dispatch({ ...request, ...timeouts }, transmission.listen(handler))
  // Without a handle of ours the body is a stream already, or there is none.
  const body = request.body && head.body instanceof RequestBody ? head.body.open() : request.body
  return dispatch(
    { ...request, ...timeouts, path: head.target, headers: [...head.fields], ...(body ? { body } : {}) },
    transmission.listen(handler)
  )
}

const explain = (error: HttpClientError, transmission: Transmission): HttpClientError => {
  const { reason } = error
  if (reason._tag !== "TransportError") return error
  const cause = failureOf(reason.cause, transmission.started)
  return new HttpClientError({ reason: new TransportError({ request: reason.request, cause }) })
}

/** The undici body of a response, which the platform's client has but does not declare. */
const nodeBodyOf = (response: HttpClientResponse): Readable | undefined => {
  const source: unknown = "source" in response ? response.source : undefined
  if (typeof source !== "object" || source === null || !("body" in source)) return undefined
  return source.body instanceof Readable ? source.body : undefined
}

const withExactSend = (client: HttpClient.HttpClient): HttpClient.HttpClient =>
  HttpClient.transform(client, (effect, request) => {
    const transmission = new Transmission(Message.hasRequestHead(request) ? request[Message.requestHead] : undefined)
    // undici hands options that it does not know on to interceptors, which is how `exactly` gets this one.
    const options: Partial<Dispatcher.RequestOptions> & { readonly transmission: Transmission } = { transmission }
    return effect.pipe(
      Effect.provideService(NodeHttpClient.UndiciOptions, options),
      Effect.mapError((error) => explain(error, transmission)),
      Effect.map((response) => {
        const { head, responseHead } = transmission
        const body = nodeBodyOf(response)
        return head === undefined || responseHead === undefined || body === undefined
          ? response
          : Message.attachResponseHead(response, { status: response.status, ...responseHead, body })
      })
    )
  })

const loadUndici = Effect.promise(() => import("@effect/platform-node/Undici"))

/** `localhost` is both loopback addresses (RFC 6761 §6.3), whatever the hosts file says. Which of them listens shows when connecting. */
const lookup: Net.LookupFunction = (hostname, options, callback) =>
  hostname === "localhost" && options.all
    ? callback(null, [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }])
    : Dns.lookup(hostname, options, callback)

/** undici takes a reset for the end of a body without a length; under another name it is an error (RFC 9112 §8). */
const withResets = (connect: buildConnector.connector): buildConnector.connector => (options, callback) =>
  connect(options, (...[error, socket]) => {
    if (error !== null) return callback(error, null)
    socket.prependListener("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET") error.code = "EPIPE"
    })
    callback(null, socket)
  })

/** Sends with undici, over a pool of keep-alive connections for each origin. */
export const layerClient = (options: Options = defaultOptions): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, Effect.map(NodeHttpClient.makeUndici, withExactSend)).pipe(
    Layer.provide(Layer.effect(
      NodeHttpClient.Dispatcher,
      loadUndici.pipe(
        Effect.flatMap(({ buildConnector }) =>
          NodeHttpClient.makeDispatcherOptions({
            connect: withResets(
              buildConnector({ timeout: Duration.toMillis(options.connectTimeout), allowH2: false, lookup })
            ),
            // Node's own servers close idle connections after 5 s; a request must not run into that.
            keepAliveTimeout: 4_000,
            allowH2: false
          })
        ),
        Effect.map((dispatcher) => dispatcher.compose(exactly(options)))
      )
    ))
  )

/** Both ends, as the settings say. */
export const layer = (
  { listen, timeout }: Pick<Settings, "listen" | "timeout">
): Layer.Layer<HttpClient.HttpClient | HttpServer.HttpServer, ServeError> => {
  const options = { connectTimeout: timeout.connect, responseTimeout: timeout.response, idleTimeout: timeout.idle }
  return Layer.merge(
    layerServer({ ...listen, shutdownTimeout: timeout.shutdown }, options),
    layerClient(options)
  )
}
