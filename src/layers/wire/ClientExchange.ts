/**
 * One request to a backend and the response to it, on whatever connection carries it.
 *
 * Owns what is known about the exchange while the pool looks for a connection: what is to be sent, who waits for the
 * answer, and whether it may be sent once more. Bytes are the business of `ClientConnection`.
 */
import { type TransportFailure } from "../../services/Failure.ts"
import type { FieldLines } from "../../services/Fields.ts"
import type { ResponseBody, SentHead } from "../../services/Message.ts"
import { idempotentMethods } from "../../services/Reason.ts"
import type { Connection } from "./Connection.ts"
import type { Flow, Source } from "./Flow.ts"
import type { Framing } from "./Framing.ts"
import { formatRequest, type StatusLine } from "./Head.ts"
import type { MessageWriter } from "./MessageWriter.ts"

/** A body that is to be sent. */
export interface OutgoingBody {
  readonly framing: Framing
  /** Asked to pause when the backend does not keep up; nobody, if it is all there. */
  readonly source: Source | undefined
  /** Whether all of it can be sent once more, or there is nothing. */
  readonly isWhole: boolean
  /** Gives the body to the writer, now or as it comes. Called once, and once more if it is whole then. */
  start(writer: MessageWriter): void
}

/** A connection to a backend, as exchanges and the pool see it. */
export interface BackendConnection extends Connection {
  /** Whether a request can be sent on it. */
  readonly isFree: boolean
  /** Sends a request. */
  start(exchange: ClientExchange): void
  /** Nobody waits for the response of this exchange, or for the rest of it. */
  release(exchange: ClientExchange): void
  /** The client is closed. Whoever waits is told. */
  close(): void
}

/** Milliseconds for the news of a close: a backend that has worked for longer has got the request. */
const maxRace = 1_000

/** Who waits for the answer. Exactly one of the last two is called, once. */
export interface Waiting {
  /** A response before the response (RFC 9110 §15.2). */
  onInterim(status: number, statusText: string, fields: FieldLines): void
  onHead(head: StatusLine): void
  onFailure(failure: TransportFailure): void
}

export class ClientExchange implements ResponseBody {
  readonly head: SentHead
  readonly outgoing: OutgoingBody
  private readonly waiting: Waiting
  /** The connection that carries it, once there is one. */
  connection: BackendConnection | undefined
  private sentAt = NaN
  /** The body of the response; none, or not yet. */
  body: Flow | undefined
  /** Whether nobody waits for an answer any more. */
  isOver = false
  /** Whether it is sent even when all connections that there may be are in use. */
  isExtra = false
  /** Whether its connection is closed after it (RFC 9112 §9.6). */
  isLast = false

  constructor(head: SentHead, outgoing: OutgoingBody, waiting: Waiting) {
    this.head = head
    this.outgoing = outgoing
    this.waiting = waiting
  }

  /** The head as it goes on the wire, with what concerns the connection only. */
  get headText(): string {
    const { acceptsTrailers, fields, method, target, upgrade } = this.head
    let more = this.outgoing.framing._tag === "Chunked" ? "Transfer-Encoding: chunked\r\n" : ""
    let options = this.isLast ? ", close" : ""
    if (acceptsTrailers) options += ", TE"
    if (upgrade !== undefined) options += ", upgrade"
    if (options !== "") more += `Connection: ${options.slice(2)}\r\n`
    if (acceptsTrailers) more += "TE: trailers\r\n"
    if (upgrade !== undefined) more += `Upgrade: ${upgrade}\r\n`
    return formatRequest(method, target, fields, more)
  }

  /** Whether a lost connection leaves no doubt that it may be sent once more (RFC 9112 §9.3.1). */
  get isReplayable(): boolean {
    if (this.isOver || !this.outgoing.isWhole) return false
    const { method, resending } = this.head
    return resending === undefined ? idempotentMethods.has(method) : resending.mayResend
  }

  /** A connection that stands takes it. */
  sentOn(connection: BackendConnection): void {
    this.connection = connection
    this.sentAt = connection.deadlines.now
  }

  /** Whether a connection has taken it. */
  get isSent(): boolean {
    return !Number.isNaN(this.sentAt)
  }

  /** Whether it was lost so soon that its connection may have been closed before it came. */
  get mayHaveMissed(): boolean {
    return this.connection !== undefined && this.connection.deadlines.now - this.sentAt <= maxRace
  }

  onInterim(status: number, statusText: string, fields: FieldLines): void {
    if (!this.isOver) this.waiting.onInterim(status, statusText, fields)
  }

  onHead(head: StatusLine, body: Flow | undefined): void {
    if (this.isOver) return
    this.isOver = true
    this.body = body
    this.waiting.onHead(head)
  }

  fail(failure: TransportFailure): void {
    if (this.isOver) return
    this.isOver = true
    this.waiting.onFailure(failure)
  }

  /** The frames of chunks and what came before on the connection are counted as well. */
  get received(): number {
    return this.connection?.socket.bytesRead ?? 0
  }

  get isBroken(): boolean {
    return this.body !== undefined && this.body.isOver && !this.body.isComplete
  }

  /** Nobody waits for the response, or for the rest of it, any more. */
  release(): void {
    this.isOver = true
    this.connection?.release(this)
  }
}
