/**
 * One connection to a backend: a request out, its response in, and never two at a time.
 *
 * Owns what is read: interim responses, the head, the body; the deadline of each phase, and whether the connection can be used
 * again. Which request comes next is decided by the `ConnectionPool`.
 */
import type { Socket } from "node:net"
import { systemErrors, TransportFailure } from "../../services/Failure.ts"
import { type Decoder, decoderFor } from "./Body.ts"
import type { ClientExchange } from "./ClientExchange.ts"
import { unwritable } from "./Connect.ts"
import { Connection } from "./Connection.ts"
import type { Deadlines } from "./Deadlines.ts"
import { Flow } from "./Flow.ts"
import * as Framing from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import * as Head from "./Head.ts"
import { HeadReader } from "./HeadReader.ts"
import { type Listener, MessageWriter } from "./MessageWriter.ts"
import * as Persistence from "./Persistence.ts"

/** In milliseconds. */
export interface Timeouts {
  /** For the connection. */
  readonly connect: number
  /** From the end of the request to the head of the response. */
  readonly response: number
  /** Between two reads or writes of a body. */
  readonly idle: number
  /** Between two requests. */
  readonly keepAlive: number
}

/** What all connections of a client share. */
export interface Client {
  readonly limits: Head.Limits
  readonly timeouts: Timeouts
  readonly deadlines: Deadlines
}

/** Who is told what becomes of a connection. */
export interface Owner {
  /** It can be used, for the first time or again. */
  onFree(connection: ClientConnection): void
  /** The exchange was lost with the connection before there was an answer. `isStale` is a connection that was closed before. */
  onLost(exchange: ClientExchange, failure: TransportFailure, isStale: boolean): void
  onGone(connection: ClientConnection): void
}

/** Milliseconds that are left to a response when its connection takes no more of the request. */
const lastWords = 500

/** More than any backend has reason to send before its answer. */
const maxInterim = 100

export class ClientConnection extends Connection {
  private readonly client: Client
  private readonly owner: Owner
  private readonly reader: HeadReader
  /** Whose response is not complete yet. */
  private exchange: ClientExchange | undefined
  private writer: MessageWriter | undefined
  private decoder: Decoder | undefined
  private flow: Flow | undefined
  private isConnected = false
  /** Whether a request was answered on it before, so that the backend may have closed it by now. */
  private isUsed = false
  /** Whether anything has come since the request was sent. */
  private isAnswered = false
  private isUpgraded = false
  private isUnwritable = false
  /** Whether somebody still refers to the chunk that is being read. */
  private isKept = false
  private interim = 0
  private isLast = false
  private keepAlive: number

  /** `exchange` is sent as soon as the connection stands. */
  constructor(
    socket: Socket,
    connectedEvent: "connect" | "secureConnect",
    exchange: ClientExchange,
    client: Client,
    owner: Owner
  ) {
    super(socket, client.deadlines)
    this.client = client
    this.owner = owner
    this.exchange = exchange
    this.keepAlive = client.timeouts.keepAlive
    this.reader = new HeadReader("response", client.limits)
    this.deadline = this.deadlines.after(client.timeouts.connect)
    socket.on(connectedEvent, () => {
      this.isConnected = true
      const first = this.exchange
      this.exchange = undefined
      if (first === undefined || first.isOver) this.becomeFree()
      else this.start(first)
    })
    socket.on(unwritable, () => this.onUnwritable())
    exchange.connection = this
  }

  /** Whether a request can be sent on it. */
  get isFree(): boolean {
    return this.isConnected && this.exchange === undefined && this.socket.writable && !this.socket.readableEnded
  }

  /** Sends a request. */
  start(exchange: ClientExchange): void {
    const { head: { acceptsTrailers, fields, method, target, upgrade }, outgoing } = exchange
    this.exchange = exchange
    exchange.connection = this
    this.isAnswered = this.isLast = false
    this.interim = 0
    this.deadline = Infinity
    let more = outgoing.framing._tag === "Chunked" ? "Transfer-Encoding: chunked\r\n" : ""
    if (acceptsTrailers) more += `Connection: ${upgrade === undefined ? "TE" : "TE, upgrade"}\r\nTE: trailers\r\n`
    else if (upgrade !== undefined) more += "Connection: upgrade\r\n"
    if (upgrade !== undefined) more += `Upgrade: ${upgrade}\r\n`
    const head = Head.formatRequest(method, target, fields, more)
    this.writer = new MessageWriter(this.socket, head, outgoing.framing, outgoing.source, this.listener)
    outgoing.start(this.writer)
  }

