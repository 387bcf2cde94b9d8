/**
 * The front half of Node's engine: `NodeHttpServer`, with the heads of requests attached as they came, and responses
 * that have one written by hand.
 *
 * Owns what is specific to node:http's requests and responses. What its connections have in common is in `Listener`, and
 * what is done with a request is the application's business.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { toServerResponse } from "@effect/platform-node/NodeHttpServerRequest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerError, ResponseError, type ServeError } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Http from "node:http"
import type * as Net from "node:net"
import { pipeline, type Readable } from "node:stream"
import { TransportFailure } from "../../services/Failure.ts"
import { type FieldLines, isNamed, linesWhere } from "../../services/Fields.ts"
import * as Message from "../../services/Message.ts"
import { AnswerBody } from "./Client.ts"
import { defaultLimits, type Limits } from "./Limits.ts"
import * as Listener from "./Listener.ts"
import { RequestBody } from "./RequestBody.ts"

/** Where to listen, and how long requests in flight may take when the layer is closed. */
interface ListenOptions {
  readonly host?: string | undefined
  readonly port: number
  readonly shutdownTimeout: Duration.Duration
}

/** The node:http objects behind a request of `NodeHttpServer`. */
const nodeResponseOf = (request: HttpServerRequest): Http.ServerResponse | undefined => {
  const response = toServerResponse(request)
  return response instanceof Http.ServerResponse ? response : undefined
}

/**
 * Breaks a response off, and with it its body, so that it never looks complete: for want of a length a client knows
 * that only by the reset (RFC 9112 §8).
 */
const cut = (out: Http.ServerResponse): void => {
  // What waits behind other responses is begun in its turn, destroyed or not, and nothing would end it.
  if (out.socket === null) out.once("socket", (socket: Net.Socket) => socket.resetAndDestroy())
  else out.socket.resetAndDestroy()
  out.destroy()
}

/** Cuts a connection on which nothing moves for want of the client. A backend's time is the client layer's business. */
const onIdle = (source: Http.IncomingMessage, response: Http.ServerResponse, socket: Net.Socket): void => {
  const waitsForClient = socket.writableLength > 0 || (source.readableFlowing === true && !source.complete)
  if (!waitsForClient) socket.setTimeout(socket.timeout ?? 0)
  else if (response.headersSent) cut(response)
  else socket.destroy(TransportFailure.make({ reason: "request_timeout", message: "The request did not come in time" }))
}

/** Attaches the head of a request, and gives back its body. */
const attachHead = (request: HttpServerRequest, response: Http.ServerResponse): RequestBody | undefined => {
  const { source } = request
  if (!(source instanceof Http.IncomingMessage)) return undefined
  response.on("timeout", (socket) => onIdle(source, response, socket))
  if (response.socket === null) {
    // It waits behind other responses, and before Node 26 nobody tells it that the client has left. The platform would
    // wait for the end of one that is not destroyed.
    const leave = () => {
      response.destroy()
      response.emit("close")
    }
    // Of as many responses as requests were sent in advance, which is no leak.
    source.socket.setMaxListeners(0)
    source.socket.once("close", leave)
    response.once("close", () => source.socket.off("close", leave))
  }
  const body = new RequestBody(source, response)
  Message.attachRequestHead(request, {
    method: source.method ?? "GET",
    target: source.url ?? "/",
    fields: source.rawHeaders,
    protocol: "http",
    body
  })
  return body
}

/** So many bytes of a request that is answered already does the platform read to save the connection. */
const mostUnwanted = 256 * 1024

/**
 * node:http throws at a reason phrase with bytes that RFC 9112 §4 does not allow; it says nothing
 * anyway, so it is left out.
 */
const sendablePhrase = (phrase: string): string => /^[\t\x20-\x7e\x80-\xff]*$/.test(phrase) ? phrase : ""

/** Trailers are not forwarded, so they must not be announced; node:http refuses them where they cannot be sent. */
const withoutTrailer = (fields: FieldLines): Array<string> => linesWhere(fields, (name) => !isNamed(name, "trailer"))

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
      out.writeHead(head.status, sendablePhrase(head.statusText), withoutTrailer(head.fields))
    } catch (error) {
      body.destroy()
      // Behind this the platform sends nothing any more.
      cut(out)
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

/** What comes on a connection that closes is not read any more: the request that did stays without an answer. */
const ignore = (out: Http.ServerResponse): Effect.Effect<never> =>
  Effect.callback((resume) => {
    const { socket } = out.req
    const leave = () => {
      out.destroy()
      resume(Effect.interrupt)
    }
    // A middleware may have taken its time.
    if (socket.destroyed) return leave()
    socket.pause()
    // Of as many as requests were sent in advance, which is no leak.
    socket.setMaxListeners(0)
    socket.once("close", leave)
  })

/** The application with heads attached to requests, and with responses that have one written by hand. */
const withHeads = <E, R>(
  app: Effect.Effect<HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse, E | HttpServerError, R | HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest, (request) => {
    const out = nodeResponseOf(request)
    if (out === undefined) return app
    const { socket } = out.req
    if (Listener.isClosing(socket)) return ignore(out)
    const requestBody = attachHead(request, out)
    return Effect.flatMap(app, (response) => {
      if (response.headers["connection"] === "close") Listener.closesAfter(socket)
      if (!Message.hasResponseHead(response)) return Effect.succeed(response)
      // The platform closes the connection behind the answer: a client that was not told would use it again.
      if (requestBody !== undefined && requestBody.left > mostUnwanted) out.shouldKeepAlive = false
      const { body } = response[Message.responseHead]
      if (!(body instanceof AnswerBody)) return Effect.succeed(response)
      // What a middleware has asked for in this way comes before, and may have made another response of it.
      const handler = HttpEffect.appendPreResponseHandler((request, sent) =>
        Message.hasResponseHead(sent)
          // The platform runs applications uninterruptibly; a client that leaves must stop the backend's answer at once.
          ? Effect.onError(
            Effect.interruptible(write(request, sent, out, sent[Message.responseHead], body.readable)),
            (cause) => Effect.sync(() => requestBody?.brokeOff(cause))
          )
          : Effect.succeed(sent)
      )
      return Effect.as(handler, response)
    })
  })

/** Listens with node:http. Fails with `ServeError` when it cannot. */
export const layer = (
  listen: ListenOptions,
  limits: Limits = defaultLimits
): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  Layer.effect(
    HttpServer.HttpServer,
    Effect.gen(function*() {
      const node = Listener.create(limits)
      const { close, inFlight } = Listener.follow(node)
      // The platform closes what listens. A start that is interrupted while a name is looked up would listen after all.
      yield* Effect.addFinalizer(() => Effect.sync(() => node.close()))
      const server = yield* NodeHttpServer.make(() => node, {
        port: listen.port,
        ...(listen.host === undefined ? {} : { host: listen.host }),
        gracefulShutdownTimeout: listen.shutdownTimeout
      })
      // Time is up for whoever is still there; the platform would wait for them.
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() => {
          const left = inFlight()
          node.closeAllConnections()
          return left === 0
            ? Effect.void
            : Effect.logWarning(`The time for requests in flight is over; still going on: ${left}`)
        })
      )
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
