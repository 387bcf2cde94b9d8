/**
 * One connection of a client: requests in, one exchange at a time, in order (RFC 9112 §9).
 *
 * Owns what is read: heads, bodies and what comes too early; the deadline of each phase, and when the connection ends. The
 * response is written by `ServerExchange`, and what is done with a request is decided by the handler.
 */
import type { Socket } from "node:net"
import { type Reason, TransportFailure } from "../../services/Failure.ts"
import { type Decoder, decoderFor } from "./Body.ts"
import { Connection } from "./Connection.ts"
import type { Deadlines } from "./Deadlines.ts"
import { Flow } from "./Flow.ts"
import * as Framing from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import * as Head from "./Head.ts"
import { HeadReader } from "./HeadReader.ts"
import * as Persistence from "./Persistence.ts"
import { refusal } from "./Refusal.ts"
import { ServerExchange } from "./ServerExchange.ts"

/** In milliseconds. */
export interface Timeouts {
  /** From the first byte of a head to its end. */
  readonly head: number
  /** Between two reads or writes of a body. */
  readonly idle: number
  /** Between two requests. */
  readonly keepAlive: number
}

/** What all connections of a server share. */
export interface Server {
  readonly limits: Head.Limits & { readonly bodyBytes: number }
  readonly timeouts: Timeouts
  readonly deadlines: Deadlines
  /** Whether the server has stopped accepting, so that each response is the last of its connection. */
  readonly isClosing: boolean
  /** Starts to work on a request. */
  readonly handle: (exchange: ServerExchange) => void
  readonly onClose: (connection: ServerConnection) => void
}

/** Of a request that nobody wants to its end, this much is read and thrown away to save the connection. */
const maxDrain = 256 * 1024

/** What is held of requests that came before their turn; then the client has to wait. */
const maxEarly = 64 * 1024

/** Milliseconds that a client gets to read the last response before the connection is reset (RFC 9112 §9.6). */
const lingering = 2_000

export class ServerConnection extends Connection {
  readonly server: Server
  private readonly reader: HeadReader
  private exchange: ServerExchange | undefined
  private decoder: Decoder | undefined
  /** The body that is being read; nobody wants it when there is a decoder and no flow. */
  private flow: Flow | undefined
  private bodyBytes = 0
  private drained = 0
  private isConsuming = false
  /** Whether there is no request after this one. */
  private isLast = false
  /** Whether the last response is out, or what comes makes no sense any more: everything else is thrown away. */
  private isDeaf = false
  private address: string | undefined

  constructor(socket: Socket, server: Server) {
    super(socket, server.deadlines)
    this.server = server
    this.reader = new HeadReader("request", server.limits)
    this.deadline = server.deadlines.after(server.timeouts.keepAlive)
    socket.on("data", (chunk: Buffer) => {
      this.receive(chunk)
    })
  }

  /** The address of the client. */
  get remoteAddress(): string | undefined {
    return this.address ??= this.socket.remoteAddress
  }

  /** Whether nothing is going on, so that it can be closed without harm. */
  get isIdle(): boolean {
    return this.exchange === undefined && !this.isTunnel
  }

  protected override onBytes(chunk: Buffer): boolean {
    if (this.isDeaf) return false
    if (this.early === undefined) this.consume(chunk)
    else this.keepForLater(chunk)
    return false
  }

  private consume(chunk: Buffer): void {
    this.isConsuming = true
    let at = 0
    while (at < chunk.length && !this.isDeaf) {
      if (this.decoder !== undefined) at = this.readBody(this.decoder, chunk, at)
      else if (this.isTunnel) {
        this.receive(chunk.subarray(at))
        break
      } else if (this.exchange === undefined && !this.socket.writableNeedDrain) at = this.readHead(chunk, at)
      else {
        this.keepForLater(chunk.subarray(at))
        break
      }
    }
    this.isConsuming = false
  }

  private keepForLater(chunk: Buffer): void {
    this.early = this.early === undefined ? chunk : Buffer.concat([this.early, chunk])
    if (this.early.length >= maxEarly) this.socket.pause()
  }

