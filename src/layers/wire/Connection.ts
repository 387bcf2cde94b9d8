/**
 * One TCP or TLS connection: its bytes, its deadline, and its other end once it is a tunnel.
 *
 * Owns what both sides of the balancer do alike with a socket. What the bytes mean is decided by `ServerConnection` and
 * `ClientConnection`.
 */
import type { Socket } from "node:net"
import type { Deadlines, Expirable } from "./Deadlines.ts"
import type { Source } from "./Flow.ts"

/**
 * How long a tunnel may stand still when one side has ended its direction, in milliseconds, if `idle` is not less: nearly
 * always that side is gone, and the other one does not mind (HAProxy has `timeout client-fin` for these).
 */
const halfClosedIdle = 10_000

/** What two connections that were joined have in common. */
interface Tunnel {
  /** How many milliseconds it may stand still. */
  idle: number
  readonly onOver: (hasExpired: boolean) => void
  hasExpired: boolean
}

/** Who has a connection to itself once it speaks another protocol. */
export interface Holder {
  /** Whether it still refers to the chunk. */
  receive(chunk: Buffer): boolean
  /** The peer sends nothing more. */
  onEnd(): void
  /** The connection is closed, for this reason if it was no clean end. Nothing is called after it. */
  onClose(cause: NodeJS.ErrnoException | undefined): void
}

export abstract class Connection implements Expirable, Source {
  /** Until when the peer has to send, or until when the phase may last. */
  private sendBy = Infinity
  /** Until when the peer has to read what was written; infinite when it keeps up. */
  private readBy = Infinity
  readonly socket: Socket
  readonly deadlines: Deadlines
  /** On the clock of the deadlines. */
  protected readonly madeAt: number
  private readonly idle: number
  /** Bytes that came before there was anybody for them. */
  protected early: Buffer | undefined
  private tunnel: Tunnel | undefined
  private otherEnd: Connection | undefined
  private holder: Holder | undefined
  protected isHolding = false
  /** Whether somebody still refers to the chunk that is being read. */
  protected isKept = false
  private address: string | undefined

  /** `idle` is how many milliseconds a body, or a tunnel, may stand still. */
  constructor(socket: Socket, deadlines: Deadlines, idle: number) {
    this.socket = socket
    this.deadlines = deadlines
    this.madeAt = deadlines.now
    this.idle = idle
    deadlines.add(this)
    socket.on("end", () => {
      if (this.otherEnd !== undefined) this.onTunnelEnd(this.otherEnd)
      else if (this.holder !== undefined) this.holder.onEnd()
      else this.onEnd()
    })
    socket.on("drain", () => this.otherEnd === undefined ? this.onDrain() : this.onTunnelDrain(this.otherEnd))
    // The cause is told by the `close` that follows; without a listener it would end the process.
    let cause: NodeJS.ErrnoException | undefined
    socket.on("error", (error) => cause = error)
    socket.on("close", () => {
      deadlines.delete(this)
      if (this.otherEnd !== undefined) this.onTunnelClose(this.otherEnd)
      else if (this.holder !== undefined) this.holder.onClose(cause)
      else this.onClose(cause)
      this.onGone()
    })
  }

  /** The address of the peer. */
  get remoteAddress(): string | undefined {
    return this.address ??= this.socket.remoteAddress
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
    if (otherEnd === undefined) {
      if (this.holder !== undefined) return this.holder.receive(chunk)
      return this.isHolding ? this.keep(Buffer.from(chunk)) : this.onBytes(chunk)
    }
    if (tunnel === undefined) return false
    this.deadline = otherEnd.deadline = this.deadlines.after(tunnel.idle)
    if (!otherEnd.socket.write(chunk)) this.socket.pause()
    return otherEnd.socket.writableLength > 0
  }

  /** Whoever reads a body from it cannot keep up, which is no fault of the peer. */
  pause(): void {
    this.deadline = Infinity
    this.socket.pause()
  }

  resume(): void {
    this.deadline = this.deadlines.after(this.idle)
    this.socket.resume()
  }

  /** The peer has to read before what is written to it goes on, or has read. */
  onWaiting(isWaiting: boolean): void {
    this.readBy = isWaiting ? this.deadlines.after(this.idle) : Infinity
  }

  abstract cancel(): void

  expire(): void {
    this.readBy = Infinity
    if (this.otherEnd === undefined) return this.onExpire()
    if (this.tunnel !== undefined) this.tunnel.hasExpired = true
    this.otherEnd.socket.destroy()
    this.socket.destroy()
  }

  /** Whether its bytes are no longer HTTP: it was joined to another connection or handed over. */
  get isTunnel(): boolean {
    return this.otherEnd !== undefined || this.holder !== undefined
  }

  /**
   * Keeps bytes until somebody takes them; from `maxBytes` on the peer has to wait. The chunk must not be written over.
   */
  protected keep(chunk: Buffer, maxBytes = 0): false {
    this.early = this.early === undefined ? chunk : Buffer.concat([this.early, chunk])
    if (this.early.length >= maxBytes) this.socket.pause()
    return false
  }

  /** From now on bytes are kept for whoever it will be joined to or handed over to. */
  protected hold(): void {
    this.isHolding = true
    this.socket.pause()
  }

  /** From now on every byte is the holder's, with what has come already, and nothing expires. */
  handOver(holder: Holder): void {
    const { early, socket } = this
    this.holder = holder
    this.deadline = Infinity
    this.early = undefined
    socket.resume()
    if (early !== undefined) holder.receive(early)
    if (socket.readableEnded) holder.onEnd()
  }

  /**
   * From now on every byte of either connection goes to the other one, with what has come already, and so does the end of
   * each direction. It is over when both are closed, or when it has stood still for `idle`, or less once one direction
   * has ended, which `onOver` is told.
   */
  joinTo(other: Connection, onOver: Tunnel["onOver"]): void {
    const { idle } = this
    this.tunnel = other.tunnel = { idle, onOver, hasExpired: false }
    this.otherEnd = other
    other.otherEnd = this
    this.readBy = other.readBy = Infinity
    this.deadline = other.deadline = this.deadlines.after(idle)
    for (const end of [this, other]) {
      const { early } = end
      end.early = undefined
      if (early !== undefined) end.receive(early)
      end.socket.resume()
    }
    // Behind what has come before it.
    if (this.socket.readableEnded) this.onTunnelEnd(other)
    if (other.socket.readableEnded) other.onTunnelEnd(this)
    // It may have closed before its end was listened to.
    if (other.socket.destroyed) this.socket.destroySoon()
  }

  /** The peer sends nothing more; the other one may. */
  private onTunnelEnd(otherEnd: Connection): void {
    otherEnd.socket.end()
    if (this.tunnel === undefined) return
    this.tunnel.idle = Math.min(this.tunnel.idle, halfClosedIdle)
    this.deadline = otherEnd.deadline = this.deadlines.after(this.tunnel.idle)
  }

  private onTunnelDrain(otherEnd: Connection): void {
    if (this.tunnel !== undefined) this.deadline = otherEnd.deadline = this.deadlines.after(this.tunnel.idle)
    otherEnd.socket.resume()
  }

  private onTunnelClose(otherEnd: Connection): void {
    // What was received before still goes out.
    if (!otherEnd.socket.destroyed) return otherEnd.socket.destroySoon()
    this.tunnel?.onOver(this.tunnel.hasExpired)
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
