/**
 * A socket that leads nowhere: it says what was written and in how many calls, and is full for as long as a test wants.
 */
import * as Net from "node:net"

type Written = (error?: Error | null) => void

interface Chunk {
  readonly chunk: Buffer | string
  readonly encoding: BufferEncoding
}

export class FullSocket extends Net.Socket {
  /** One entry for each call of the system. */
  readonly calls: Array<string> = []
  /** Whether what is written stays in the socket. */
  isFull = false
  private readonly stuck: Array<Written> = []

  constructor() {
    super({ allowHalfOpen: true })
    this.on("error", () => {})
  }

  /** Everything that was written, a character for each byte. */
  get text(): string {
    return this.calls.join("")
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Written): void {
    this.note([{ chunk, encoding }], done)
  }

  override _writev(
    chunks: ReadonlyArray<Chunk>,
    done: Written
  ): void {
    this.note(chunks, done)
  }

  private note(chunks: ReadonlyArray<Chunk>, done: Written): void {
    const bytes = chunks.map(({ chunk, encoding }) => typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk)
    this.calls.push(Buffer.concat(bytes).toString("latin1"))
    if (this.isFull) this.stuck.push(done)
    else done()
  }

  /** There is room again. `drain` is emitted before this returns. */
  async empty(): Promise<void> {
    this.isFull = false
    for (const done of this.stuck.splice(0)) done()
    await this.turn()
  }

  /** The end of this turn of the event loop, when what was written leaves. */
  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }
}