  private readHead(chunk: Buffer, at: number): number {
    const { deadlines, limits, timeouts } = this.server
    const hadBegun = this.reader.hasBegun
    const found = this.reader.read(chunk, at)
    if (found === undefined) {
      if (!hadBegun && this.reader.hasBegun) this.deadline = deadlines.after(timeouts.head)
      return chunk.length
    }
    const head = found instanceof Malformed ? found : Head.parseRequest(found.text, limits)
    if (!(found instanceof Malformed) && !(head instanceof Malformed)) return this.begin(head, chunk, found.rest)
    if (head instanceof Malformed) this.refuseMalformed(head)
    return chunk.length
  }

  /** A request has begun. What has already come of its body is decoded before anybody works on it. */
  private begin(head: Head.RequestLine, chunk: Buffer, rest: number): number {
    const framing = Framing.ofRequest(head.fields, head.version)
    if (framing instanceof Malformed) {
      this.refuseMalformed(framing)
      return chunk.length
    }
    const expectation = Persistence.valueOf(head.fields, "expect")
    const expectsContinue = expectation?.toLowerCase() === "100-continue"
    if (expectation !== undefined && !expectsContinue) {
      this.refuse("expectation_failed")
      return chunk.length
    }
    if (framing._tag === "Length" && framing.length > this.server.limits.bodyBytes) {
      this.refuse("body_too_large")
      return chunk.length
    }
    const options = Persistence.optionsOf(head.fields)
    this.isLast = !Persistence.isPersistent(options, head.version)
    this.decoder = decoderFor(framing)
    this.bodyBytes = 0
    this.drained = 0
    this.flow = this.decoder === undefined ? undefined : new Flow(this)
    const exchange = new ServerExchange(this, head, options, framing, this.flow)
    this.exchange = exchange
    let at = rest
    if (this.decoder !== undefined && at < chunk.length) at = this.readBody(this.decoder, chunk, at)
    if (this.flow !== undefined && this.decoder !== undefined) {
      this.deadline = this.deadlines.after(this.server.timeouts.idle)
      if (expectsContinue && head.version === 1) this.flow.onTake = () => exchange.sendContinue()
    } else {
      this.deadline = Infinity
    }
    this.server.handle(exchange)
    return at
  }

  private readonly onPiece = (piece: Buffer): void => {
    this.bodyBytes += piece.length
    if (this.flow === undefined) this.drained += piece.length
    else if (this.bodyBytes <= this.server.limits.bodyBytes) this.flow.push(piece)
  }

  private readBody(decoder: Decoder, chunk: Buffer, at: number): number {
    const rest = decoder.decode(chunk, at, this.onPiece)
    const isTooLong = this.bodyBytes > this.server.limits.bodyBytes
    if (rest instanceof Malformed || isTooLong) {
      this.failBody(
        rest instanceof Malformed
          ? TransportFailure.make({ reason: "bad_request", message: rest.detail })
          : TransportFailure.make({ reason: "body_too_large", message: "the body is over the limit" })
      )
      return chunk.length
    }
    const { flow } = this
    if (decoder.isDone) {
      this.decoder = undefined
      this.flow = undefined
      flow?.end(decoder.trailers)
      this.deadline = this.exchange === undefined
        ? this.deadlines.after(this.server.timeouts.keepAlive)
        : Infinity
    } else {
      this.expectMore()
      if (this.drained > maxDrain) this.stopDraining()
    }
    flow?.flush()
    return rest
  }

  /** The rest of the request cannot be read, and so neither can anything after it. */
  private failBody(failure: TransportFailure): void {
    const { flow } = this
    this.isLast = this.isDeaf = true
    this.decoder = undefined
    this.flow = undefined
    this.deadline = Infinity
    flow?.fail(failure)
    if (this.exchange === undefined) this.close()
  }

  /** More of the body has to come in time, unless an exchange goes on that does not want it. */
  private expectMore(): void {
    this.deadline = this.flow === undefined && this.exchange !== undefined
      ? Infinity
      : this.deadlines.after(this.server.timeouts.idle)
  }

  private stopDraining(): void {
    this.isLast = true
    if (this.exchange === undefined) this.close()
    else this.pause()
  }

  /** Whether the response that begins now has to say that it is the last one. */
  decideLast(): boolean {
    const { decoder, flow } = this
    const isUnwanted = decoder !== undefined && (flow === undefined || !flow.isTaken)
    if (isUnwanted && (flow?.onTake !== undefined || decoder.remaining > maxDrain)) this.isLast = true
    this.isLast ||= this.server.isClosing
    return this.isLast
  }

