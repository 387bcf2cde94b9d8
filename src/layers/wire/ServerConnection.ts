/**
 * One connection of a client: requests in, one exchange at a time, in order (RFC 9112 §9).
 *
 * Owns what is read: heads, bodies and what comes too early; the deadline of each phase, and when the connection ends.
 * The response is written by `ServerExchange`, and what is done with a request is decided by the handler.
 */
import type { Socket } from "node:net"
import { TransportFailure } from "../../services/Failure.ts"
import { connectionOptions } from "../../services/HeaderFields.ts"
import { Connection } from "./Connection.ts"
import { decoderFor } from "./Decoders.ts"
import { Flow } from "./Flow.ts"
import { Malformed } from "./Grammar.ts"
import { Intake } from "./Intake.ts"
import { sendNow } from "./Outbox.ts"
import * as Persistence from "./Persistence.ts"
import { giveBack } from "./ReadMemory.ts"
import { reasonOf, Refusal } from "./Refusal.ts"
import { type Request, RequestReader } from "./RequestReader.ts"
import type { ServerContext } from "./ServerContext.ts"
import { type AcceptedConnection, ServerExchange } from "./ServerExchange.ts"

/** What is held of requests that came before their turn; then the client has to wait. */
const maxEarly = 64 * 1024

/** Milliseconds that a client gets to read the last response before the connection is reset (RFC 9112 §9.6). */
const lingering = 2_000

export class ServerConnection extends Connection implements AcceptedConnection {
  readonly server: ServerContext
  private readonly reader: RequestReader
  private exchange: ServerExchange | undefined
  /** The body that is being read. */
  private intake: Intake | undefined
  /** Whether there is no request after this one. */
  private isLast = false
  /** Until when the client has to read what it was answered. */
  private readAllBy = 0
  /** Whether all further bytes are thrown away: the last response is out, or what came could not be understood. */
  private isDeaf = false
  /** Whether the server stops, and answers nothing any more but what has come. */
  private isLeaving = false
  /** Bytes that have come since then. */
  private late = 0
  /** Bytes behind what was read last, in the chunk that is being read: a response may be complete before they are. */
  private unread = 0

  constructor(socket: Socket, server: ServerContext) {
    super(socket, server.deadlines, server.timeouts.idle)
    this.server = server
    this.reader = new RequestReader(server.limits)
    this.deadline = server.deadlines.after(server.timeouts.keepAlive)
    socket.on("data", (chunk: Buffer) => {
      this.isKept = false
      if (!this.receive(chunk)) giveBack(chunk)
    })
  }

  /** Whether nothing is going on, so that it can be closed without harm. */
  get isIdle(): boolean {
    return this.exchange === undefined && !this.reader.hasBegun && this.early === undefined
  }

  protected override onBytes(chunk: Buffer): boolean {
    if (this.isDeaf) return false
    if (this.isLeaving) this.late += chunk.length
    if (this.early === undefined) this.consume(chunk)
    else this.keep(chunk, maxEarly)
    return this.isKept || this.early !== undefined
  }

