/**
 * The back half of Node's engine: the platform's client on undici, which sends requests that have a head attached
 * exactly as that head says, and attaches the heads of responses as they came.
 *
 * Owns what is specific to undici. Which backend a request goes to is decided by its URL, and how it is connected to by
 * `Connecting`.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type { Dispatcher } from "@effect/platform-node/Undici"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import { Readable } from "node:stream"
import { TransportFailure } from "../../services/Failure.ts"
import * as Message from "../../services/Message.ts"
import { connectorOf, loadUndici, withResets } from "./Connecting.ts"
import { defaultLimits, type Limits } from "./Limits.ts"
import { RequestBody } from "./RequestBody.ts"
import { Transmission } from "./Transmission.ts"
import { failureOf } from "./UndiciErrors.ts"
import * as UnixOrigin from "./UnixOrigin.ts"

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

  get isBroken(): boolean {
    return this.readable.errored !== null
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

/** Ends the waits that undici leaves without an end. */
const overdue = Effect.fnUntraced(function*(
  request: HttpClientRequest,
  transmission: Transmission,
  { connectTimeout, responseTimeout }: Limits
) {
  const fails = (reason: TransportFailure["reason"], message: string) =>
    new HttpClientError({
      reason: new TransportError({ request, cause: TransportFailure.make({ reason, message }) })
    })
  yield* Effect.sleep(Duration.sum(connectTimeout, undiciLateness))
  // All connections have been in use for so long.
  if (!transmission.started) return yield* fails("overloaded", "No connection was free in time")
  // Interim responses start undici's timer anew.
  let wasSent = false
  while (!wasSent) {
    wasSent = transmission.isSent
    yield* Effect.sleep(responseTimeout)
  }
  return yield* fails("headers_timeout", "No answer in time")
})

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

/** Sends with undici, over a pool of keep-alive connections for each origin. */
export const layer = (limits: Limits = defaultLimits): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, Effect.map(NodeHttpClient.makeUndici, withExactSend(limits))).pipe(
    Layer.provide(Layer.effect(
      NodeHttpClient.Dispatcher,
      loadUndici.pipe(
        Effect.flatMap(({ buildConnector, Pool }) =>
          NodeHttpClient.makeDispatcherOptions({
            // For a single connection undici would take something else, which knows no lifetime.
            factory: (origin, options) => new Pool(origin, options),
            connect: withResets(connectorOf(buildConnector, limits)),
            keepAliveTimeout: Duration.toMillis(limits.backendKeepAliveTimeout),
            // undici believes a backend that would keep it longer.
            keepAliveMaxTimeout: Duration.toMillis(limits.backendKeepAliveTimeout),
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
