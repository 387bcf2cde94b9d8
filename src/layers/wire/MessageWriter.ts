/**
 * One message on its way out: the head, then a body as it flows in, framed anew.
 *
 * Owns the framing of the body (RFC 9112 §6-7), the system calls that it takes, and backpressure: when the socket is
 * full, the source pauses until it drains. A body that is shorter or longer than its Content-Length is a failure and
 * never padded or cut. Both ends of the balancer send with it, requests to backends as well as responses to clients.
 */
import type { Socket } from "node:net"
import { TransportFailure } from "../../services/Failure.ts"
import type { FieldLines } from "../../services/Fields.ts"
import { forwardedTrailers } from "../../services/HeaderFields.ts"
import { chunkEnd, chunkHead, lastChunk } from "./Chunks.ts"
import type { Hold, Source, Taker } from "./Flow.ts"
import type { Framing } from "./Framing.ts"
import { sendNow, writeSoon } from "./Outbox.ts"

/** What is told about a message. Exactly one of the first two is called, once, unless the message is abandoned. */
export interface Listener {
  /** The last byte is with the socket. */
  onWritten(): void
  /** The body broke off, or was not as long as its head said. The message cannot be completed. */
  onBroken(failure: TransportFailure): void
  /** The peer has to read before anything goes on, or has read. */
  onWaiting(isWaiting: boolean): void
}

/**
 * Up to this many bytes, head and body are written as one text: a copy costs less than a second buffer in the same
 * system call, and the socket encodes texts of this size on the stack.
 */
const maxText = 8 * 1024

const broken = (message: string): TransportFailure => TransportFailure.make({ reason: "reset_mid_body", message })

export class MessageWriter implements Taker {
  private readonly socket: Socket
  private readonly isChunked: boolean
  private readonly source: Source | undefined
  private readonly listener: Listener
  /** Bytes of the body that may still come. */
  private remaining: number
  /** What waits to be written together: text in Latin-1, then pieces of the body, with the text before each. */
  private text: string
  private parts: Array<string | Buffer> = []
  private size = 0
  private state: "open" | "ended" | "over" = "open"
  private isPaused = false
  private refersToPieces = false

  /** Nothing is written before the first `flush`. Without a source nobody is asked to pause. */
  constructor(socket: Socket, head: string, framing: Framing, source: Source | undefined, listener: Listener) {
    this.socket = socket
    this.text = head
    this.isChunked = framing._tag === "Chunked"
    this.remaining = framing._tag === "Length" ? framing.length : framing._tag === "None" ? 0 : Infinity
    this.source = source
    this.listener = listener
  }

  data(piece: Buffer): void {
    if (this.state !== "open" || piece.length === 0) return
    this.remaining -= piece.length
    if (this.remaining < 0) return this.fail(broken("the body is longer than its Content-Length"))
    if (this.isChunked) this.text += chunkHead(piece.length)
    if (this.text !== "") {
      this.parts.push(this.text)
      this.size += this.text.length
    }
    this.parts.push(piece)
    this.size += piece.length
    this.text = this.isChunked ? chunkEnd : ""
  }

  end(trailers: FieldLines): void {
    if (this.state !== "open") return
    if (this.remaining > 0 && this.remaining < Infinity) {
      return this.fail(broken("the body is shorter than its Content-Length"))
    }
    if (this.isChunked) this.text += lastChunk(trailers.length === 0 ? trailers : forwardedTrailers(trailers))
    this.state = "ended"
  }

  flush(): Hold {
    // Asked once more for what was just written, by the connection that it came from.
    if (this.state === "over") return this.hold
    const hasRoom = this.write()
    if (this.state === "open" && !hasRoom) {
      this.isPaused = true
      this.source?.pause()
      this.listener.onWaiting(true)
    }
    const { hold } = this
    if (this.state === "ended") {
      this.state = "over"
      this.listener.onWritten()
    }
    return hold
  }

  fail(failure: TransportFailure): void {
    if (this.state === "over") return
    this.state = "over"
    this.source?.cancel()
    this.listener.onBroken(failure)
  }

  /** The socket has room again. */
  onDrain(): void {
    if (!this.isPaused) return
    this.isPaused = false
    if (this.state !== "open") return
    this.listener.onWaiting(false)
    this.source?.resume()
  }

  /** The message is given up, and nobody is told. */
  abandon(): void {
    if (this.state === "over") return
    this.state = "over"
    this.source?.cancel()
  }

  /** How long the socket refers to a piece. A text is a copy, and a source that waits goes on when the socket is empty. */
  private get hold(): Hold {
    if (!this.refersToPieces || this.socket.writableLength === 0) return "released"
    return this.isPaused && this.source !== undefined ? "until resumed" : "kept"
  }

  /** Writes what waits. Whether the socket takes more. */
  private write(): boolean {
    const { parts, size, socket, text } = this
    if (socket.writableLength === 0) this.refersToPieces = false
    if (size === 0) {
      if (text === "") return true
      this.text = ""
      return writeSoon(socket, text)
    }
    this.parts = []
    this.size = 0
    this.text = ""
    if (size + text.length <= maxText) {
      let all = ""
      for (const part of parts) all += typeof part === "string" ? part : part.toString("latin1")
      return writeSoon(socket, all + text)
    }
    this.refersToPieces = true
    if (parts.length === 1 && text === "" && socket.writableCorked === 0) return socket.write(parts[0]!)
    socket.cork()
    for (const part of parts) socket.write(part, "latin1")
    if (text !== "") socket.write(text, "latin1")
    // A piece that waited would need another buffer for what is read meanwhile.
    sendNow(socket)
    return !socket.writableNeedDrain
  }
}