  private readonly listener: Listener = {
    onWritten: () => {
      this.writer = undefined
      if (this.flow === undefined) this.deadline = this.deadlines.after(this.client.timeouts.response)
    },
    // The request cannot be completed, so its connection is of no use, and neither is an answer to half of it.
    onBroken: (failure) => {
      const { exchange, flow } = this
      this.forget()
      this.socket.destroy()
      exchange?.fail(failure)
      flow?.fail(failure)
    },
    onWaiting: (isWaiting) => {
      this.readBy = isWaiting ? this.deadlines.after(this.client.timeouts.idle) : Infinity
    }
  }

  protected override onBytes(chunk: Buffer): boolean {
    if (this.isUpgraded) return this.keepForTunnel(chunk)
    this.isAnswered = true
    this.isKept = false
    let at = 0
    while (at < chunk.length && !this.socket.destroyed) {
      if (this.isTunnel) return this.receive(chunk.subarray(at)) || this.isKept
      if (this.isUpgraded) return this.keepForTunnel(chunk.subarray(at)) || this.isKept
      if (this.exchange === undefined) {
        // Nobody asked for anything: whatever this is, it must not be taken for the next answer.
        this.socket.destroy()
      } else if (this.decoder === undefined) {
        at = this.readHead(this.exchange, chunk, at)
      } else {
        const { flow } = this
        at = this.readBody(this.decoder, chunk, at)
        if (flow !== undefined) this.settle(flow)
      }
    }
    return this.isKept
  }

  private settle(flow: Flow): void {
    if (flow.flush()) this.isKept = true
  }

  private keepForTunnel(chunk: Buffer): boolean {
    this.early = this.early === undefined ? Buffer.from(chunk) : Buffer.concat([this.early, chunk])
    this.socket.pause()
    return false
  }

  private readHead(exchange: ClientExchange, chunk: Buffer, at: number): number {
    const found = this.reader.read(chunk, at)
    if (found === undefined) return chunk.length
    const head = found instanceof Malformed ? found : Head.parseResponse(found.text, this.client.limits)
    if (found instanceof Malformed || head instanceof Malformed) {
      if (head instanceof Malformed) this.fail("protocol_error", `The answer is not valid HTTP: ${head.detail}`)
      return chunk.length
    }
    if (head.status >= 200) return this.readFinal(exchange, head, chunk, found.rest)
    if (head.status === 101) return this.readUpgrade(exchange, head, chunk, found.rest)
    if (++this.interim > maxInterim) this.fail("protocol_error", "Interim responses without an end")
    // We expect none, and answer whoever does (RFC 9110 §15.2.1).
    else if (head.status !== 100) exchange.onInterim(head.status, head.statusText, head.fields)
    return found.rest
  }

  private readUpgrade(exchange: ClientExchange, head: Head.StatusLine, chunk: Buffer, rest: number): number {
    const asked = exchange.head.upgrade
    if (asked === undefined || this.writer !== undefined || !Persistence.isAmong(head.fields, asked)) {
      this.fail("protocol_error", "A 101 that nobody asked for")
      return chunk.length
    }
    this.isUpgraded = true
    // Whatever becomes of it is for the one that it will be joined to.
    this.socket.pause()
    this.deadline = this.deadlines.after(this.client.timeouts.idle)
    exchange.onHead(head, undefined)
    return rest
  }

  /** The final response has begun. What has already come of its body is decoded before anybody hears of it. */
  private readFinal(exchange: ClientExchange, head: Head.StatusLine, chunk: Buffer, rest: number): number {
    const framing = Framing.ofResponse(exchange.head.method, head.status, head.fields, head.version)
    if (framing instanceof Malformed) {
      this.fail("protocol_error", `The answer is not valid HTTP: ${framing.detail}`)
      return chunk.length
    }
    const { timeouts } = this.client
    this.isLast = framing._tag === "Close" ||
      !Persistence.isPersistent(Persistence.optionsOf(head.fields), head.version)
    this.keepAlive = Math.min(timeouts.keepAlive, Persistence.announcedKeepAlive(head.fields))
    // RFC 9112 §9.3: who sends a body watches for an answer that says that it is not wanted.
    if (head.status >= 400 && this.isLast) this.stopSending()
    this.decoder = decoderFor(framing)
    if (this.decoder === undefined) {
      this.onAnswered(rest < chunk.length)
      exchange.onHead(head, undefined)
      return rest
    }
    const flow = this.flow = new Flow(this)
    this.deadline = this.deadlines.after(timeouts.idle)
    const next = rest < chunk.length ? this.readBody(this.decoder, chunk, rest) : rest
    exchange.onHead(head, flow)
    this.settle(flow)
    return next
  }

