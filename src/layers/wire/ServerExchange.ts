/**
 * One request of a client's connection and the response to it.
 *
 * Owns the response: its framing on this connection, interim responses before it, and what happens when it breaks off
 * or the client leaves. What the response consists of is decided by the application, through `ServerResponse`.
 */
import type * as Fiber from "effect/Fiber"
import { ClientAbort } from "effect/http/HttpServerError"
import { TransportFailure } from "../../services/Failure.ts"
import { type FieldLines, valueOf } from "../../services/Fields.ts"
import * as Message from "../../services/Message.ts"
import type { Reason } from "../../services/Reason.ts"
import type { Connection } from "./Connection.ts"
import type { Flow, Source } from "./Flow.ts"
import * as Framing from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import { formatResponse, type RequestLine } from "./Head.ts"
import { type Listener, MessageWriter } from "./MessageWriter.ts"
import * as Persistence from "./Persistence.ts"

/** The connection of a client, as its exchange sees it. */
export interface AcceptedConnection extends Connection {
  /** Whether the response that begins now has to say that it is the last one. */
  decideLast(): boolean
  /** There is no request after this one. */
  endsWithExchange(): void
  /** The client has to read before the response goes on, or has read. */
  onWaiting(isWaiting: boolean): void
  /** The response is complete. */
  onResponded(): void
  /** Breaks the connection off, so that a response never looks complete (RFC 9112 §8). */
  cut(): void
}

/** The head of a response, and the protocol that the connection goes on with, if any. */
export interface ResponseStart {
  readonly status: number
  readonly statusText: string
  readonly fields: FieldLines
  readonly upgrade: string | undefined
}

/** Called once, when the response is complete or cannot be completed. */
export type Done = (failure: TransportFailure | undefined) => void

const idle = TransportFailure.make({ reason: "tunnel_idle", message: "nothing moved" })

/** The field lines that say what becomes of the connection after this response. */
const connectionLines = (isLast: boolean, version: 0 | 1, upgrade: string | undefined): string => {
  // With any other status than 101 it is an offer (RFC 9110 §7.8), and the connection may end all the same.
  if (upgrade !== undefined && version === 1) {
    return `Connection: ${isLast ? "close, upgrade" : "upgrade"}\r\nUpgrade: ${upgrade}\r\n`
  }
  if (isLast) return "Connection: close\r\n"
  return version === 0 ? "Connection: keep-alive\r\n" : ""
}

export class ServerExchange implements Listener, Message.RequestBody, Message.WithRequestHead {
  readonly connection: AcceptedConnection
  readonly request: RequestLine
  /** Of the request's `Connection` field. */
  readonly options: Persistence.Options
  readonly framing: Framing.Framing
  readonly body: Flow | undefined
  /** What works on the request. */
  fiber: Fiber.Fiber<void> | undefined
  private writer: MessageWriter | undefined
  private done: Done | undefined
  /** Whether the head of the response has been given. */
  hasBegun = false
  /** Whether the connection is gone, so that nobody reads a response. */
  isAborted = false
  /** Why the client has not got all of the response, whatever becomes of the connection then. */
  brokenBy: Reason | undefined

  constructor(
    connection: AcceptedConnection,
    request: RequestLine,
    options: Persistence.Options,
    framing: Framing.Framing,
    body: Flow | undefined
  ) {
    this.connection = connection
    this.request = request
    this.options = options
    this.framing = framing
    this.body = body
  }

  /** For the request, and for whoever has it as the source of another one. */
  get [Message.requestHead](): Message.RequestHead {
    return this.headWith(this.request.target, this.request.fields)
  }

  /** The head with this target and these fields, which may be others than those that came. */
  headWith(target: string, fields: FieldLines): Message.RequestHead {
    const { options, request: { method, version } } = this
    return {
      method,
      target,
      fields,
      protocol: "http",
      body: this,
      upgrade: Persistence.upgradeOf(options, fields, version),
      acceptsTrailers: Persistence.acceptsTrailers(options, fields)
    }
  }

  keep(maxBytes: number): void {
    const { framing } = this
    if (framing._tag !== "Length" || framing.length <= maxBytes) this.body?.keep(maxBytes)
  }

