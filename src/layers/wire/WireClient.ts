/**
 * The back half of the wire engine: the platform's `HttpClient` on node:net, with our own codec.
 *
 * Owns the two ways to send: a forwarded request goes out exactly as its head says, and its body moves from socket to
 * socket; any other request goes the way of the platform, with its tracing.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { EncodeError, HttpClientError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import { Readable } from "node:stream"
import { originOf } from "../../services/Backend.ts"
import { TransportFailure } from "../../services/Failure.ts"
import { elementsOf } from "../../services/Fields.ts"
import * as HeaderFields from "../../services/HeaderFields.ts"
import * as Message from "../../services/Message.ts"
import { IsCheck } from "../../services/Probe.ts"
import * as Validate from "../../services/Validate.ts"
import { ClientExchange, type OutgoingBody, type Waiting } from "./ClientExchange.ts"
import { ClientResponse } from "./ClientResponse.ts"
import { targetOf } from "./Connect.ts"
import { ConnectionPool } from "./ConnectionPool.ts"
import * as Deadlines from "./Deadlines.ts"
import * as Framing from "./Framing.ts"
import { isTarget, isToken } from "./Grammar.ts"
import * as Head from "./Head.ts"
import { empty, FlowBody, fromBody } from "./OutgoingBody.ts"
import { Pools } from "./Pools.ts"
import { ServerExchange } from "./ServerExchange.ts"

/** How to reach backends. Everything has a default. */
export interface Options {
  /** For a connection: 2 s. */
  readonly connectTimeout?: Duration.Input | undefined
  /** From the end of a request to the head of its response: 15 s. */
  readonly responseTimeout?: Duration.Input | undefined
  /** Between two reads or writes of a body: 60 s. */
  readonly idleTimeout?: Duration.Input | undefined
  /** Between two requests: 4 s, because Node's own servers close after 5 s, and a request must not run into that. */
  readonly keepAliveTimeout?: Duration.Input | undefined
  /** Of a connection: 1 h, as nginx has it. An older one ends with its next answer. */
  readonly lifetime?: Duration.Input | undefined
  /** Connections of one origin: 1,024. A request beyond it waits as long as it would for a connection. */
  readonly maxConnectionsPerOrigin?: number | undefined
  /** How long heads may be: see `Head.defaultLimits`. */
  readonly headLimits?: Head.Limits | undefined
}

const transportError = (request: HttpClientRequest, cause: unknown): HttpClientError =>
  new HttpClientError({ reason: new TransportError({ request, cause }) })

/**
 * The signal of a request ends it whatever it has come to: its wait for a connection, for a response,
 * or the response's body.
 */
const releaseOn = (signal: AbortSignal, exchange: ClientExchange): void => {
  const release = () => {
    const failure = TransportFailure.make({ reason: "client_aborted", message: "the request was aborted" })
    exchange.fail(failure)
    exchange.release()
    exchange.body?.fail(failure)
  }
  if (signal.aborted) release()
  else signal.addEventListener("abort", release, { once: true })
}

/** What may be asked for beside what the head says. */
interface Wishes {
  readonly isExtra?: boolean
  readonly isLast?: boolean
  readonly signal?: AbortSignal
}

/** Sends, and waits for the head of the response. */
const transmit = (
  pools: Pools,
  request: HttpClientRequest,
  head: Message.SentHead,
  outgoing: OutgoingBody,
  { isExtra = false, isLast = false, signal }: Wishes = {}
): Effect.Effect<HttpClientResponse, HttpClientError> =>
  Effect.callback((resume) => {
    const pool = pools.of(head.origin)
    if (pool === undefined) {
      const message = `no address to connect to: ${head.origin}`
      return resume(Effect.fail(transportError(request, TransportFailure.make({ reason: "bad_request", message }))))
    }
    const waiting: Waiting = {
      onInterim: (status, statusText, fields) => {
        if (head.body instanceof ServerExchange) {
          head.body.sendInterim(status, statusText, HeaderFields.toClient(status, fields))
        }
      },
      onHead: (line) => resume(Effect.succeed(new ClientResponse(request, exchange, line))),
      onFailure: (failure) => resume(Effect.fail(transportError(request, failure)))
    }
    const exchange = new ClientExchange(head, outgoing, waiting)
    exchange.isExtra = isExtra
    exchange.isLast = isLast
    if (signal !== undefined) releaseOn(signal, exchange)
    pool.send(exchange)
    return Effect.sync(() => exchange.release())
  })

const encodeError = (request: HttpClientRequest, cause: unknown): HttpClientError =>
  new HttpClientError({ reason: new EncodeError({ request, cause }) })

/** Also what a program says in a header, which may be no length. */
const lengthOf = (request: HttpClientRequest): number | undefined => {
  const length = request.headers["content-length"]
  return length === undefined ? undefined : Framing.parseLength(length)
}

