/**
 * node:http's server: its limits, what it is not left to do by itself, and how it closes.
 *
 * Owns its connections as a whole. Requests and responses are the business of `Server`.
 */
import * as Duration from "effect/Duration"
import * as Http from "node:http"
import type * as Net from "node:net"
import type { Limits } from "./Limits.ts"

/** Milliseconds that a client gets to read the last answer, as with the wire engine (RFC 9112 §9.6). */
const lingering = 2_000

/** Milliseconds that a stop leaves to clients for requests that are on their way, as with the wire engine. */
const lastRequest = 200

/** Connections that close behind an answer that is on its way, or is out. What still comes on them is nobody's. */
const closing = new WeakSet<Net.Socket>()

/** The connection closes behind the answer that is on its way. */
export const closesAfter = (socket: Net.Socket): void => {
  closing.add(socket)
}

/** Whether what comes on it is nobody's. */
export const isClosing = (socket: Net.Socket): boolean => closing.has(socket)

/**
 * Ends a connection whose last answer is with the system. Node would close it at once: the reset with which the system
 * answers what the client has sent behind its request may come before the client has read that answer.
 */
const linger = (socket: Net.Socket): void => {
  closesAfter(socket)
  // Whoever has paused it has told the parser, which reads on when it is told so, and is told nothing after this.
  socket.emit("resume")
  // The parser takes what comes behind a last request for an error, at which node:http closes the connection.
  socket.removeAllListeners("data").on("data", () => {}).resume()
  socket.end(() => {
    // One of Node's, as all limits of its server are: there is no fiber for a connection.
    const timer = setTimeout(() => socket.destroy(), lingering).unref()
    socket.once("close", () => clearTimeout(timer))
  })
}

const statusOf: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408
}

/** Answers what is no request, as node:http does by itself, but not in place of an answer that is on its way. */
const refuse = (error: NodeJS.ErrnoException, socket: Net.Socket, hasBegun: boolean): void => {
  // What follows the last request of a connection is nobody's.
  if (error.code === "HPE_CLOSED_CONNECTION") return
  const status = statusOf[error.code ?? ""] ?? 400
  if (socket.writable && !hasBegun) {
    socket.write(`HTTP/1.1 ${status} ${Http.STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`)
  }
  socket.destroy(error)
}

/** A server within these limits that does not listen yet. */
export const create = (limits: Limits): Http.Server => {
  const server = Http.createServer({
    keepAliveTimeout: Duration.toMillis(limits.keepAliveTimeout),
    headersTimeout: Duration.toMillis(limits.headTimeout),
    connectionsCheckingInterval: 5_000,
    maxHeaderSize: limits.headBytes,
    // An upload may take any time, as long as it moves: see `server.timeout`.
    requestTimeout: 0
  })
  // Node silently drops the fields after the 2,000th; the 16 KiB limit of a head is enough of a limit.
  server.maxHeadersCount = 0
  if (limits.maxConnections !== undefined) server.maxConnections = limits.maxConnections
  // Of a socket on which nothing moves: see `onIdle` of `Server`.
  server.timeout = Duration.toMillis(limits.idleTimeout)
  server.on("connection", (socket) => {
    // Node keeps what it is told now. Later, a client that has reset its connection has no address any more.
    if (socket.remoteAddress === undefined) socket.destroy()
    // node:http calls it behind a last response.
    socket.destroySoon = () => linger(socket)
  })
  // Without a listener node:http closes the connection without a word (RFC 9110 §9.3.6).
  server.on("connect", (_request, socket) => {
    socket.on("error", () => {})
    socket.end("HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", () => socket.destroy())
  })
  // Node reports a failed accept (EMFILE) here, and an event without a listener would end the process.
  server.on("error", () => {})
  return server
}

/**
 * Follows which connections and responses are open: what is no request must not be answered into a response, and a
 * server that closes leaves connections open on which nothing was ever said, and those of clients whose response was
 * begun before.
 */
export const follow = (server: Http.Server) => {
  /** Connections, each with its responses that are not out, in order. */
  const open = new Map<Net.Socket, Set<Http.ServerResponse>>()
  /** Whether the time for requests that were on their way when it stopped is over. */
  let isLate = false
  /** Whether those are closed just now that node:http takes for idle. */
  let isClosingIdle = false
  server.on("connection", (socket) => {
    const responses = new Set<Http.ServerResponse>()
    open.set(socket, responses)
    socket.once("close", () => open.delete(socket))
    // node:http takes for idle what is between two answers, or lingers behind the last one.
    const destroy = socket.destroy.bind(socket)
    socket.destroy = (error) => isClosingIdle && (responses.size > 0 || closing.has(socket)) ? socket : destroy(error)
  })
  const closeIdleConnections = server.closeIdleConnections.bind(server)
  // node:http calls it at once when it closes.
  server.closeIdleConnections = () => {}
  // Of those that wait behind one another, only the last is the last of its connection, unless one before has said that
  // it is, or it is too late.
  const onRequest = ({ socket }: Http.IncomingMessage, response: Http.ServerResponse) => {
    const responses = open.get(socket)
    // The client has left.
    if (responses === undefined) return
    if (!server.listening) {
      for (const before of responses) {
        if (!before.headersSent && !isLate) before.shouldKeepAlive = true
        else if (!before.shouldKeepAlive) closesAfter(socket)
      }
      response.shouldKeepAlive = false
    }
    responses.add(response)
    response.once("close", () => responses.delete(response))
  }
  server.on("request", onRequest).on("checkContinue", onRequest)
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Net.Socket) => {
    const responses = Array.from(open.get(socket) ?? [])
    refuse(error, socket, responses.some((response) => response.socket === socket && response.headersSent))
  })
  return {
    /** To be called when it closes. */
    close: (): void => {
      for (const responses of open.values()) {
        const last = Array.from(responses).at(-1)
        if (last !== undefined && !last.headersSent) last.shouldKeepAlive = false
      }
      // Again and again, because an upload may end behind its answer; and not behind each answer, because node:http looks
      // at all connections.
      const timer = setInterval(() => {
        isLate = true
        for (const socket of open.keys()) if (socket.bytesRead === 0) socket.destroy()
        isClosingIdle = true
        closeIdleConnections()
        isClosingIdle = false
        if (open.size === 0) clearInterval(timer)
      }, lastRequest).unref()
    },
    /** Responses that somebody waits for. Those of clients that have just left are still to close. */
    inFlight: (): number => {
      let count = 0
      for (const [socket, responses] of open) if (!socket.destroyed) count += responses.size
      return count
    }
  }
}
