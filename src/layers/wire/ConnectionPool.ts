/**
 * The connections of a client, by origin.
 *
 * Owns which connection carries an exchange: the free one that was used last, because it is the least likely to have
 * been closed; else a new one; else the exchange waits for its turn. Never two exchanges at a time on a connection.
 */
import { TransportFailure } from "../../services/Failure.ts"
import { ClientConnection } from "./ClientConnection.ts"
import type { ClientContext, Owner } from "./ClientContext.ts"
import type { BackendConnection, ClientExchange } from "./ClientExchange.ts"
import { connect, type Target } from "./Connect.ts"
import type { Expirable } from "./Deadlines.ts"

const notFree = TransportFailure.make({ reason: "overloaded", message: "No connection became free in time" })

const notConnected = TransportFailure.make({ reason: "connect_timeout", message: "Connection timed out" })

/** What all pools of a client share. */
interface Options extends ClientContext {
  /** Connections of one origin. */
  readonly maxConnections: number
}

/** An exchange for which there was no connection, and until when it may have one. */
interface Waiter {
  readonly exchange: ClientExchange
  readonly until: number
}

export class ConnectionPool implements Owner, Expirable {
  deadline = Infinity
  private readonly target: Target
  private readonly options: Options
  private readonly open = new Set<BackendConnection>()
  /** The last one was used last. */
  private readonly free: Array<BackendConnection> = []
  /** First come, first served. */
  private readonly waiting: Array<Waiter> = []
  /** Those that have waited until a connection could be made, at that time, and have what is left of theirs for it. */
  private readonly connecting: Array<Waiter & { readonly since: number }> = []
  /** Those that wait for two turns before they are sent: see `send`. */
  private readonly pausing = new Set<ClientExchange>()

  constructor(target: Target, options: Options) {
    this.target = target
    this.options = options
  }

  /** Whether there is nothing to keep it for. Nobody waits unless there are connections. */
  get isEmpty(): boolean {
    return this.open.size === 0 && this.pausing.size === 0
  }

  /**
   * Sends an exchange, now or when there is a connection. A request that cannot be sent again first waits until
   * everything is read that has come by now, above all that its connection was closed. That takes two turns of the event
   * loop: one for the events that Node has already, one to ask the system again.
   */
  send(exchange: ClientExchange): void {
    if (exchange.isReplayable || this.free.length === 0) return this.start(exchange)
    this.pause(exchange, () => this.start(exchange))
  }

  private pause(exchange: ClientExchange, goOn: () => void): void {
    this.pausing.add(exchange)
    setImmediate(() =>
      setImmediate(() => {
        this.pausing.delete(exchange)
        goOn()
      })
    )
  }

  /** Nothing is sent that nobody waits for any more. */
  private start(exchange: ClientExchange): void {
    if (exchange.isOver) return
    for (let connection = this.free.pop(); connection !== undefined; connection = this.free.pop()) {
      if (connection.isFree) return connection.start(exchange)
    }
    const isFull = this.open.size >= this.options.maxConnections
    // Afterwards its connection would be one more for the others.
    if (isFull && exchange.isExtra) exchange.isLast = true
    if (!isFull || exchange.isExtra) return this.connect(exchange)
    const until = this.options.deadlines.after(this.options.timeouts.connect)
    this.waiting.push({ exchange, until })
    this.deadline = Math.min(this.deadline, until)
    this.options.deadlines.add(this)
  }

  private connect(exchange: ClientExchange): void {
    connect(this.target, (socket, connectedEvent) => {
      const connection = new ClientConnection(socket, connectedEvent, exchange, this.options, this)
      this.open.add(connection)
      return connection
    })
  }

  /** The next one that still waits. */
  private nextWaiting(): Waiter | undefined {
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      if (!next.exchange.isOver) return next
    }
    return undefined
  }

  onFree(connection: BackendConnection): void {
    const next = this.nextWaiting()?.exchange
    if (next === undefined) return void this.free.push(connection)
    if (next.isReplayable) return connection.start(next)
    // Meanwhile the connection is not among the free ones.
    this.pause(next, () => {
      if (!connection.isFree) this.start(next)
      else if (next.isOver) this.onFree(connection)
      else connection.start(next)
    })
  }

  onLost(exchange: ClientExchange, failure: TransportFailure, isStale: boolean): void {
    if (!isStale || !exchange.mayHaveMissed || !exchange.isReplayable) return exchange.fail(failure)
    if (exchange.head.resending?.resend(exchange.head.origin) === false) return exchange.fail(failure)
    // The others have probably been closed as well. What is lost on a new one is not sent again.
    this.connect(exchange)
  }

  onGone(connection: BackendConnection): void {
    this.open.delete(connection)
    const at = this.free.indexOf(connection)
    if (at !== -1) this.free.splice(at, 1)
    // Its place may have been taken already, by an exchange that is sent once more.
    const next = this.open.size < this.options.maxConnections ? this.nextWaiting() : undefined
    if (next === undefined) return
    this.connecting.push({ ...next, since: this.options.deadlines.now })
    this.connect(next.exchange)
  }

  /** Those who have waited too long. The connection that is still being made for one of them is of use to others. */
  expire(): void {
    const { deadlines, timeouts } = this.options
    const isOver = (waiter: Waiter | undefined) => waiter !== undefined && waiter.until <= deadlines.now
    // They are in the order of their deadlines.
    while (isOver(this.waiting[0])) this.waiting.shift()?.exchange.fail(notFree)
    while (isOver(this.connecting[0])) {
      const { exchange, since, until } = this.connecting.shift()!
      // The backend is to blame for what it had at least half of the time for.
      if (!exchange.isSent) exchange.fail(until - since < timeouts.connect / 2 ? notFree : notConnected)
    }
    this.deadline = Math.min(this.waiting[0]?.until ?? Infinity, this.connecting[0]?.until ?? Infinity)
    if (this.deadline === Infinity) deadlines.delete(this)
  }

  /** Closes every connection, whatever it does. */
  close(): void {
    for (const exchange of [...this.pausing, ...this.waiting.map(({ exchange }) => exchange)]) {
      exchange.fail(TransportFailure.make({ reason: "connect_failed", message: "The client is closed" }))
    }
    for (const connection of this.open) connection.close()
  }
}
