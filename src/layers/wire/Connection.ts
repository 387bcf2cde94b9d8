/**
 * One TCP or TLS connection: its bytes, its deadline, and its other end once it is a tunnel.
 *
 * Owns what both sides of the balancer do alike with a socket. What the bytes mean is decided by `ServerConnection` and
 * `ClientConnection`.
 */
import type { Socket } from "node:net"
import type { Deadlines, Mortal } from "./Deadlines.ts"
import type { Source } from "./Flow.ts"

/** What two connections that were joined have in common. */
interface Tunnel {
  readonly idle: number
  readonly onOver: () => void
}

export abstract class Connection implements Mortal, Source {
  /** Until when the peer has to send, or until when the phase may last. */
  private sendBy = Infinity
  /** Until when the peer has to read what was written; infinite when it keeps up. One must not hide the other. */
  protected readBy = Infinity
  readonly socket: Socket
  protected readonly deadlines: Deadlines
  /** Bytes that came before there was anybody for them. */
  protected early: Buffer | undefined
  private tunnel: Tunnel | undefined
  private otherEnd: Connection | undefined

  constructor(socket: Socket, deadlines: Deadlines) {
    this.socket = socket
    this.deadlines = deadlines
    deadlines.add(this)
    socket.on("end", () => this.otherEnd === undefined ? this.onEnd() : this.otherEnd.socket.end())
    socket.on("drain", () => this.otherEnd === undefined ? this.onDrain() : this.onTunnelDrain(this.otherEnd))
    // The cause is told by the `close` that follows; without a listener it would end the process.
    let cause: NodeJS.ErrnoException | undefined
    socket.on("error", (error) => cause = error)
    socket.on("close", () => {
      deadlines.delete(this)
      if (this.otherEnd === undefined) this.onClose(cause)
      else this.onTunnelClose(this.otherEnd)
      this.onGone()
    })
  }

  get deadline(): number {
    return Math.min(this.sendBy, this.readBy)
  }

  set deadline(deadline: number) {
    this.sendBy = deadline
  }

  /**
   * Bytes have come. Whether somebody still refers to the chunk, so that it must not be written over.
   */
  receive(chunk: Buffer): boolean {
    const { otherEnd, tunnel } = this
    if (otherEnd === undefined) return this.onBytes(chunk)
    if (tunnel === undefined) return false
    this.deadline = otherEnd.deadline = this.deadlines.after(tunnel.idle)
    if (!otherEnd.socket.write(chunk)) this.socket.pause()
    return otherEnd.socket.writableLength > 0
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  abstract cancel(): void

  expire(): void {
    this.readBy = Infinity
    if (this.otherEnd === undefined) return this.onExpire()
    this.otherEnd.socket.destroy()
    this.socket.destroy()
  }

  /** Whether it was joined to another connection. */
  get isTunnel(): boolean {
    return this.otherEnd !== undefined
  }

  /**
   * From now on every byte of either connection goes to the other one, and so does the end of each direction. It is over when
   * both are closed, or when nothing has moved for `idle` milliseconds.
   */
  joinTo(other: Connection, idle: number, onOver: () => void): void {
    this.tunnel = other.tunnel = { idle, onOver }
    this.otherEnd = other
    other.otherEnd = this
    this.readBy = other.readBy = Infinity
    this.deadline = other.deadline = this.deadlines.after(idle)
    if (this.socket.readableEnded) other.socket.end()
    if (other.socket.readableEnded) this.socket.end()
    for (const end of [this, other]) {
      const { early } = end
      end.early = undefined
      if (early !== undefined) end.receive(early)
      end.socket.resume()
    }
    // Its `close` may have been before anybody heard it.
    if (other.socket.destroyed) this.socket.destroySoon()
  }

  private onTunnelDrain(otherEnd: Connection): void {
    if (this.tunnel !== undefined) this.deadline = otherEnd.deadline = this.deadlines.after(this.tunnel.idle)
    otherEnd.socket.resume()
  }

  private onTunnelClose(otherEnd: Connection): void {
    // What was received before still goes out.
    if (!otherEnd.socket.destroyed) return otherEnd.socket.destroySoon()
    this.tunnel?.onOver()
    this.tunnel = otherEnd.tunnel = undefined
  }

  /** Bytes of this protocol. Whether somebody still refers to the chunk. */
  protected abstract onBytes(chunk: Buffer): boolean
  /** The peer sends nothing more. */
  protected abstract onEnd(): void
  /** The socket has room again. */
  protected abstract onDrain(): void
  /** The connection is closed, for this reason if it was no clean end. Not called for a tunnel. */
  protected abstract onClose(cause: NodeJS.ErrnoException | undefined): void
  /** The connection is closed, and is not to be counted any more. */
  protected abstract onGone(): void
  protected abstract onExpire(): void
}
