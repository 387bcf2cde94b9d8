/**
 * The back half of Node's engine: the platform's client on undici, which sends requests that have a head attached
 * exactly as that head says, and attaches the heads of responses as they came.
 *
 * Owns what is specific to undici and to connections to backends. Which backend a request goes to
 * is decided by its URL.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type { buildConnector, Dispatcher } from "@effect/platform-node/Undici"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Struct from "effect/Struct"
import * as Dns from "node:dns"
import type * as Net from "node:net"
import { Readable } from "node:stream"
import { parseOrigin, urlOf } from "../../services/Backend.ts"
import { Connector } from "../../services/Connector.ts"
import { TransportFailure } from "../../services/Failure.ts"
import type { FieldLines } from "../../services/Fields.ts"
import * as Message from "../../services/Message.ts"
import { defaultLimits, type Limits } from "./Limits.ts"
import { RequestBody } from "./RequestBody.ts"
import { failureOf } from "./UndiciErrors.ts"
import * as UnixOrigin from "./UnixOrigin.ts"

/** More than any backend has reason to send before its answer. */
const maxInterimResponses = 100

/** One request on its way through undici, and what was seen of its response. */
class Transmission implements Dispatcher.DispatchHandler {
  readonly head: Message.SentHead | undefined
  readonly url: string
  /** Whether a connection was there and the request began to be written. Before that, nothing can have been sent. */
  started = false
  responseHead: { readonly statusText: string; readonly fields: FieldLines } | undefined
  /** Bytes of the body that have come. */
  received = 0
  private handler: Dispatcher.DispatchHandler = {}
  private interim = 0

  constructor(head: Message.SentHead | undefined, url: string) {
    this.head = head
    this.url = url
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
    this.received += chunk.length
    this.handler.onResponseData?.(controller, chunk)
  }

  onResponseEnd(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseEnd"]>>): void {
    this.handler.onResponseEnd?.(...args)
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.handler.onResponseError?.(controller, error)
  }
}

/**
 * Sends a request whose head is attached exactly as that head says, and sets the timeouts that the platform turns off.
 */
const exactly = (limits: Limits): Dispatcher.DispatcherComposeInterceptor => (dispatch) => (request, handler) => {
  const transmission = "transmission" in request ? request.transmission : undefined
  if (!(transmission instanceof Transmission)) return dispatch(request, handler)
  const origin = UnixOrigin.ofUrl(transmission.url)
  const more = {
    ...(origin === undefined ? undefined : { origin }),
    // undici would take it from `Host`, which is the client's, and connect anew whenever that changes.
    ...(transmission.head === undefined ? undefined : { servername: transmission.head.origin }),
    headersTimeout: Duration.toMillis(limits.responseTimeout),
    bodyTimeout: Duration.toMillis(limits.idleTimeout)
  }
  const { head } = transmission
  if (head?.target === "*") {
    const message = "this engine cannot send OPTIONS *"
    throw TransportFailure.make({ reason: "not_implemented", message })
  }
  if (head === undefined) return dispatch({ ...request, ...more }, transmission.listen(handler))
  // Without a handle of ours the body is a stream already, or there is none.
  const body = request.body && head.body instanceof RequestBody ? head.body.open() : request.body
  return dispatch(
    { ...request, ...more, path: head.target, headers: [...head.fields], ...(body ? { body } : {}) },
    transmission.listen(handler)
  )
}

const explain = (error: HttpClientError, transmission: Transmission): HttpClientError => {
  const { reason } = error
  if (reason._tag !== "TransportError") return error
  const cause = failureOf(reason.cause, transmission.started)
  return new HttpClientError({ reason: new TransportError({ request: reason.request, cause }) })
}

/** The body of a response on its way to the front half of the engine. */
export class AnswerBody implements Message.ResponseBody {
  readonly readable: Readable
  private readonly transmission: { readonly received: number }

  constructor(readable: Readable, transmission: { readonly received: number }) {
    this.readable = readable
    this.transmission = transmission
  }

  get received(): number {
    return this.transmission.received
  }

  release(): void {
    this.readable.destroy()
  }
}

/** The undici body of a response, which the platform's client has but does not declare. */
const nodeBodyOf = (response: HttpClientResponse): Readable | undefined => {
  const source: unknown = "source" in response ? response.source : undefined
  if (typeof source !== "object" || source === null || !("body" in source)) return undefined
  return source.body instanceof Readable ? source.body : undefined
}

/** undici's timers are up to a second late, and its own word on a connection comes first. */
const undiciLateness = Duration.seconds(1)