  /** The body of the response needs the end of the connection to end. */
  endsWithConnection(): void {
    this.isLast = true
  }

  /** The client has to read before the response goes on, or has read. */
  onWaiting(isWaiting: boolean): void {
    this.readBy = isWaiting ? this.deadlines.after(this.server.timeouts.idle) : Infinity
  }

  /** Whoever reads the request's body cannot keep up, which is no fault of the client. */
  override pause(): void {
    this.deadline = Infinity
    super.pause()
  }

  override resume(): void {
    this.deadline = this.deadlines.after(this.server.timeouts.idle)
    super.resume()
  }

  /** The response is complete. */
  onResponded(): void {
    this.exchange = undefined
    const { flow } = this
    if (flow !== undefined) {
      // What is left of the request is read without anybody to read it to.
      this.flow = undefined
      flow.fail(TransportFailure.make({ reason: "client_aborted", message: "the response is complete" }))
      this.socket.resume()
    }
    // What has come already is answered before the end.
    if (this.isLast || (this.server.isClosing && this.early === undefined)) return this.close()
    this.deadline = this.decoder === undefined
      ? this.deadlines.after(this.server.timeouts.keepAlive)
      : this.deadlines.after(this.server.timeouts.idle)
    this.consumeEarly()
  }

  /** Goes on with what came before its turn, unless the client does not read what it has asked for already. */
  private consumeEarly(): void {
    const { early } = this
    if (early === undefined || this.isConsuming || this.socket.writableNeedDrain) return
    this.early = undefined
    if (early.length >= maxEarly) this.socket.resume()
    this.consume(early)
  }

  /** The connection goes on as a tunnel to another one, with whatever the client has sent after the request. */
  becomeTunnel(other: Connection, onOver: () => void): void {
    this.exchange = undefined
    this.joinTo(other, this.server.timeouts.idle, onOver)
  }

  /** Nobody wants the rest of the request's body. */
  override cancel(): void {
    this.flow = undefined
    this.expectMore()
    this.socket.resume()
  }

  /** Ends the connection after what was written, and gives the client time to read it. */
  close(): void {
    const { deadlines, socket } = this
    this.isDeaf = true
    this.deadline = deadlines.after(this.server.timeouts.idle)
    socket.end(() => this.deadline = deadlines.after(lingering))
    socket.resume()
  }

  /** There is no more time: whoever waits for a response gets one that says so. */
  terminate(): void {
    const isStuck = this.socket.writableLength > 0
    this.exchange?.terminate()
    if (isStuck) this.cut()
    else this.socket.destroySoon()
  }

  /** Breaks the connection off, so that a response never looks complete (RFC 9112 §8). */
  cut(): void {
    this.socket.resetAndDestroy()
  }

  private refuseMalformed({ detail, status }: Malformed): void {
    const reasons: Readonly<Record<Malformed["status"], Reason>> = {
      400: "bad_request",
      413: "body_too_large",
      414: "target_too_long",
      431: "headers_too_large",
      501: "not_implemented",
      505: "version_not_supported"
    }
    this.refuse(reasons[status], detail)
  }

  /** Answers what never became a request, and closes. */
  private refuse(reason: Reason, detail?: string): void {
    this.socket.write(refusal(reason, detail, this.deadlines.date), "latin1")
    this.close()
  }

  protected override onEnd(): void {
    // A client that sends no more has left, as far as can be known: nobody else closes before the answer.
    if (this.exchange === undefined) this.socket.end()
    else this.socket.destroy()
  }

  protected override onDrain(): void {
    if (this.exchange === undefined) this.consumeEarly()
    else this.exchange.onDrain()
  }

  protected override onClose(): void {
    this.isDeaf = true
    this.early = undefined
    const { exchange, flow } = this
    this.exchange = this.flow = this.decoder = undefined
    exchange?.abort()
    flow?.fail(TransportFailure.make({ reason: "client_aborted", message: "the client left" }))
  }

  protected override onGone(): void {
    this.server.onClose(this)
  }

  protected override onExpire(): void {
    if (this.exchange === undefined) {
      if (this.reader.hasBegun && !this.isDeaf) this.refuse("request_timeout")
      else this.socket.destroy()
    } else if (this.exchange.hasBegun || this.flow === undefined) {
      this.cut()
    } else {
      this.failBody(TransportFailure.make({ reason: "request_timeout", message: "the body stopped" }))
    }
  }
}