/** A body of the platform, as it goes on the wire. */
const encode = (request: HttpClientRequest) =>
  Effect.withFiber((fiber) =>
    Effect.flatMap(
      Effect.mapError(
        fromBody(request.body, lengthOf(request), fiber.context),
        (cause) => encodeError(request, cause)
      ),
      (encoded) => {
        const { framing } = encoded.outgoing
        return framing._tag !== "Length" || (Number.isSafeInteger(framing.length) && framing.length >= 0)
          ? Effect.succeed(encoded)
          : Effect.fail(encodeError(request, new RangeError("the length of the body is no length")))
      }
    )
  )

/** What our own server has received was checked there; of a head that a program has made or changed, nobody knows. */
const isSendable = ({ fields, method, upgrade = "" }: Message.SentHead): boolean =>
  isToken(method, 0, method.length) && Head.areSendable([...fields, "upgrade", upgrade])

/** A request that is to be sent as its head says. Its body is that of one of our own connections, or the platform's. */
const sendExactly = (pools: Pools, request: HttpClientRequest & Message.WithSentHead) => {
  const head = request[Message.sentHead]
  const isOurs = head.body instanceof ServerExchange
  const isChecked = isOurs && head.isAltered !== true
  if (!isChecked && !(isTarget(head.target, 0, head.target.length) && isSendable(head))) {
    const message = "the target, the method, or the name or value of a header is invalid"
    return Effect.fail(transportError(request, TransportFailure.make({ reason: "bad_request", message })))
  }
  if (!isOurs) {
    return Effect.flatMap(encode(request), ({ outgoing }) => transmit(pools, request, head, outgoing))
  }
  const { body, framing } = head.body
  // A try before may still send it, while this one waits for its connection.
  body?.recall()
  return transmit(pools, request, head, body === undefined ? empty : new FlowBody(framing, body))
}

/** Fields that follow from the request and its connection. */
const writtenAnew = new Set(["host", "content-length", "transfer-encoding", "connection", "upgrade"])

/** Methods that give content a meaning, so that there is said to be none (RFC 9110 §8.6). */
const expectsContent = new Set(["POST", "PUT", "PATCH"])

/** Any request of the platform, as it goes on the wire. */
const sendAny = (pools: Pools) => (request: HttpClientRequest, url: URL, signal: AbortSignal) =>
  Effect.flatMap(encode(request), ({ contentType, outgoing }) => {
    const { headers, method } = request
    const fields = ["host", headers["host"] ?? url.host]
    for (const [name, value] of Object.entries(headers)) {
      if (!writtenAnew.has(name) && (contentType === undefined || name !== "content-type")) fields.push(name, value)
    }
    if (contentType !== undefined) fields.push("content-type", contentType)
    const { framing } = outgoing
    if (framing._tag === "Length") fields.push("content-length", String(framing.length))
    else if (framing._tag === "None" && (request.body._tag !== "Empty" || expectsContent.has(method))) {
      fields.push("content-length", "0")
    }
    const { connection = "", upgrade } = headers
    const target = url.pathname + url.search
    const head = { origin: originOf(url), method, target, fields, body: undefined, upgrade }
    if (!isSendable(head)) {
      return Effect.fail(
        encodeError(request, new TypeError("the method, or the name or value of a header, is invalid"))
      )
    }
    const isLast = elementsOf(connection).includes("close")
    const sending = Effect.flatMap(
      IsCheck,
      (isExtra) => transmit(pools, request, head, outgoing, { isExtra, isLast, signal })
    )
    const raw = request.body._tag === "Raw" ? request.body.body : undefined
    return raw instanceof Readable ? Effect.onError(sending, () => Effect.sync(() => raw.destroy())) : sending
  })

const make = Effect.fnUntraced(function*(options: Options) {
  const shared = {
    limits: options.headLimits ?? Head.defaultLimits,
    timeouts: {
      connect: Duration.toMillis(options.connectTimeout ?? "2 seconds"),
      response: Duration.toMillis(options.responseTimeout ?? "15 seconds"),
      idle: Duration.toMillis(options.idleTimeout ?? "60 seconds"),
      keepAlive: Duration.toMillis(options.keepAliveTimeout ?? "4 seconds"),
      lifetime: Duration.toMillis(options.lifetime ?? "1 hour")
    },
    deadlines: yield* Deadlines.make,
    maxConnections: options.maxConnectionsPerOrigin ?? 1024
  }
  const pools = new Pools((origin) => {
    const target = targetOf(origin)
    return target === undefined ? undefined : new ConnectionPool(target, shared)
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => pools.close()))

  const any = HttpClient.make(sendAny(pools))
  const client: HttpClient.HttpClient = HttpClient.makeWith<never, never, HttpClientError, never>(
    Effect.flatMapEager((request) =>
      Message.hasSentHead(request) ? sendExactly(pools, request) : any.postprocess(Effect.succeed(request))
    ),
    Effect.succeed
  )
  return Object.assign(client, { [Message.releases]: true })
})

const checked = (options: Options): Options => {
  Head.validate(options.headLimits)
  Validate.number("maxConnectionsPerOrigin", options.maxConnectionsPerOrigin, Validate.count)
  return options
}

/** Sends requests over a pool of keep-alive connections for each origin. */
export const layer = (options: Options = {}): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, make(checked(options)))
