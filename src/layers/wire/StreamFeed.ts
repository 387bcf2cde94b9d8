/**
 * A stream of the platform as the source of a body: piece by piece, at the pace of the reader.
 *
 * How the body ends, and what becomes of a stream that fails, is left to who sends it.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import type { Source } from "./Flow.ts"
import type { MessageWriter } from "./MessageWriter.ts"

/** The same bytes, without a copy. */
export const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export class StreamFeed implements Source {
  private readonly room = Latch.makeUnsafe(true)
  private isCancelled = false
  private onCancel: (() => void) | undefined

  pause(): void {
    this.room.closeUnsafe()
  }

  resume(): void {
    this.room.openUnsafe()
  }

  cancel(): void {
    this.isCancelled = true
    this.onCancel?.()
  }

  /** Calls the function when nobody wants the rest, which may be so already. */
  whenCancelled(stop: () => void): void {
    this.onCancel = stop
    if (this.isCancelled) stop()
  }

  /** Gives all pieces to the writer, and waits for room after each of them, and for `check` then. */
  write<E>(
    writer: MessageWriter,
    stream: Stream.Stream<Uint8Array, E>,
    check: Effect.Effect<void, E> = Effect.void
  ): Effect.Effect<void, E> {
    const next = Effect.andThen(this.room.await, check)
    return Stream.runForEachArray(stream, (pieces) => {
      for (const piece of pieces) writer.data(asBuffer(piece))
      writer.flush()
      return next
    })
  }
}