  private consume(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && !this.isDeaf) {
      if (this.intake !== undefined) at = this.readBody(this.intake, chunk, at)
      else if (this.isTunnel) {
        if (this.receive(chunk.subarray(at))) this.isKept = true
        break
      } else if (this.exchange === undefined && !this.socket.writableNeedDrain) at = this.readHead(chunk, at)
      else {
        this.keep(chunk.subarray(at), maxEarly)
        break
      }
    }
  }

  private readHead(chunk: Buffer, at: number): number {
    const hadBegun = this.reader.hasBegun
    const request = this.reader.read(chunk, at)
    if (request === undefined) {
      if (!hadBegun && this.reader.hasBegun) this.deadline = this.deadlines.after(this.server.timeouts.head)
    } else if (request instanceof Refusal) {
      this.refuse(request)
    } else {
      return this.begin(request, chunk)
    }
    return chunk.length
  }

  /** A request has begun. What has already come of its body is decoded before anybody works on it. */
  private begin({ framing, head, rest }: Request, chunk: Buffer): number {
    const options = connectionOptions(head.fields)
    this.isLast = Persistence.isLastRequest(options, head)
    const decoder = decoderFor(framing)
    const flow = decoder === undefined ? undefined : new Flow(this)
    if (decoder !== undefined && flow !== undefined) {
      this.intake = new Intake(decoder, flow, this.server.limits.bodyBytes)
    }
    const exchange = this.exchange = new ServerExchange(this, head, options, framing, flow)
    // First, because the client has to wait where more has come than can be held.
    this.expectMore()
    const at = this.intake !== undefined ? this.readBody(this.intake, chunk, rest) : rest
    this.unread = chunk.length - at
    if (flow !== undefined && this.intake !== undefined && Persistence.expectsContinue(head)) {
      flow.onTake = () => {
        exchange.sendContinue()
        this.expectMore()
      }
      this.expectMore()
    }
    this.server.handle(exchange)
    return at
  }

  private readBody(intake: Intake, chunk: Buffer, at: number): number {
    const rest = intake.read(chunk, at)
    const { flow } = intake
    this.unread = rest instanceof Malformed ? 0 : chunk.length - rest
    if (rest instanceof Malformed) this.failBody(reasonOf(rest), rest.detail)
    else if (intake.isDone) {
      this.intake = undefined
      intake.end()
      this.deadline = this.exchange === undefined
        ? this.deadlines.after(this.server.timeouts.keepAlive)
        : Infinity
    } else {
      this.expectMore()
      if (intake.hasDrainedEnough) this.stopDraining()
    }
    if (flow !== undefined && flow.flush() !== "released") this.isKept = true
    return rest instanceof Malformed ? chunk.length : rest
  }

  /** The rest of the request cannot be read, and so neither can anything after it. */
  private failBody(reason: TransportFailure["reason"], message: string): void {
    const { intake } = this
    this.isLast = this.isDeaf = true
    this.intake = undefined
    this.deadline = Infinity
    intake?.flow?.fail(TransportFailure.make({ reason, message }))
    if (this.exchange === undefined) this.close()
  }

  /** More of the body has to come in time, unless an exchange goes on that does not want it, or has not asked for it. */
  private expectMore(): void {
    const flow = this.intake?.flow
    const isAwaited = flow === undefined ? this.exchange === undefined : flow.onTake === undefined
    this.deadline = isAwaited ? this.deadlines.after(this.server.timeouts.idle) : Infinity
  }

  private stopDraining(): void {
    this.isLast = true
    if (this.exchange === undefined) this.close()
    else this.pause()
  }

  decideLast(): boolean {
    // Requests that came before the server was leaving are still answered.
    const isStopping = this.server.isClosing && (this.early?.length ?? this.unread) <= this.late
    return this.isLast ||= isStopping || this.intake?.isBetterLeft === true
  }

  endsWithExchange(): void {
    this.isLast = true
  }

  onResponded(): void {
    this.exchange = undefined
    this.readAllBy = this.deadlines.after(this.server.timeouts.idle)
    const { intake } = this
    if (intake?.flow !== undefined) {
      // The rest of the request is read and thrown away.
      const { flow } = intake
      intake.flow = undefined
      flow.fail(TransportFailure.make({ reason: "client_aborted", message: "the response is complete" }))
      this.socket.resume()
    }
    if (this.isLast || (this.server.isClosing && (this.early?.length ?? this.unread) === 0)) return this.close()
    const { idle, keepAlive } = this.server.timeouts
    this.deadline = this.deadlines.after(intake === undefined ? keepAlive : idle)
    this.consumeEarly()
  }

  /** Goes on with what came before its turn, unless the client does not read what it has asked for already. */
  private consumeEarly(): void {
    const { early } = this
    if (early === undefined || this.socket.writableNeedDrain) return
    this.early = undefined
    if (early.length >= maxEarly) this.socket.resume()
    this.consume(early)
    // It need not have been a request.
    if (this.server.isClosing && this.isIdle && !this.isDeaf) this.close()
  }

  /** Nobody wants the rest of the request's body. */
  override cancel(): void {
    if (this.intake !== undefined) this.intake.flow = undefined
    this.expectMore()
    this.socket.resume()
  }

  /** The server stops: what has come is answered. A client that always sends more would otherwise hold it up. */
  leave(): void {
    if (this.isIdle) this.close()
    else this.isLeaving = true
  }

  /** Ends the connection after what was written, and gives the client time to read it. */
  close(): void {
    const { deadlines, socket } = this
    this.isDeaf = true
    this.deadline = deadlines.after(this.server.timeouts.idle)
    socket.end(() => this.deadline = deadlines.after(lingering))
    socket.resume()
  }

  /** There is no more time: whoever waits for a response gets one that says so, which may still come. */
  terminate(): void {
    sendNow(this.socket)
    this.isLast = true
    const isStuck = this.socket.writableLength > 0
    this.exchange?.terminate()
    if (isStuck) this.cut()
    else if (this.exchange === undefined) this.socket.destroySoon()
  }

  cut(): void {
    // What still waits to be written, perhaps the response before, leaves first: a reset would discard it.
    sendNow(this.socket)
    this.socket.resetAndDestroy()
  }

  /** The client has not read all that it was answered. A clean end would make that look complete (RFC 9112 §8). */
  private waitForReader(): void {
    if (this.deadlines.now >= this.readAllBy) this.cut()
    else this.deadline = Math.min(this.readAllBy, this.deadlines.after(this.server.timeouts.keepAlive))
  }

  /** Answers what never became a request, and closes. */
  private refuse(refusal: Refusal, waitedMs = 0): void {
    const { head, reason } = refusal
    this.server.onRefused({ reason, client: this.remoteAddress, head, waitedMs })
    this.socket.write(refusal.response(this.deadlines.date), "latin1")
    this.close()
  }

  protected override onEnd(): void {
    if (this.exchange === undefined) {
      // To end it once more would make an error, with its stack, that nobody sees.
      if (!this.socket.writableEnded) this.socket.end()
      return
    }
    // A client that sends no more has left, as far as can be known: nobody else closes before the answer. It may still
    // read, and must not take what it has got so far for the whole.
    if (this.exchange.hasBegun) return this.cut()
    sendNow(this.socket)
    this.socket.destroy()
  }

  protected override onDrain(): void {
    if (this.exchange === undefined) this.consumeEarly()
    else this.exchange.onDrain()
  }

  protected override onClose(): void {
    this.isDeaf = true
    this.early = undefined
    const { exchange, intake } = this
    this.exchange = this.intake = undefined
    exchange?.abort()
    intake?.flow?.fail(TransportFailure.make({ reason: "client_aborted", message: "the client left" }))
  }

  protected override onGone(): void {
    this.server.onClose(this)
  }

  protected override onExpire(): void {
    if (this.exchange === undefined) {
      if (this.reader.hasBegun && !this.isDeaf) {
        this.refuse(new Refusal("request_timeout"), this.server.timeouts.head)
      } else if (this.socket.writableLength === 0) this.socket.destroy()
      else this.waitForReader()
    } else if (this.exchange.hasBegun || this.intake?.flow === undefined) {
      this.cut()
    } else {
      this.failBody("request_timeout", "the body stopped")
    }
  }
}
