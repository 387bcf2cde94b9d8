/**
 * One connection to a backend: a request out, its response in, and never two at a time.
 *
 * Owns what is read: interim responses, the head, the body; the deadline of each phase, and whether the connection can
 * be used again. Which request comes next is decided by the `ConnectionPool`.
 */
import type { Socket } from "node:net"
import { TransportFailure } from "../../services/Failure.ts"
import { AnswerReader } from "./AnswerReader.ts"
import type { ClientContext, Owner } from "./ClientContext.ts"
import type { BackendConnection, ClientExchange } from "./ClientExchange.ts"
import { explainConnecting, unwritable } from "./Connect.ts"
import { Connection } from "./Connection.ts"
import { decoderFor } from "./Decoders.ts"
import { Flow } from "./Flow.ts"
import * as Framing from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import type { StatusLine } from "./Head.ts"
import { Intake } from "./Intake.ts"
import { type Listener, MessageWriter } from "./MessageWriter.ts"
import { sendNow } from "./Outbox.ts"
import * as Persistence from "./Persistence.ts"

/** Milliseconds that are left to a response when its connection takes no more of the request. */
const lastWords = 500

export class ClientConnection extends Connection implements BackendConnection, Listener {
  private readonly client: ClientContext
  private readonly owner: Owner
  private readonly reader: AnswerReader
  /** Whose response is not complete yet. */
  private exchange: ClientExchange | undefined
  private writer: MessageWriter | undefined
  /** The body of the response. */
  private intake: Intake | undefined
  private isConnected = false
  /** Whether a request was answered on it before, so that the backend may have closed it by now. */
  private isUsed = false
  /** Whether anything has come since the request was sent. */
  private isAnswered = false
  /** Bytes that had been written before the request. */
  private writtenBefore = 0
  private isUnwritable = false
  private isLast = false
  private keepAlive: number

  /** `exchange` is sent as soon as the connection stands. */
  constructor(
    socket: Socket,
    connectedEvent: "connect" | "secureConnect",
    exchange: ClientExchange,
    client: ClientContext,
    owner: Owner
  ) {
    super(socket, client.deadlines, client.timeouts.idle)
    this.client = client
    this.owner = owner
    this.exchange = exchange
    this.keepAlive = client.timeouts.keepAlive
    this.reader = new AnswerReader(client.limits)
    this.deadline = this.deadlines.after(client.timeouts.connect)
    socket.on(connectedEvent, () => {
      this.isConnected = true
      const first = this.exchange
      this.exchange = undefined
      if (first?.isOver === false) this.start(first)
      else if (first?.isLast === true) this.socket.destroy()
      else this.becomeFree()
    })
    socket.on(unwritable, () => this.onUnwritable())
    exchange.connection = this
  }

  get isFree(): boolean {
    return this.isConnected && this.exchange === undefined && this.socket.writable && !this.socket.readableEnded
  }

  start(exchange: ClientExchange): void {
    this.exchange = exchange
    exchange.sentOn(this)
    this.isAnswered = this.isLast = false
    this.deadline = Infinity
    this.writtenBefore = this.socket.bytesWritten
    const { headText, isReplayable, outgoing } = exchange
    this.writer = new MessageWriter(this.socket, headText, outgoing.framing, outgoing.source, this)
    outgoing.start(this.writer)
    // Who may not run into a close had better go at once.
    if (!isReplayable) sendNow(this.socket)
  }

  /** The last byte of the request is out. */
  onWritten(): void {
    this.writer = undefined
    if (this.intake === undefined) this.deadline = this.deadlines.after(this.client.timeouts.response)
  }

  /** The request cannot be completed, so its connection is of no use, and neither is an answer to half of it. */
  onBroken(failure: TransportFailure): void {
    const { exchange, intake } = this
    this.forget()
    this.socket.destroy()
    exchange?.fail(failure)
    intake?.flow?.fail(failure)
  }

  protected override onBytes(chunk: Buffer): boolean {
    const { socket } = this
    // A request has been written, and nothing of it has left.
    const isHeld = socket.writableCorked > 0 && socket.bytesWritten - socket.writableLength <= this.writtenBefore
    if (isHeld) return this.fail("reset_before_headers", "There was no request yet")
    this.isAnswered = true
    this.isKept = false
    let at = 0
    while (at < chunk.length && !this.socket.destroyed) {
      if (this.isHolding) return this.receive(chunk.subarray(at))
      if (this.exchange === undefined) {
        // Nobody asked for anything: whatever this is, it must not be taken for the next answer.
        this.socket.destroy()
      } else if (this.intake === undefined) {
        at = this.readHead(this.exchange, chunk, at)
      } else {
        const { flow } = this.intake
        at = this.readBody(this.intake, chunk, at)
        if (flow?.flush() === "kept") this.isKept = true
      }
    }
    return this.isKept
  }

  private readHead(exchange: ClientExchange, chunk: Buffer, at: number): number {
    const answer = this.reader.read(exchange, chunk, at)
    if (answer === undefined) return chunk.length
    if (answer instanceof Malformed) return this.refuse(answer, chunk)
    const { head, rest } = answer
    return head.status === 101
      ? this.readUpgrade(exchange, head, chunk, rest)
      : this.readFinal(exchange, head, chunk, rest)
  }

  private refuse({ detail }: Malformed, chunk: Buffer): number {
    this.fail("protocol_error", `The answer is not valid HTTP: ${detail}`)
    return chunk.length
  }