/** Fails when all connections have been in use for so long: undici would wait for one without an end. */
const overdue = (request: HttpClientRequest, transmission: Transmission, { connectTimeout }: Limits) => {
  const cause = TransportFailure.make({ reason: "overloaded", message: "No connection was free in time" })
  return Effect.sleep(Duration.sum(connectTimeout, undiciLateness)).pipe(
    Effect.flatMap(() =>
      transmission.started
        ? Effect.never
        : Effect.fail(new HttpClientError({ reason: new TransportError({ request, cause }) }))
    )
  )
}

const withExactSend = (limits: Limits) => (client: HttpClient.HttpClient): HttpClient.HttpClient =>
  HttpClient.transform(client, (effect, request) => {
    const head = Message.hasSentHead(request) ? request[Message.sentHead] : undefined
    const transmission = new Transmission(head, request.url)
    // undici hands options that it does not know on to interceptors, which is how `exactly` gets this one.
    const options: Partial<Dispatcher.RequestOptions> & { readonly transmission: Transmission } = { transmission }
    return effect.pipe(
      Effect.provideService(NodeHttpClient.UndiciOptions, options),
      Effect.mapError((error) => explain(error, transmission)),
      Effect.raceFirst(overdue(request, transmission, limits)),
      Effect.map((response) => {
        const { responseHead } = transmission
        const body = nodeBodyOf(response)
        return head === undefined || responseHead === undefined || body === undefined
          ? response
          : Message.attachResponseHead(response, {
            status: response.status,
            ...responseHead,
            body: new AnswerBody(body, transmission)
          })
      })
    )
  })

const loadUndici = Effect.promise(() => import("@effect/platform-node/Undici"))

/**
 * `localhost` is both loopback addresses (RFC 6761 §6.3), whatever the hosts file says. Which of them listens
 * shows when connecting.
 */
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

/** How connections are made, unless the signal says that they are not wanted any more. */
const connecting = ({ connectTimeout }: Limits, signal?: AbortSignal) => ({
  timeout: Duration.toMillis(connectTimeout),
  allowH2: false,
  lookup,
  ...(signal === undefined ? {} : { signal })
})

/**
 * Connects to what an origin says: a name and a port, or a unix socket. The name that a certificate is checked against,
 * and that is asked for (SNI), is that of the origin as well, and never one of the request.
 */
const connectorOf = (build: typeof buildConnector, limits: Limits, signal?: AbortSignal): buildConnector.connector => {
  const options = connecting(limits, signal)
  const connect = build(options)
  return (asked, callback) => {
    const to = Struct.omit(asked, ["servername"])
    const socketPath = UnixOrigin.pathOf(to.hostname)
    return socketPath === undefined ? connect(to, callback) : build({ ...options, socketPath })(to, callback)
  }
}

/** Makes a connection as the client does, and closes it. Other origins than those of backends of HTTP fail. */
export const layerConnector = (limits: Limits = defaultLimits): Layer.Layer<Connector> =>
  Layer.effect(
    Connector,
    Effect.map(loadUndici, ({ buildConnector }) =>
      Connector.of({
        connect: (origin) =>
          Effect.callback((resume, signal) => {
            const url = parseOrigin(origin) === origin
              ? new URL(UnixOrigin.ofUrl(urlOf(origin, "")) ?? origin)
              : undefined
            if (url === undefined) {
              const message = `no address to connect to: ${origin}`
              return resume(TransportFailure.make({ reason: "bad_request", message }))
            }
            const { host, port, protocol } = url
            const hostname = url.hostname.replace(/^\[|\]$/g, "")
            const connect = connectorOf(buildConnector, limits, signal)
            connect({ host, hostname, port, protocol }, (...[error, socket]) => {
              socket?.destroy()
              resume(error === null ? Effect.void : failureOf(error, false))
            })
          })
      }))
  )

/** Sends with undici, over a pool of keep-alive connections for each origin. */
export const layer = (limits: Limits = defaultLimits): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, Effect.map(NodeHttpClient.makeUndici, withExactSend(limits))).pipe(
    Layer.provide(Layer.effect(
      NodeHttpClient.Dispatcher,
      loadUndici.pipe(
        Effect.flatMap(({ buildConnector }) =>
          NodeHttpClient.makeDispatcherOptions({
            connect: withResets(connectorOf(buildConnector, limits)),
            keepAliveTimeout: Duration.toMillis(limits.backendKeepAliveTimeout),
            clientTtl: Duration.toMillis(limits.backendLifetime),
            connections: limits.maxConnectionsPerOrigin,
            maxHeaderSize: limits.headBytes,
            allowH2: false
          })
        ),
        Effect.map((dispatcher) => dispatcher.compose(exactly(limits)))
      )
    ))
  )
