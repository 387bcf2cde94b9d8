/**
 * One end of a raw TCP connection in a test: bytes out as they are given, bytes in as they come, and everything that
 * can happen to a connection as something to await. A client and a backend are both a `Peer`.
 *
 * It reads HTTP/1.1 messages just well enough to test with and repairs nothing. Text stands for bytes as Latin-1 does.
 */
import * as Net from "node:net"
import { onEnd } from "./Ends.ts"
import { Waiting } from "./Waiting.ts"

/** How a message ended: all of it came, or the connection ended (FIN) or was reset before that. */
export type Ending = "complete" | "ended" | "reset"

/** A message as it was on the wire. */
export interface Received {
  /** The request line or the status line. */
  readonly line: string
  /** Field lines in order and case, as name and value. */
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: Buffer
  /** Field lines after the last chunk, as name and value. */
  readonly trailers: ReadonlyArray<readonly [name: string, value: string]>
  readonly ending: Ending
}

/** A response that a client received. */
export interface Answer extends Received {
  readonly status: number
  readonly reason: string
}

/** A request that a backend received. */
export interface Asked extends Received {
  readonly method: string
  readonly target: string
}

/** How a body is delimited, where the message itself does not say. */
interface Reading {
  /** The message has a head only: the answer to HEAD, and the like. */
  readonly noBody?: boolean
}

/** A message of these lines without a body. */
export const message = (...lines: ReadonlyArray<string>): string => `${lines.join("\r\n")}\r\n\r\n`

/** The field line that nearly all requests have. */
export const host = "Host: example.com"

/** An empty answer. */
export const ok = message("HTTP/1.1 200 OK", "Content-Length: 0")

/** The path of health checks, which backends answer without being asked to. */
export const probePath = "/-/probe"

/** The values of a field, in order. */
export const values = (message: Received, name: string): ReadonlyArray<string> =>
  message.fields.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value)

/** The value of a field that occurs once. */
export const value = (message: Received, name: string): string | undefined => {
  const all = values(message, name)
  if (all.length > 1) throw new Error(`${name} occurs ${all.length} times: ${all.join(" | ")}`)
  return all[0]
}

class ConnectionOver extends Error {
  readonly ending: Exclude<Ending, "complete">

  constructor(ending: Exclude<Ending, "complete">) {
    super(`the connection was ${ending}`)
    this.ending = ending
  }
}

export class Peer {
  readonly socket: Net.Socket
  /** The peer has sent its FIN. */
  ended = false
  /** The connection was reset, in whatever way that showed. */
  wasReset = false
  closed = false
  /** All bytes that came, ever. */
  bytesReceived = 0
  /** Requests that were read, health checks not counted. */
  requestsRead = 0
  private chunks: Array<Buffer<ArrayBufferLike>> = []
  private size = 0
  private readonly waiting = new Waiting()

  private readonly notify: () => void

  /** `notify` is called whenever something has happened to this connection. */
  constructor(socket: Net.Socket, notify: () => void = () => {}) {
    this.socket = socket
    this.notify = notify
    socket.setNoDelay(true)
    socket.on("data", (chunk: Buffer) => {
      this.chunks.push(chunk)
      this.size += chunk.length
      this.bytesReceived += chunk.length
      this.wake()
    })
    onEnd(socket, (wasReset) => {
      if (wasReset) this.wasReset = true
      else this.ended = true
      this.wake()
    })
    socket.on("error", () => {
      this.wasReset = true
      this.wake()
    })
    socket.on("close", () => {
      this.closed = true
      this.wake()
    })
  }

  /** Connects to a port of the loopback. */
  static async connect(port: number, host = "127.0.0.1"): Promise<Peer> {
    const peer = new Peer(Net.connect({ port, host, allowHalfOpen: true }))
    peer.socket.on("connect", () => peer.wake())
    await peer.until(() => peer.socket.readyState === "open" || peer.closed, "a connection")
    if (peer.closed) throw new Error(`nobody listens on ${host}:${port}`)
    return peer
  }

  private wake(): void {
    this.waiting.wake()
    this.notify()
  }

  /** Waits for a condition, which is looked at whenever something happens to this connection. */
  until(condition: () => boolean, what: string): Promise<void> {
    return this.waiting.until(
      condition,
      what,
      () => `ended ${this.ended}, reset ${this.wasReset}, closed ${this.closed}, unread: ${JSON.stringify(this.unread)}`
    )
  }

  /** What has come and was not read yet; at most the last 2,000 characters of it. */
  get unread(): string {
    return Buffer.concat(this.chunks).toString("latin1").slice(-2_000)
  }

  /** Waits until this text has come; the text and all before it count as read. */
  async untilText(text: string): Promise<string> {
    let at = -1
    await this.until(() => {
      at = this.flat().indexOf(Buffer.from(text, "latin1"))
      return at !== -1
    }, JSON.stringify(text))
    return this.take(at + text.length).toString("latin1")
  }

