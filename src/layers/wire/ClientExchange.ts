/**
 * One request to a backend and the response to it, on whatever connection carries it.
 *
 * Owns what is known about the exchange while the pool looks for a connection: what is to be sent, who waits for the answer,
 * and whether it may be sent once more. Bytes are the business of `ClientConnection`.
 */
import { isIdempotent, type TransportFailure } from "../../services/Failure.ts"
import type { FieldLines, ResponseBody, SentHead } from "../../services/Message.ts"
import type { ClientConnection } from "./ClientConnection.ts"
import type { Flow, Source } from "./Flow.ts"
import type { Framing } from "./Framing.ts"
import type { StatusLine } from "./Head.ts"
import type { MessageWriter } from "./MessageWriter.ts"

/** A body that is to be sent. */
export interface Outgoing {
  readonly framing: Framing
  /** Asked to pause when the backend does not keep up; nobody, if it is all there. */
  readonly source: Source | undefined
  /** Gives the body to the writer, now or as it comes. Called once. */
  start(writer: MessageWriter): void
}

/** Who waits for the answer. Exactly one of the last two is called, once. */
export interface Waiting {
  /** A response before the response (RFC 9110 §15.2). */
  onInterim(status: number, statusText: string, fields: FieldLines): void
  onHead(head: StatusLine): void
  onFailure(failure: TransportFailure): void
}

export class ClientExchange implements ResponseBody {
  readonly head: SentHead
  readonly outgoing: Outgoing
  private readonly waiting: Waiting
  /** The connection that carries it, once there is one. */
  connection: ClientConnection | undefined
  /** The body of the response; none, or not yet. */
  body: Flow | undefined
  /** Whether it was sent on a connection that turned out to be closed. */
  isReplay = false
  /** Whether nobody waits for an answer any more. */
  isOver = false

  constructor(head: SentHead, outgoing: Outgoing, waiting: Waiting) {
    this.head = head
    this.outgoing = outgoing
    this.waiting = waiting
  }

  /** Whether a lost connection leaves no doubt that it may be sent once more (RFC 9112 §9.3.1). */
  get isReplayable(): boolean {
    return !this.isReplay && !this.isOver && this.outgoing.framing._tag === "None" && isIdempotent(this.head.method)
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

  /** Nobody waits for the response, or for the rest of it, any more. */
  release(): void {
    this.isOver = true
    this.connection?.release(this)
  }
}
