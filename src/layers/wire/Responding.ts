/**
 * Sends a response on an exchange and waits until its last byte is with the socket.
 *
 * Owns the waiting, and the way of a forwarded response, whose body goes from socket to socket. What applications make
 * is turned into bytes by `ServerResponse`.
 */
import * as Effect from "effect/Effect"
import { TransportFailure } from "../../services/Failure.ts"
import type * as Message from "../../services/Message.ts"
import type { ClientExchange } from "./ClientExchange.ts"
import type { Framing } from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import type { Done, ResponseStart, ServerExchange } from "./ServerExchange.ts"

/** Succeeds when the response is out. */
type Sending = Effect.Effect<void, TransportFailure>

/** Waits for what may be done before there is anybody to wait, which is the usual case. */
const untilDone = (exchange: ServerExchange, start: (done: Done) => void): Sending => {
  let result: Sending | undefined
  let resume: ((result: Sending) => void) | undefined
  start((failure) => {
    result = failure === undefined ? Effect.void : Effect.fail(failure)
    resume?.(result)
  })
  return result ?? Effect.interruptible(Effect.callback((callback) => {
    if (result !== undefined) return callback(result)
    resume = callback
    return Effect.sync(() => exchange.giveUp())
  }))
}

/** A response whose body is there, or that has none. */
export const sendBytes = (exchange: ServerExchange, start: ResponseStart, framing: Framing, bytes?: Buffer): Sending =>
  untilDone(exchange, (done) => {
    const writer = exchange.respond(start, framing, undefined, done)
    if (bytes !== undefined) writer.data(bytes)
    writer.end([])
    writer.flush()
  })

/** A response of a backend. */
export const forward = (exchange: ServerExchange, head: Message.ResponseHead, from: ClientExchange): Sending => {
  const start = { status: head.status, statusText: head.statusText, fields: head.fields, upgrade: head.upgrade }
  const { connection } = from
  if (head.status === 101 && connection !== undefined) {
    return untilDone(exchange, (done) => exchange.tunnel(start, connection, done))
  }
  const framing = exchange.framingOf(head.status, head.fields)
  if (framing instanceof Malformed) {
    return TransportFailure.make({ reason: "protocol_error", message: framing.detail })
  }
  const { body } = from
  return body === undefined
    ? sendBytes(exchange, start, framing)
    : untilDone(exchange, (done) => body.take(exchange.respond(start, framing, body, done)))
}