  /** Nothing more can come. */
  get over(): boolean {
    return this.ended || this.wasReset || this.closed
  }

  /** Waits until nothing more can come. */
  async untilOver(): Promise<Exclude<Ending, "complete">> {
    await this.until(() => this.over, "the end of the connection")
    return this.wasReset ? "reset" : "ended"
  }

  /** Waits until the connection is closed on both sides. */
  untilClosed(): Promise<void> {
    return this.until(() => this.closed, "the close of the connection")
  }

  /** Writes bytes. Resolves when they are with the operating system, or nobody wants them any more. */
  send(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed || this.socket.writableEnded) return resolve()
      this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data, () => resolve())
    })
  }

  /** Sends our FIN after what was written. */
  end(): void {
    this.socket.end()
  }

  /** Sends a RST at once. */
  reset(): void {
    if (!this.socket.destroyed) this.socket.resetAndDestroy()
  }

  destroy(): void {
    this.socket.destroy()
  }

  private flat(): Buffer {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)]
    return this.chunks[0]!
  }

  private take(length: number): Buffer {
    const all = this.flat()
    this.size -= length
    this.chunks = length === all.length ? [] : [all.subarray(length)]
    return all.subarray(0, length)
  }

  /** Reads this many bytes. */
  async bytes(length: number): Promise<Buffer> {
    await this.until(() => this.size >= length || this.over, `${length} bytes`)
    if (this.size < length) throw new ConnectionOver(this.wasReset ? "reset" : "ended")
    return this.take(length)
  }

  private async textLine(): Promise<string> {
    let at = -1
    await this.until(() => {
      at = this.flat().indexOf("\r\n")
      return at !== -1 || this.over
    }, "a line")
    if (at === -1) throw new ConnectionOver(this.wasReset ? "reset" : "ended")
    return this.take(at + 2).toString("latin1", 0, at)
  }

  private async head(): Promise<Pick<Received, "line" | "fields">> {
    return { line: await this.textLine(), fields: await this.fieldLines() }
  }

  private async fieldLines(): Promise<ReadonlyArray<readonly [string, string]>> {
    const fields: Array<readonly [string, string]> = []
    for (let next = await this.textLine(); next !== ""; next = await this.textLine()) {
      const colon = next.indexOf(":")
      fields.push([next.slice(0, colon), next.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")])
    }
    return fields
  }

  private async message(reading: Reading, isRequest: boolean): Promise<Received> {
    const head = await this.head()
    const parts: Array<Buffer> = []
    let trailers: Received["trailers"] = []
    const received = (ending: Ending): Received => ({ ...head, body: Buffer.concat(parts), trailers, ending })
    const rest = () => {
      if (this.size > 0) parts.push(this.take(this.size))
    }
    if (reading.noBody || /^HTTP\/1\.[01] (1\d\d|204|304)/.test(head.line)) return received("complete")
    try {
      const chunked = values(received("complete"), "transfer-encoding").length > 0
      const length = value(received("complete"), "content-length")
      if (chunked) {
        while (true) {
          const size = Number.parseInt(await this.textLine(), 16)
          if (Number.isNaN(size)) throw new Error("a bad chunk size")
          if (size === 0) break
          parts.push(await this.bytes(size))
          if ((await this.textLine()) !== "") throw new Error("a chunk that is longer than its size")
        }
        trailers = await this.fieldLines()
      } else if (length !== undefined) {
        parts.push(await this.bytes(Number(length)))
      } else if (!isRequest) {
        await this.untilOver()
        rest()
        // Only a clean end completes a body without a length (RFC 9112 §8).
        return received(this.wasReset ? "reset" : "complete")
      }
      return received("complete")
    } catch (error) {
      if (!(error instanceof ConnectionOver)) throw error
      rest()
      return received(error.ending)
    }
  }

  /** Reads the next response, interim ones (1xx) included. */
  async response(reading: Reading = {}): Promise<Answer> {
    const message = await this.message(reading, false)
    const match = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/.exec(message.line)
    if (match === null) throw new Error(`not a status line: ${JSON.stringify(message.line)}`)
    return { ...message, status: Number(match[1]), reason: match[2]! }
  }

  /** Reads the head of the next response. */
  responseHead(): Promise<Answer> {
    return this.response({ noBody: true })
  }

  /** Reads the next request that is no health check. Health checks are answered on the way. */
  async request(reading: Reading = {}): Promise<Asked> {
    while (true) {
      const message = await this.message(reading, true)
      const [method = "", target = ""] = message.line.split(" ")
      if (target !== probePath) {
        this.requestsRead++
        this.wake()
        return { ...message, method, target }
      }
      await this.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }
  }

  /** Reads the head of the next request that is no health check. */
  requestHead(): Promise<Asked> {
    return this.request({ noBody: true })
  }

  /** Sends a request and reads the response to it. */
  async exchange(request: string | Uint8Array, reading: Reading = {}): Promise<Answer> {
    await this.send(request)
    return this.response(reading)
  }
}
