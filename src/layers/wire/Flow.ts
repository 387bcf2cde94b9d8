/**
 * A body on its way from the connection that it arrives on to whoever takes it, without becoming a stream.
 *
 * Owns the hand-over between the two: pieces that arrive before there is a taker are held, a taker that cannot keep up
 * closes the valve, and the end or the failure comes once. It neither decodes nor writes.
 */
import type { TransportFailure } from "../../services/Failure.ts"
import type { FieldLines } from "../../services/Message.ts"

/** The side that a body comes from: stop for a while, go on, and give up on the rest. */
export interface Source {
  pause(): void
  resume(): void
  cancel(): void
}

/** The side that a body goes to. Nothing is called after `end` or `fail`. */
export interface Taker {
  /** The piece is valid until `flush` returns. */
  data(piece: Buffer): void
  /** The last piece has been given; `flush` follows. */
  end(trailers: FieldLines): void
  /** All of what has arrived at once has been given. Whether the taker still refers to any of it. */
  flush(): boolean
  fail(failure: TransportFailure): void
}

/** What may be held while nobody takes; then the valve closes. */
const maxHeld = 64 * 1024

/** Up to this size a piece that is held for longer is copied, so that it does not keep a whole read buffer alive. */
const maxCopied = 4 * 1024

const noTrailers: FieldLines = []

export class Flow {
  private readonly source: Source
  private taker: Taker | undefined
  private held: Array<Buffer> = []
  private heldBytes = 0
  /** How many of the held pieces have been there when `flush` was last called. */
  private settled = 0
  private isPaused = false
  private trailers: FieldLines = noTrailers
  private failure: TransportFailure | undefined
  /** Whether the last byte has been pushed. */
  isComplete = false
  /** Whether somebody has asked for the body. */
  isTaken = false
  /** Called when somebody first asks for the body, which is when an expected 100 (Continue) is due. */
  onTake: (() => void) | undefined

  constructor(source: Source) {
    this.source = source
  }

  /** Whether the body has ended or failed, so that nothing more will come. */
  get isOver(): boolean {
    return this.isComplete || this.failure !== undefined
  }

  /** The next piece, which is valid until `flush` returns. */
  push(piece: Buffer): void {
    if (this.taker !== undefined) return this.taker.data(piece)
    this.held.push(piece)
    this.heldBytes += piece.length
  }

  end(trailers: FieldLines): void {
    if (this.isOver) return
    this.isComplete = true
    this.trailers = trailers
    // There is nothing left to hold back, and the next message comes from the same source.
    this.resume()
    this.taker?.end(trailers)
  }

  /** What has arrived at once has been pushed. Whether somebody still refers to any of it. */
  flush(): boolean {
    if (this.taker !== undefined) return this.taker.flush()
    // Not for each piece: behind the last one nobody would open the valve again.
    if (this.heldBytes >= maxHeld) this.pause()
    let isKept = false
    for (; this.settled < this.held.length; this.settled++) {
      const piece = this.held[this.settled]!
      if (piece.length <= maxCopied) this.held[this.settled] = Buffer.from(piece)
      else isKept = true
    }
    return isKept
  }

  /** Nothing more will come, and what is held is of no use. */
  fail(failure: TransportFailure): void {
    if (this.isOver) return
    this.failure = failure
    this.held = []
    this.taker?.fail(failure)
  }

  /** Everything from here on goes to the taker: what is held at once, the rest as it arrives. There is one taker only. */
  take(taker: Taker): void {
    this.isTaken = true
    this.onTake?.()
    this.taker = taker
    const { held } = this
    const wasPaused = this.isPaused
    this.held = []
    this.isPaused = false
    for (const piece of held) taker.data(piece)
    if (this.failure !== undefined) return taker.fail(this.failure)
    if (this.isComplete) taker.end(this.trailers)
    taker.flush()
    // The taker may have asked for another pause meanwhile.
    if (wasPaused && !this.isPaused && !this.isOver) this.source.resume()
  }

  pause(): void {
    if (this.isPaused || this.isOver) return
    this.isPaused = true
    this.source.pause()
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.source.resume()
  }

  /** Nobody wants the rest. */
  cancel(): void {
    this.taker = undefined
    this.held = []
    if (!this.isOver) this.source.cancel()
  }
}