  private readBody(decoder: Decoder, chunk: Buffer, at: number): number {
    const { flow } = this
    const rest = decoder.decode(chunk, at, this.onPiece)
    if (rest instanceof Malformed) {
      this.fail("protocol_error", rest.detail)
      return chunk.length
    }
    this.deadline = this.deadlines.after(this.client.timeouts.idle)
    if (decoder.isDone) {
      flow?.end(decoder.trailers)
      this.onAnswered(rest < chunk.length)
    }
    return rest
  }

  private readonly onPiece = (piece: Buffer): void => this.flow?.push(piece)

  /** The response is complete. What comes after it belongs to nobody. */
  private onAnswered(hasMore: boolean): void {
    this.stopSending()
    this.exchange = this.decoder = this.flow = undefined
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
    this.readBy = Infinity
    writer.abandon()
  }

  /** The backend has closed while it was sent a request. What it has said before that may be on its way. */
  private onUnwritable(): void {
    // What it has said in a tunnel comes to an end by itself.
    if (this.isTunnel) return
    if (this.exchange === undefined) return void this.socket.destroy()
    this.isUnwritable = true
    this.stopSending()
    this.deadline = this.deadlines.after(lastWords)
  }

  private becomeFree(): void {
    this.deadline = this.deadlines.after(this.keepAlive)
    this.owner.onFree(this)
  }

  private forget(): void {
    this.exchange =
      this.decoder =
      this.flow =
      this.writer =
        undefined
  }

  /** The exchange cannot be completed. */
  private fail(reason: TransportFailure["reason"], message: string): void {
    const { exchange, flow, isConnected, writer } = this
    this.forget()
    this.socket.destroy()
    writer?.abandon()
    if (flow !== undefined) {
      return flow.fail(TransportFailure.make({ reason: "reset_mid_body", message }))
    }
    if (exchange === undefined) return
    const isStale = this.isUsed && !this.isAnswered && reason === "reset_before_headers"
    const isUnconnected = !isConnected && reason === "reset_before_headers"
    this.owner.onLost(
      exchange,
      TransportFailure.make({ reason: isUnconnected ? "connect_failed" : reason, message }),
      isStale
    )
  }

  /** Nobody waits for the response, or for the rest of it. A connection that is still being made is of use to others. */
  release(exchange: ClientExchange): void {
    if (this.exchange === exchange && this.isConnected) this.cancel()
  }

  override cancel(): void {
    const { writer } = this
    this.forget()
    this.socket.destroy()
    writer?.abandon()
  }

  /** The client is closed. Whoever waits is told. */
  close(): void {
    this.fail("connect_failed", "The client is closed")
  }

  /** Whoever reads the response cannot keep up, which is no fault of the backend. */
  override pause(): void {
    this.deadline = Infinity
    super.pause()
  }

  override resume(): void {
    this.deadline = this.deadlines.after(this.client.timeouts.idle)
    super.resume()
  }

  protected override onEnd(): void {
    const { decoder, flow } = this
    if (decoder?.end() === true) {
      flow?.end(decoder.trailers)
      this.onAnswered(false)
      flow?.flush()
    } else {
      this.fail("reset_before_headers", "Connection closed")
    }
  }

  protected override onDrain(): void {
    this.writer?.onDrain()
  }

  protected override onClose(cause: NodeJS.ErrnoException | undefined): void {
    const code = cause?.code ?? ""
    const message = cause === undefined ? "Connection closed" : systemErrors[code] ?? cause.message
    if (!this.isConnected && code === "ETIMEDOUT") this.fail("connect_timeout", message)
    else this.fail("reset_before_headers", message)
  }

  protected override onGone(): void {
    this.owner.onGone(this)
  }

  protected override onExpire(): void {
    if (!this.isConnected) this.fail("connect_timeout", "Connection timed out")
    else if (this.writer !== undefined) this.fail("headers_timeout", "The backend stopped reading the request")
    else if (this.isUnwritable) this.fail("reset_before_headers", "Connection closed")
    else if (this.flow !== undefined) this.fail("reset_mid_body", "The body stopped")
    else this.fail("headers_timeout", "No answer in time")
  }
}
