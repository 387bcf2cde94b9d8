/**
 * Upgrades as the platform has them: a connection that goes on in another protocol, as a `Socket` of an application.
 *
 * Owns the 101 and the hand-over of the connection, on both sides. It is loaded when it is first needed,
 * because it brings the platform's sockets and `ws`. Upgrades that are forwarded are tunnelled by
 * `Connection` and never come here.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeWS from "@effect/platform-node/NodeWS"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import { ClientAbort, HttpServerError, InternalError } from "effect/http/HttpServerError"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import { IncomingMessage } from "node:http"
import type { Connection } from "./Connection.ts"
import * as Head from "./Head.ts"
import { maxBodyBytes, type ReceivedBody } from "./IncomingMessage.ts"
import type { ServerExchange } from "./ServerExchange.ts"
import { switched } from "./ServerResponse.ts"
import { Takeover } from "./Takeover.ts"

const openError = (message: string): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error(message) }) })

const upgradeError = (request: HttpServerRequest, description: string): HttpServerError =>
  new HttpServerError({ reason: new InternalError({ request, description }) })

const takeOver = (connection: Connection): Takeover => {
  const takeover = new Takeover(connection.socket)
  connection.handOver(takeover)
  return takeover
}

/** The bytes of a connection, which is closed with the scope of the reader, after what was written. */
const rawSocket = (open: Effect.Effect<Takeover, Socket.SocketError>): Effect.Effect<Socket.Socket> =>
  NodeSocket.fromDuplex(Effect.acquireRelease(open, (takeover) => Effect.sync(() => takeover.destroySoon())))

/** The connection of a response with 101, for whoever asked for the upgrade. It can be taken once. */
export const ofClient = (connection: Connection): Effect.Effect<Socket.Socket> =>
  rawSocket(Effect.suspend(() =>
    connection.socket.destroyed || connection.isTunnel
      ? Effect.fail(openError("the connection was closed or taken before"))
      : Effect.succeed(takeOver(connection))
  ))

/** What the application is told of its request from now on. */
interface Request {
  readonly request: HttpServerRequest
  readonly exchange: ServerExchange
  readonly content: ReceivedBody
}

const checkOpen = (exchange: ServerExchange): Effect.Effect<void, Socket.SocketError> =>
  Effect.suspend(() =>
    exchange.isAborted || exchange.hasBegun
      ? Effect.fail(openError("the connection was closed, answered or taken before"))
      : Effect.void
  )

/** The connection belongs to the application, whose fiber ends when the client leaves. */
const takeOverFrom = (exchange: ServerExchange): Takeover => {
  const takeover = takeOver(exchange.connection)
  takeover.once("close", () => {
    if (!takeover.writableEnded) exchange.fiber?.interruptUnsafe(undefined, ClientAbort.annotation)
  })
  return takeover
}

/** The new protocol begins where the request ends, so what nobody has read of it is skipped. */
const skipBody = (content: ReceivedBody): Effect.Effect<void, Socket.SocketError> =>
  Effect.flatMap(maxBodyBytes, (maxBytes) => {
    const { stream } = content
    if (stream === undefined) return Effect.void
    let size = 0
    return stream.pipe(
      Stream.mapError(({ message }) => openError(message)),
      Stream.runForEachArray((pieces) => {
        for (const piece of pieces) size += piece.length
        return size > maxBytes ? Effect.fail(openError("the body of the request is too long")) : Effect.void
      })
    )
  })

/** Written anew, or about a body that a 101 has not. */
const reserved = new Set(["connection", "upgrade", "content-length", "transfer-encoding"])

/** Any protocol but WebSocket. */
const raw = (
  { content, exchange, request }: Request,
  protocol: string,
  headers: Headers.Headers
): Effect.Effect<Socket.Socket, HttpServerError> => {
  const own = Object.entries(headers)
  for (const [name] of own) {
    if (reserved.has(name)) return Effect.fail(upgradeError(request, `an upgrade cannot have the header ${name}`))
  }
  const fields = ["Connection", "Upgrade", "Upgrade", protocol, ...own.flat()]
  if (!Head.areSendable(fields)) return Effect.fail(upgradeError(request, "a header has an invalid name or value"))
  const begin = Effect.sync(() => {
    exchange.sendInterim(101, "Switching Protocols", fields)
    exchange.hasBegun = true
    const said = { ...headers, connection: "Upgrade", upgrade: protocol }
    switched.set(exchange, HttpServerResponse.empty({ status: 101, headers: said }))
    return takeOverFrom(exchange)
  })
  return rawSocket(
    Effect.andThen(checkOpen(exchange), skipBody(content)).pipe(
      Effect.andThen(checkOpen(exchange)),
      Effect.andThen(begin)
    )
  )
}

let webSockets: NodeWS.WebSocketServer | undefined

const closeCode = (exit: Exit.Exit<unknown, unknown>): number =>
  Exit.isSuccess(exit) ? 1000 : Cause.hasInterruptsOnly(exit.cause) ? 1001 : 1011

/** Leaves the handshake, the answer to a bad one and the frames to `ws` (RFC 6455 §4.2). */
const shakeHands = ({ exchange, request }: Request): Effect.Effect<NodeWS.WebSocket, Socket.SocketError> =>
  Effect.callback((resume) => {
    webSockets ??= new NodeWS.WebSocketServer({ noServer: true, clientTracking: false })
    const message = new IncomingMessage(exchange.connection.socket)
    message.method = request.method
    message.url = request.url
    message.headers = { ...request.headers }
    exchange.hasBegun = true
    const takeover = takeOverFrom(exchange)
    const onClose = () => resume(Effect.fail(openError("the handshake was refused or not completed")))
    takeover.once("close", onClose)
    webSockets.handleUpgrade(message, takeover, Buffer.alloc(0), (webSocket) => {
      takeover.off("close", onClose)
      switched.set(exchange, HttpServerResponse.empty({ status: 101 }))
      resume(Effect.succeed(webSocket))
    })
  })

const webSocket = (of: Request): Effect.Effect<Socket.Socket> =>
  Socket.fromWebSocket(
    Effect.acquireRelease(
      Effect.andThen(checkOpen(of.exchange), shakeHands(of)),
      (webSocket, exit) => Effect.sync(() => webSocket.close(closeCode(exit)))
    )
  )

/**
 * The connection of a request that asks to go on in `protocol`. The 101 is sent when the reader is acquired. Fails when
 * the 101 cannot have these headers.
 */
export const ofServer = (
  of: Request,
  protocol: string,
  input: Headers.Input | undefined
): Effect.Effect<Socket.Socket, HttpServerError> => {
  const headers = Headers.fromInput(input)
  if (protocol.toLowerCase() !== "websocket") return raw(of, protocol, headers)
  return Object.keys(headers).length === 0
    ? webSocket(of)
    : Effect.fail(upgradeError(of.request, "the handshake of a WebSocket cannot have other headers"))
}
