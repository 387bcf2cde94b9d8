/**
 * A body on its way from the connection that it arrives on to whoever takes it, without becoming a stream.
 *
 * Owns the hand-over between the two: pieces that arrive before there is a taker are held, a taker that cannot keep up
 * closes the valve, and the end or the failure comes once. A short body may be kept, for another taker if the first
 * gives up. It neither decodes nor writes.
 */
import type { TransportFailure } from "../../services/Failure.ts"
import type { FieldLines } from "../../services/Fields.ts"
import { noTrailers } from "./Decoder.ts"

/** The side that a body comes from: stop for a while, go on, and give up on the rest. */
export interface Source {
  pause(): void
  resume(): void
  cancel(): void
}

/** How long somebody refers to what was given: no more, until the source is told to go on, or beyond that. */
export type Hold = "released" | "until resumed" | "kept"

/** The side that a body goes to. Nothing is called after `end` or `fail` but `flush`. */
export interface Taker {
  /** The piece is valid until `flush` returns. */
  data(piece: Buffer): void
  /** The last piece has been given; `flush` follows. */
  end(trailers: FieldLines): void
  /** All of what has arrived at once has been given. How long the taker refers to any of it. */
  flush(): Hold
  fail(failure: TransportFailure): void
}

/** What may be held while nobody takes; then the valve closes. */
const maxHeld = 64 * 1024

/** Up to this size a piece that is held for longer is copied, so that it does not keep a whole read buffer alive. */
export const maxCopied = 4 * 1024

export class Flow {
  private readonly source: Source
  private taker: Taker | undefined
  private held: Array<Buffer> = []
  private heldBytes = 0
  /** How many of the held pieces have been there when `flush` was last called. */
  private settled = 0
  private isPaused = false
  /** Copies of all that was given to takers, as long as it is not too much. */
  private kept: Array<Buffer> | undefined
  /** How many bytes may still be kept. */
  private room = 0
  /** How many takers there have been. */
  private turns = 0
  /** Whether a taker gave up a body that was kept, and nobody has taken it since. */
  private isGivenUp = false
  private trailers: FieldLines = noTrailers
  private failure: TransportFailure | undefined
  /** Whether the last byte has been pushed. */
  isComplete = false
  /** Whether somebody has asked for the body. */
  isTaken = false
  /** Called when somebody first asks for the body, which is when an expected 100 (Continue) is due. */
  onTake: (() => void) | undefined
  /** Called when the last byte has been pushed. */
  onComplete: (() => void) | undefined

  constructor(source: Source) {
    this.source = source
  }

  /** Whether the body has ended or failed, so that nothing more will come. */
  get isOver(): boolean {
    return this.isComplete || this.failure !== undefined
  }

  /** Whether somebody takes it who is ready for more than there is. */
  get isAwaited(): boolean {
    return this.taker !== undefined && !this.isPaused && !this.isOver
  }

  /** The next piece, which is valid until `flush` returns. */
  push(piece: Buffer): void {
    if (this.taker !== undefined) return this.give(piece, this.taker)
    this.held.push(piece)
    this.heldBytes += piece.length
  }

  end(trailers: FieldLines): void {
    if (this.isOver) return
    this.isComplete = true
    this.trailers = trailers
    this.onComplete?.()
    // There is nothing left to hold back, and the next message comes from the same source.
    this.resume()
    this.taker?.end(trailers)
  }

  /** What has arrived at once has been pushed. How long somebody refers to any of it. */
  flush(): Hold {
    if (this.taker !== undefined) return this.taker.flush()
    // Not for each piece: after the last one nobody would open the valve again.
    if (this.heldBytes >= maxHeld) this.pause()
    let hold: Hold = "released"
    for (; this.settled < this.held.length; this.settled++) {
      const piece = this.held[this.settled]!
      if (piece.length <= maxCopied) this.held[this.settled] = Buffer.from(piece)
      else hold = "kept"
    }
    return hold
  }

  /** Nothing more will come, and what is held is of no use. */
  fail(failure: TransportFailure): void {
    if (this.isOver) return
    this.failure = failure
    this.held = []
    this.taker?.fail(failure)
  }

  private give(piece: Buffer, taker: Taker): void {
    if (this.kept !== undefined) {
      this.room -= piece.length
      if (this.room >= 0) this.kept.push(Buffer.from(piece))
      else this.kept = undefined
    }
    taker.data(piece)
  }

  /** Before it is taken: keeps what is given to takers, up to so many bytes, so that it can be taken again. */
  keep(maxBytes: number): void {
    this.kept = []
    this.room = maxBytes
  }

  /** The flow as the source of its next taker: without effect as soon as there is another taker. */
  get turn(): Source {
    if (this.kept === undefined) return this
    const turn = this.turns + 1
    const isOn = () => this.turns === turn
    return {
      pause: () => isOn() && this.pause(),
      resume: () => isOn() && this.resume(),
      cancel: () => isOn() && this.cancel()
    }
  }

  /** Whoever takes it gets nothing more: what comes is held for another one, who gets all of it. */
  recall(): void {
    if (this.kept === undefined || this.taker === undefined) return
    this.taker = undefined
    this.turns++
    this.isGivenUp = true
  }

  /** Whether a taker would get all of it. */
  get isWhole(): boolean {
    return this.kept !== undefined || !this.isTaken
  }

  /** There is no other taker: nothing is kept any more, and if the last one has given up, nobody wants the rest. */
  settle(): void {
    this.kept = undefined
    if (this.isGivenUp) this.cancel()
  }

  /**
   * Everything goes to the taker: what was kept and what is held at once, the rest as it arrives. There is one taker
   * only, unless the body is kept.
   */
  take(taker: Taker): void {
    this.isTaken = true
    this.turns++
    this.isGivenUp = false
    this.onTake?.()
    this.taker = taker
    const { held, kept } = this
    const wasPaused = this.isPaused
    this.held = []
    this.heldBytes = this.settled = 0
    this.isPaused = false
    if (kept !== undefined && this.failure === undefined) { for (const piece of kept) taker.data(piece) }
    for (const piece of held) this.give(piece, taker)
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

  /** The taker does not want the rest, and neither does anybody else, unless it is kept for another one. */
  cancel(): void {
    this.taker = undefined
    if (this.kept !== undefined) {
      this.isGivenUp = true
      return
    }
    this.held = []
    if (!this.isOver) this.source.cancel()
  }
}
