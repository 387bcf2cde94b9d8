/**
 * Connects to an origin: over TCP, TLS or a unix socket.
 *
 * Owns what an origin means to the system: addresses, names and certificates. Names are tried on all their addresses,
 * the next one a quarter of a second after the last (RFC 8305).
 */
import * as Dns from "node:dns"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { TransportFailure } from "../../services/Failure.ts"
import * as SystemErrors from "../../services/SystemErrors.ts"

/** Where to connect to. */
export type Target =
  | { readonly _tag: "Tcp" | "Tls"; readonly host: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string }

/** Takes the bytes of a connection. Whether it still refers to the chunk. */
interface Receiver {
  receive(chunk: Buffer): boolean
}

/** What an origin such as `http://host:port` or `unix:/run/app.sock` means; `undefined` for any other. */
export const targetOf = (origin: string): Target | undefined => {
  if (origin.startsWith("unix:")) return { _tag: "Unix", path: origin.slice("unix:".length) }
  if (!URL.canParse(origin)) return undefined
  const { hostname, port, protocol } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, "")
  switch (protocol) {
    case "http:":
      return { _tag: "Tcp", host, port: Number(port || 80) }
    case "https:":
      return { _tag: "Tls", host, port: Number(port || 443) }
    default:
      return undefined
  }
}

/**
 * `localhost` is both loopback addresses (RFC 6761 §6.3), whatever the hosts file says. Which of them listens
 * shows when connecting.
 */
const lookup: Net.LookupFunction = (hostname, options, callback) =>
  hostname === "localhost" && options.all
    ? callback(null, [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }])
    : Dns.lookup(hostname, options, callback)

/** Why no connection came about. */
export const explainConnecting = (cause: NodeJS.ErrnoException | undefined): TransportFailure => {
  const code = cause?.code ?? ""
  const message = cause === undefined ? "Connection closed" : SystemErrors.explain(cause)
  const reason = SystemErrors.ownLimits.has(code)
    ? "overloaded"
    : code === "ETIMEDOUT"
    ? "connect_timeout"
    : "connect_failed"
  return TransportFailure.make({ reason, message })
}

/** Bytes that are read at once. */
const bufferSize = 64 * 1024

/** Reads into one buffer for the whole life of a connection, unless somebody still refers to it. */
class SharedRead implements Net.OnReadOpts {
  receiver: Receiver | undefined
  private bytes = Buffer.allocUnsafeSlow(bufferSize)
  private isKept = false

  readonly buffer = (): Buffer => {
    if (this.isKept) this.bytes = Buffer.allocUnsafeSlow(bufferSize)
    this.isKept = false
    return this.bytes
  }

  readonly callback = (length: number): boolean => {
    this.isKept = this.receiver?.receive(this.bytes.subarray(0, length)) ?? false
    return true
  }
}

/** Milliseconds until the next address of a name is tried as well (RFC 8305 §8). */
const nextAddress = 250

/** Told instead of an error when the peer takes no more bytes, although it may have sent some. */
export const unwritable = "unwritable"

const [major = 0, minor = 0] = process.versions.uv.split(".").map(Number)

/**
 * Whether the system's word for an end can be relied upon. Before 1.52, which Node.js has from 24.16 on, libuv told a
 * reset that came right behind the last bytes as an end (https://github.com/libuv/libuv/pull/4997), and what was cut
 * would look whole.
 */
export const isEndCertain = major > 1 || minor >= 52

/**
 * A socket that can still be read when writing to it has failed: a backend that answers in the middle of an upload and
 * closes must be heard (RFC 9112 §9.6), and Node destroys what was received together with the socket.
 */
class BackendSocket extends Net.Socket {
  private isUnwritable = false
  private isEnding = false

  override destroy(error?: NodeJS.ErrnoException): this {
    // Nothing more is to be heard, and there would be no other end.
    const isOver = this.isUnwritable || this.isEnding || this.readableEnded
    if (error?.syscall !== "write" || isOver) return super.destroy(error)
    this.isUnwritable = true
    this.emit(unwritable)
    return this
  }

  /** Node waits until all is written, which it cannot be any more after an error. */
  override destroySoon(): void {
    this.isEnding = true
    if (this.isUnwritable) this.destroy()
    else super.destroySoon()
  }

  /**
   * After an error Node tells neither an `end` nor a `close`. It is no clean end either: the error may have been a
   * reset, which cuts off what was on its way.
   */
  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk !== null) return super.push(chunk, encoding)
    if (this.isUnwritable) super.destroy()
    else if (isEndCertain || !this.writable) return super.push(chunk)
    else this.pushCertainEnd()
    return false
  }

  /**
   * After a reset the system refuses even to write nothing. Where anything waits to be written, that is refused in the
   * turn in which the end is told.
   */
  private pushCertainEnd(): void {
    this.isEnding = true
    const end = (error?: Error | null): void => {
      if (error || this.destroyed) return
      super.push(null)
      // As Node does behind an end.
      this.read(0)
    }
    // Whoever looks for a connection must not find one that has ended, so that it is told as soon as it can be.
    if (this.writableLength > 0) setImmediate(end)
    else this.write("", end)
  }
}

/** Begins to connect. `use` gets the socket, and the name of the event that says that it can be used. */
export const connect = (
  target: Target,
  use: (socket: Net.Socket, connectedEvent: "connect" | "secureConnect") => Receiver
): void => {
  const common = {
    noDelay: true,
    allowHalfOpen: true,
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: nextAddress
  }
  if (target._tag === "Tls") {
    const { host, port } = target
    const servername = Net.isIP(host) === 0 ? { servername: host } : {}
    const options: Tls.ConnectionOptions & Net.TcpNetConnectOpts = { ...common, ...servername, host, port }
    const socket = Tls.connect({ ...options, ALPNProtocols: ["http/1.1"] })
    const receiver = use(socket, "secureConnect")
    socket.on("data", (chunk: Buffer) => {
      receiver.receive(chunk)
    })
    return
  }
  const onread = new SharedRead()
  const socket = new BackendSocket({ allowHalfOpen: true, onread })
  onread.receiver = use(socket, "connect")
  socket.connect(target._tag === "Unix" ? { path: target.path } : { ...common, host: target.host, port: target.port })
}
