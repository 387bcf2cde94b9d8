/**
 * A connection as a Node stream, for whoever goes on with it in another protocol.
 *
 * Owns the way between the connection, which hands on what it reads from a buffer of its own, and a `Duplex`:
 * backpressure both ways, the end of each direction, and the close.
 */
import type { Socket } from "node:net"
import { Duplex } from "node:stream"
import type { Holder } from "./Connection.ts"
import { maxCopied } from "./Flow.ts"

export class Takeover extends Duplex implements Holder {
  private readonly socket: Socket
  private hasEnded = false

  constructor(socket: Socket) {
    super({ allowHalfOpen: true })
    this.socket = socket
    // Whoever reads or writes is told by a listener of their own; without any it would end the process.
    this.on("error", () => {})
  }

  receive(chunk: Buffer): boolean {
    const isKept = chunk.length > maxCopied
    if (!this.push(isKept ? chunk : Buffer.from(chunk))) this.socket.pause()
    return isKept
  }

  onEnd(): void {
    if (this.hasEnded) return
    this.hasEnded = true
    this.push(null)
  }

  onClose(cause: NodeJS.ErrnoException | undefined): void {
    // After a clean end of both sides there may still be something to read.
    if (cause !== undefined || !this.hasEnded || !this.writableFinished) this.destroy(cause)
  }

  /** Closes it after what was written. */
  destroySoon(): void {
    if (this.writableFinished) return void this.destroy()
    this.once("finish", () => this.destroy())
    this.end()
  }

  override _read(): void {
    this.socket.resume()
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.socket.write(chunk, encoding, done)
  }

  override _writev(
    chunks: ReadonlyArray<{ readonly chunk: Buffer; readonly encoding: BufferEncoding }>,
    done: (error?: Error | null) => void
  ): void {
    this.socket.cork()
    chunks.forEach(({ chunk, encoding }, i) => {
      this.socket.write(chunk, encoding, i === chunks.length - 1 ? done : undefined)
    })
    this.socket.uncork()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.socket.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket.destroy()
    done(error)
  }
}