  get isWhole(): boolean {
    return this.body?.isWhole ?? true
  }

  get isAwaited(): boolean {
    return this.body?.isAwaited ?? false
  }

  whenComplete(done: () => void): void {
    if (this.body === undefined || this.body.isComplete) done()
    else this.body.onComplete = done
  }

  settle(): void {
    this.body?.settle()
  }

  /** RFC 9110 §10.1.1. Not after the response, which says enough. */
  sendContinue(): void {
    if (this.body !== undefined) this.body.onTake = undefined
    this.sendInterim(100, "Continue", [])
  }

  /** A response before the response (RFC 9110 §15.2), for whoever knows such: HTTP/1.0 does not. */
  sendInterim(status: number, statusText: string, fields: FieldLines): void {
    if (this.hasBegun || this.request.version === 0) return
    this.connection.socket.write(formatResponse(status, statusText, fields), "latin1")
  }

  /**
   * Begins the response. The writer wants the body, if there is one, and then its end. `source` is asked to pause when
   * the client does not keep up.
   */
  respond(start: ResponseStart, framing: Framing.Framing, source: Source | undefined, done: Done): MessageWriter {
    const { connection, request: { version } } = this
    this.hasBegun = true
    this.done = done
    if (framing._tag === "Close") connection.endsWithExchange()
    const isLast = connection.decideLast()
    let more = framing._tag === "Chunked" ? "Transfer-Encoding: chunked\r\n" : ""
    if (valueOf(start.fields, "date") === undefined) more += `Date: ${connection.deadlines.date}\r\n`
    more += connectionLines(isLast, version, start.upgrade)
    const head = formatResponse(start.status, start.statusText, start.fields, more)
    return this.writer = new MessageWriter(connection.socket, head, framing, source, this)
  }

  onWritten(): void {
    this.finish(undefined)
  }

  onBroken(failure: TransportFailure): void {
    this.connection.cut()
    this.finish(failure)
  }

  onWaiting(isWaiting: boolean): void {
    this.connection.onWaiting(isWaiting)
  }

  /** The framing that a response with these fields gets on this connection (RFC 9112 §6). */
  framingOf(status: number, fields: FieldLines): Framing.Framing | Malformed {
    const { method, version } = this.request
    const framing = Framing.ofResponse(method, status, fields, version)
    return !(framing instanceof Malformed) && framing._tag === "Close" && version === 1 ? Framing.chunked : framing
  }

  /** The connection becomes a tunnel to `other` once this head is out. */
  tunnel(start: ResponseStart, other: Connection, done: Done): void {
    const { connection } = this
    this.done = done
    this.hasBegun = true
    const more = connectionLines(false, 1, start.upgrade)
    connection.socket.write(formatResponse(start.status, start.statusText, start.fields, more), "latin1")
    connection.joinTo(other, (hasExpired) => this.finish(hasExpired ? idle : undefined))
  }

  onDrain(): void {
    this.writer?.onDrain()
  }

  /** The application gives the response up. */
  giveUp(): void {
    if (this.done === undefined) return
    this.done = undefined
    this.writer?.abandon()
    // What a tunnel has said so far may reach the client: nobody takes its end for the end of a message.
    if (this.connection.isTunnel) this.connection.socket.destroySoon()
    else this.connection.cut()
  }

  /** The client has left. An application that is interrupted gives up a response that it sends. */
  abort(): void {
    this.isAborted = true
    // A response that has begun and is not under way is complete, or was cut by us.
    if (!this.hasBegun || this.done !== undefined) this.brokenBy ??= "client_aborted"
    this.fiber?.interruptUnsafe(undefined, ClientAbort.annotation)
  }

  /** There is no more time. An application that is interrupted answers that, unless it has begun to answer. */
  terminate(): void {
    if (this.done !== undefined) this.brokenBy ??= "draining"
    this.fiber?.interruptUnsafe()
    if (this.hasBegun) this.giveUp()
  }

  private finish(failure: TransportFailure | undefined): void {
    const { done } = this
    if (done === undefined) return
    this.done = undefined
    this.brokenBy ??= failure?.reason
    done(failure)
    if (failure === undefined) this.connection.onResponded()
  }
}