  private readUpgrade(exchange: ClientExchange, head: StatusLine, chunk: Buffer, rest: number): number {
    const asked = exchange.head.upgrade
    if (asked === undefined || this.writer !== undefined || !Persistence.isAmong(head.fields, asked)) {
      return this.refuse(new Malformed(400, "there is a 101 that nobody asked for"), chunk)
    }
    // Whatever becomes of it is for the one that it will be joined to.
    this.hold()
    this.deadline = this.deadlines.after(this.client.timeouts.idle)
    exchange.onHead(head, undefined)
    return rest
  }

  /** The final response has begun. What has already come of its body is decoded before anybody hears of it. */
  private readFinal(exchange: ClientExchange, head: StatusLine, chunk: Buffer, rest: number): number {
    const framing = Framing.ofResponse(exchange.head.method, head.status, head.fields, head.version)
    if (framing instanceof Malformed) return this.refuse(framing, chunk)
    const isOld = this.deadlines.now - this.madeAt >= this.client.timeouts.lifetime
    this.isLast = isOld || exchange.isLast || Persistence.endsConnection(head, framing)
    this.keepAlive = Math.min(this.client.timeouts.keepAlive, Persistence.announcedKeepAlive(head.fields))
    // RFC 9112 §9.3: who sends a body watches for an answer that says that it is not wanted.
    if (head.status >= 400 && this.isLast) this.stopSending()
    const decoder = decoderFor(framing)
    if (decoder === undefined) {
      this.onAnswered(rest < chunk.length)
      exchange.onHead(head, undefined)
      return rest
    }
    const flow = new Flow(this)
    const intake = new Intake(decoder, flow, Infinity)
    const read = intake.read(chunk, rest)
    // Nobody has sent the head on yet, so there may be another answer. A program hears of it from the body.
    if (read instanceof Malformed && exchange.head.body !== undefined) return this.refuse(read, chunk)
    this.intake = intake
    const next = read instanceof Malformed ? this.refuse(read, chunk) : this.onRead(intake, read, chunk)
    exchange.onHead(head, flow)
    if (flow.flush() === "kept") this.isKept = true
    return next
  }

  private readBody(intake: Intake, chunk: Buffer, at: number): number {
    const rest = intake.read(chunk, at)
    return rest instanceof Malformed ? this.refuse(rest, chunk) : this.onRead(intake, rest, chunk)
  }

  private onRead(intake: Intake, rest: number, chunk: Buffer): number {
    this.deadline = this.deadlines.after(this.client.timeouts.idle)
    if (intake.isDone) {
      intake.end()
      this.onAnswered(rest < chunk.length)
    }
    return rest
  }

  /** The response is complete. What comes after it belongs to nobody. */
  private onAnswered(hasMore: boolean): void {
    this.stopSending()
    this.exchange = this.intake = undefined
    this.isUsed = true
    if (this.isLast || this.isUnwritable || hasMore) this.socket.destroy()
    else this.becomeFree()
  }

  /** The rest of the request is not wanted. Half a request ends its connection. */
  private stopSending(): void {
    const { writer } = this
    if (writer === undefined) return
    this.writer = undefined
    this.isLast = true
    this.onWaiting(false)
    writer.abandon()
  }

  /** The backend has closed while it was sent a request. What it has said before that may be on its way. */
  private onUnwritable(): void {
    // What it has said in a tunnel comes to an end by itself.
    if (this.isTunnel) return
    if (this.exchange === undefined) return void this.socket.destroy()
    this.isUnwritable = true
    this.stopSending()
    // What waits for its reader has come, and its end is told as soon as it is read on.
    if (!this.socket.isPaused()) this.deadline = this.deadlines.after(lastWords)
  }

  private becomeFree(): void {
    this.deadline = this.deadlines.after(this.keepAlive)
    this.owner.onFree(this)
  }

  private forget(): void {
    this.exchange = this.intake = this.writer = undefined
  }

  /** The exchange cannot be completed. */
  private fail(reason: TransportFailure["reason"], message: string): false {
    const { exchange, intake, writer } = this
    this.forget()
    this.socket.destroy()
    writer?.abandon()
    const isStale = reason === "reset_before_headers" && this.isUsed && !this.isAnswered
    if (intake !== undefined) intake.flow?.fail(TransportFailure.make({ reason: "reset_mid_body", message }))
    else if (exchange !== undefined) this.owner.onLost(exchange, TransportFailure.make({ reason, message }), isStale)
    return false
  }

  release(exchange: ClientExchange): void {
    // A connection that is still being made is of use to others.
    if (this.exchange === exchange && this.isConnected) this.cancel()
  }

  override cancel(): void {
    const { writer } = this
    this.forget()
    this.socket.destroy()
    writer?.abandon()
  }

  close(): void {
    this.fail("connect_failed", "The client is closed")
  }

  protected override onEnd(): void {
    const { intake } = this
    if (intake?.endWithConnection() === true) {
      intake.end()
      this.onAnswered(false)
      intake.flow?.flush()
    } else {
      this.fail("reset_before_headers", "Connection closed")
    }
  }

  protected override onDrain(): void {
    this.writer?.onDrain()
  }

  protected override onClose(cause: NodeJS.ErrnoException | undefined): void {
    const { message, reason } = explainConnecting(cause)
    this.fail(this.isConnected ? "reset_before_headers" : reason, message)
  }

  protected override onGone(): void {
    this.owner.onGone(this)
  }

  protected override onExpire(): void {
    if (!this.isConnected) this.fail("connect_timeout", "Connection timed out")
    else if (this.writer !== undefined) this.fail("headers_timeout", "The backend stopped reading the request")
    else if (this.isUnwritable) this.fail("reset_before_headers", "Connection closed")
    else if (this.intake !== undefined) this.fail("reset_mid_body", "The body stopped")
    else this.fail("headers_timeout", "No answer in time")
  }
}
