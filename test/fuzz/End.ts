/** One end of a connection of the fuzzer: writes pieces, tells what happens to it, and leaves in any way. */
import type { Socket } from "node:net"
import * as Ends from "../e2e/support/Ends.ts"
import { Waiting } from "../e2e/support/Waiting.ts"
import type { Piece } from "./Bytes.ts"
import type { Leaving } from "./Plan.ts"

export interface Events {
  readonly onBytes: (chunk: Buffer) => void
  /** Nothing more will come, after a FIN or not. */
  readonly onEnd: (isClean: boolean) => void
}

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** So often it may wait before it reads on: slow is not stuck. */
const maxSlowReads = 40

export class End {
  readonly socket: Socket
  /** How the other side has ended it, as far as we know. */
  ending: "open" | "fin" | "reset" | "closed" = "open"
  /** Whether we have. */
  isLeft = false
  readonly closed: Promise<void>
  private readonly waiting = new Waiting()

  /** It waits for so many milliseconds before it reads on. */
  constructor(socket: Socket, { onBytes, onEnd }: Events, slowness = 0) {
    this.socket = socket
    let slowReads = 0
    socket.setNoDelay(true)
    socket.on("data", (chunk: Buffer) => {
      if (slowness > 0 && slowReads++ < maxSlowReads) {
        socket.pause()
        setTimeout(() => socket.resume(), slowness)
      }
      onBytes(chunk)
      this.wake()
    })
    const over = (ending: End["ending"]) => {
      if (this.ending === "open") {
        this.ending = ending
        onEnd(ending === "fin")
      }
      this.wake()
    }
    Ends.onEnd(socket, (wasReset) => over(wasReset ? "reset" : "fin"))
    socket.on("error", () => over("reset"))
    this.closed = new Promise((resolve) =>
      socket.on("close", () => {
        over("closed")
        resolve()
      })
    )
  }

  get isOver(): boolean {
    return this.isLeft || this.ending !== "open"
  }

  wake(): void {
    this.waiting.wake()
  }

  /** Waits for a condition, or the end. Fails when neither comes, and nothing else either, for long. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const { bytesRead } = this.socket
    try {
      await this.waiting.until(() => this.isOver || condition(), what, () => this.ending)
    } catch (error) {
      if (this.socket.bytesRead === bytesRead) throw error
      await this.until(condition, what)
    }
  }

  /** Writes these pieces, as fast as they are taken, until the end. */
  async send(pieces: ReadonlyArray<Piece>): Promise<void> {
    for (const { bytes, pause } of pieces) {
      if (this.isLeft || !this.socket.writable) return
      const hasRoom = this.socket.write(bytes)
      if (pause === "turn") await turn()
      else if (pause !== "none") await sleep(pause)
      if (!hasRoom && this.socket.writableNeedDrain) {
        const onDrain = () => this.wake()
        this.socket.once("drain", onDrain)
        await this.until(() => !this.socket.writableNeedDrain, "room to write")
      }
    }
  }

  leave(how: Leaving): void {
    this.isLeft = true
    if (how === "fin") this.socket.end()
    else if (how === "destroy") this.socket.destroy()
    else if (!this.socket.destroyed) this.socket.resetAndDestroy()
    this.wake()
  }
}
