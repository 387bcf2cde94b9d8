/**
 * Reads a body for a program: as a stream, or whole.
 *
 * Owns the way from a `Flow` to the platform's types, with backpressure. What an error is called is
 * the caller's business.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import { TransportFailure } from "../../services/Failure.ts"
import { type Flow, type Hold, maxCopied, type Taker } from "./Flow.ts"

/** What may wait to be read; then the sender has to. */
const maxWaiting = 64 * 1024

/** The body is longer than the program wants. */
export class BodyTooLarge extends Data.TaggedError("BodyTooLarge")<{ readonly message: string }> {}

export class BodyReader implements Taker {
  private readonly flow: Flow
  private pieces: Array<Uint8Array> = []
  private waitingBytes = 0
  /** Whether any piece of those that came together is a view of the buffer that was read into. */
  private isKept = false
  private isFlushed = false
  private state: "untouched" | "open" | "ended" | TransportFailure = "untouched"
  private wake: (() => void) | undefined

  constructor(flow: Flow) {
    this.flow = flow
  }

  data(piece: Buffer): void {
    const isCopied = piece.length <= maxCopied
    this.pieces.push(isCopied ? Buffer.from(piece) : piece)
    this.isKept = !isCopied || (this.isKept && !this.isFlushed)
    this.isFlushed = false
    this.waitingBytes += piece.length
  }

  end(): void {
    this.state = "ended"
  }

  flush(): Hold {
    if (this.waitingBytes >= maxWaiting) this.flow.pause()
    // There may be nothing yet but the frame of a chunk.
    if (this.pieces.length > 0 || this.state !== "open") this.notify()
    // It may be asked more than once for the same pieces: by whoever took the body, and by the connection.
    this.isFlushed = true
    return this.isKept ? "kept" : "released"
  }

  fail(failure: TransportFailure): void {
    this.state = failure
    this.notify()
  }

  /** What has come, or the end. One reader waits at a time. */
  readonly pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, TransportFailure> = Effect.suspend(() => {
    if (this.state === "untouched") {
      this.state = "open"
      this.flow.take(this)
    }
    if (this.pieces.length > 0 || this.state !== "open") return this.next()
    return Effect.callback((resume) => {
      this.wake = () => resume(this.next())
      return Effect.sync(() => this.wake = undefined)
    })
  })

  private next(): Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, TransportFailure> {
    const { pieces, state } = this
    if (Arr.isArrayNonEmpty(pieces)) {
      this.pieces = []
      this.waitingBytes = 0
      this.flow.resume()
      return Effect.succeed(pieces)
    }
    return typeof state === "object" ? Effect.fail(state) : Cause.done()
  }

  private notify(): void {
    const { wake } = this
    this.wake = undefined
    wake?.()
  }

  /** What has not been read yet. It can be read once. */
  get stream(): Stream.Stream<Uint8Array, TransportFailure> {
    return Stream.fromPull(Effect.succeed(this.pull))
  }

  /** All of it, in one piece. */
  whole(maxBytes: number): Effect.Effect<Uint8Array<ArrayBuffer>, TransportFailure | BodyTooLarge> {
    return Effect.suspend(() => {
      const all: Array<Uint8Array> = []
      let size = 0
      return this.stream.pipe(
        Stream.runForEachArray((pieces) => {
          for (const piece of pieces) {
            size += piece.length
            all.push(piece)
          }
          if (size <= maxBytes) return Effect.void
          this.cancel()
          return Effect.fail(new BodyTooLarge({ message: `the body is longer than ${maxBytes} bytes` }))
        }),
        Effect.map(() => {
          const whole = new Uint8Array(size)
          let at = 0
          for (const piece of all) {
            whole.set(piece, at)
            at += piece.length
          }
          return whole
        })
      )
    })
  }

  /** Nobody reads on. */
  cancel(): void {
    if (this.state === "ended" || typeof this.state === "object") return
    this.flow.cancel()
    this.pieces = []
    this.fail(TransportFailure.make({ reason: "client_aborted", message: "the body was given up" }))
  }
}
