/**
 * A body that is being read: from the bytes of its connection to whoever takes it.
 *
 * Owns the decoder, the limit, and what is thrown away once nobody wants the rest. When the connection has to be read
 * on, or closed, is decided there.
 */
import type { Decoder } from "./Decoder.ts"
import type { Flow } from "./Flow.ts"
import { Malformed } from "./Grammar.ts"

/** Of a body that nobody wants to its end, this much is read and thrown away to save the connection. */
const maxDrain = 256 * 1024

export class Intake {
  private readonly decoder: Decoder
  private readonly maxBytes: number
  private bytes = 0
  /** Where it goes; nobody wants it when there is none. */
  flow: Flow | undefined
  /** Bytes that nobody wanted. */
  private drained = 0

  constructor(decoder: Decoder, flow: Flow, maxBytes: number) {
    this.decoder = decoder
    this.flow = flow
    this.maxBytes = maxBytes
  }

  /** Whether so much was thrown away that the connection is not worth more. */
  get hasDrainedEnough(): boolean {
    return this.drained > maxDrain
  }

  /**
   * Whether nobody has asked for it, or wants the rest, and the connection had better end behind the response: a client
   * that has much to send had better stop, and one that waits for a 100 (Continue) would be left in doubt.
   */
  get isBetterLeft(): boolean {
    return this.flow?.isTaken !== true && (this.flow?.onTake !== undefined || this.decoder.remaining > maxDrain)
  }

  /** Whether the last byte has been read. */
  get isDone(): boolean {
    return this.decoder.isDone
  }

  /** Reads from `at` on, and returns where the body or the chunk ends. The end is told to the flow with `end`. */
  read(chunk: Buffer, at: number): number | Malformed {
    const rest = this.decoder.decode(chunk, at, this.onPiece)
    return this.bytes > this.maxBytes ? new Malformed(413, "the body is over the limit") : rest
  }

  private readonly onPiece = (piece: Buffer): void => {
    this.bytes += piece.length
    if (this.flow === undefined) this.drained += piece.length
    else if (this.bytes <= this.maxBytes) this.flow.push(piece)
  }

  /** The connection has ended. Whether the body is complete with that. */
  endWithConnection(): boolean {
    return this.decoder.end()
  }

  /** Tells the flow that the body is complete. */
  end(): void {
    this.flow?.end(this.decoder.trailers)
  }
}
