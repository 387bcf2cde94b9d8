/**
 * The load generator: keep-alive connections that send the same request again and again, one at a time each,
 * a fixed number in all. Every answer must have status 200 and the expected length. It need not be faster
 * than what it measures.
 */
import { once } from "node:events"
import * as Net from "node:net"
import { Messages } from "./Messages.ts"

export interface Options {
  readonly port: number
  readonly connections: number
  /** The request as it is written to the socket. */
  readonly request: Buffer
  /** The length of each answer's body, in bytes. */
  readonly answer: number
}

/** What a run has shown. */
export interface Result {
  readonly requestsPerSecond: number
  /** Half and 99 percent of the requests took no longer than this, in milliseconds. */
  readonly p50: number
  readonly p99: number
}

interface Connection {
  readonly socket: Net.Socket
  /** When its request was sent, in milliseconds. */
  sentAt: number
}

/** All reads of this process go here: what has been read is looked at and dropped at once. */
const buffer = Buffer.allocUnsafe(65_536)

export class Load {
  private readonly options: Options
  private readonly connections: ReadonlyArray<Connection>
  /** What is going on, if anything. */
  private onAnswer: ((connection: Connection) => void) | undefined
  private onFailure: ((error: Error) => void) | undefined
  private failure: Error | undefined

  private constructor(options: Options) {
    this.options = options
    this.connections = Array.from({ length: options.connections }, () => this.connect())
  }

  /** Opens all connections, and has them open. */
  static async open(options: Options): Promise<Load> {
    const load = new Load(options)
    try {
      await Promise.all(load.connections.map(({ socket }) => once(socket, "connect")))
      return load
    } catch (error) {
      load.close()
      throw error
    }
  }

  private connect(): Connection {
    const { answer, port } = this.options
    const messages = new Messages((head, length) => {
      if (!head.startsWith("HTTP/1.1 200 ")) return this.fail(`the answer was ${head.split("\r\n", 1)[0]}`)
      if (length !== answer) return this.fail(`the answer had ${length} bytes instead of ${answer}`)
      this.onAnswer?.(connection)
    })
    const callback = (size: number): boolean => {
      try {
        messages.take(buffer.subarray(0, size))
      } catch (error) {
        this.fail(String(error))
      }
      return true
    }
    const socket = Net.connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer, callback } })
    socket.on("error", (error) => this.fail(error.message))
    socket.on("close", () => this.fail("a connection was closed"))
    const connection: Connection = { socket, sentAt: 0 }
    return connection
  }

  private fail(reason: string): void {
    this.failure ??= new Error(reason)
    this.onFailure?.(this.failure)
  }

  /**
   * Sends so many requests, within so many milliseconds. Fails on the first answer or connection that
   * is not as it should be.
   */
  async run(requests: number, limit: number): Promise<Result> {
    const latencies = new Float64Array(requests)
    let sent = 0
    let answered = 0
    const send = (connection: Connection): void => {
      sent += 1
      connection.sentAt = performance.now()
      connection.socket.write(this.options.request)
    }
    const startedAt = performance.now()
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => this.fail(`${answered} of ${requests} answers within ${limit} ms`), limit)
      this.onFailure = (error) => {
        clearTimeout(timer)
        reject(error)
      }
      this.onAnswer = (connection) => {
        latencies[answered] = performance.now() - connection.sentAt
        answered += 1
        if (sent < requests) return send(connection)
        if (answered < requests) return
        clearTimeout(timer)
        resolve()
      }
      if (this.failure !== undefined) return this.onFailure(this.failure)
      for (const connection of this.connections.slice(0, requests)) send(connection)
    })
    const seconds = (performance.now() - startedAt) / 1000
    latencies.sort()
    const percentile = (share: number): number => latencies[Math.ceil(requests * share) - 1]!
    return { requestsPerSecond: requests / seconds, p50: percentile(0.5), p99: percentile(0.99) }
  }

  /** Throws if anything has gone wrong, such as a connection that was closed from the other side. */
  check(): void {
    if (this.failure !== undefined) throw this.failure
  }

  close(): void {
    for (const { socket } of this.connections) socket.destroy()
  }
}
