/**
 * A backend of the fault suite: answers as the soak's do (`test/soak/Answers`), falls ill, dies and
 * comes back on its port.
 */
import * as Http from "node:http"
import type * as Net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { answer, backendField, idField, isChunked } from "../../../soak/Answers.ts"
import { probePath } from "../../support/Peer.ts"

/** What it does instead of answering. Health checks see nothing of it. */
export type Illness =
  | "resets connections unread"
  | "resets after the head of the request"
  | "resets after the request"
  | "closes after the request"
  | "closes within the head of the answer"
  | "resets within the head of the answer"
  | "resets after the head of the answer"
  | "resets within the body of the answer"
  | "closes within the body of the answer"
  | "closes after the answer"
  | "hangs before the answer"
  | "hangs within the body of the answer"
  | "answers garbage"
  | "answers garbage in the body"
  | "answers 503"
  | "trickles"
  | "trickles the head of the answer"
  | "trickles a head without an end"

/** A request on which work was begun. */
export interface Begun {
  readonly method: string
  readonly id: string
}

/** How long it works on a request, in milliseconds. */
const workTime = 20
/** Until what was written before a reset has been read at the other end. */
const arrivalTime = 3
/** Between two of the pieces in which a body or a head trickles, and how many of a body, or bytes of a head, they are. */
const trickleTime = 10
const pieces = 10
const halfHead = "HTTP/1.1 200 OK\r\nContent-Le"

/** Below the ports that Linux gives to connections, one of which might take that of a backend that is down. */
const randomPort = (): number => 20_000 + Math.floor(Math.random() * 12_000)

const bodyOf = async (request: Http.IncomingMessage): Promise<string> => {
  let body = ""
  for await (const chunk of request.setEncoding("latin1")) body += chunk
  return body
}

const trickle = async (socket: Net.Socket, text: string): Promise<void> => {
  for (let at = 0; at < text.length; at += pieces) {
    socket.write(text.slice(at, at + pieces))
    await sleep(trickleTime)
  }
}

export class Backend {
  readonly name: string
  /** All requests on which work was begun, in all lives. */
  readonly begun: Array<Begun> = []
  port = 0
  /** How many connections or requests its illness has met. */
  struck = 0
  illness: Illness | undefined
  private server = Http.createServer()
  private isStopping = false
  private readonly sockets = new Set<Net.Socket>()

  constructor(name: string) {
    this.name = name
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Listens: on a port that is free, and from then on always on this one. */
  async start(): Promise<void> {
    this.isStopping = false
    for (let tries = 0;; tries++) {
      const port = this.port === 0 ? randomPort() : this.port
      try {
        await this.listen(port)
        this.port = port
        return
      } catch (error) {
        if (this.port !== 0 || tries === 20) throw error
      }
    }
  }

  private listen(port: number): Promise<void> {
    this.server = Http.createServer((request, response) => {
      // Who asked may have left.
      this.serve(request, response).catch(() => response.destroy())
    })
    this.server.on("connection", (socket: Net.Socket) => {
      if (this.illness === "resets connections unread") {
        this.struck++
        return void socket.resetAndDestroy()
      }
      this.sockets.add(socket)
      socket.on("close", () => this.sockets.delete(socket))
    })
    // The balancer closes what is idle, not the backend.
    this.server.keepAliveTimeout = 60_000
    return new Promise((resolve, reject) => {
      this.server.once("error", reject)
      this.server.listen(port, "127.0.0.1", resolve)
    })
  }

  /**
   * Stops listening and ends all connections, as the system does for a process that is killed: with a FIN, or with a
   * RST where something was not read.
   */
  async kill(how: "FIN" | "RST" = "RST"): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve))
    for (const socket of this.sockets) {
      if (how === "FIN") socket.destroy()
      else socket.resetAndDestroy()
    }
    await closed
  }

  /** Stops as a good program does: refuses connections, finishes what it has, and closes what is idle. */
  async stop(): Promise<void> {
    this.isStopping = true
    await new Promise((resolve) => this.server.close(resolve))
  }

  /** Falls ill, or is well again. */
  fall(illness: Illness | undefined): void {
    this.illness = illness
    if (illness === "resets connections unread") { for (const socket of this.sockets) socket.resetAndDestroy() }
  }

  private async serve(request: Http.IncomingMessage, response: Http.ServerResponse): Promise<void> {
    if (request.url === probePath) return void response.writeHead(200, { "content-length": 0 }).end()
    const { illness } = this
    const { socket } = request
    const id = String(request.headers[idField])
    this.begun.push({ method: request.method ?? "", id })
    if (illness !== undefined) this.struck++
    if (illness === "resets after the head of the request") return void socket.resetAndDestroy()
    const posted = await bodyOf(request)
    const body = answer(id, this.name, posted)
    const fields = {
      [backendField]: this.name,
      // As the connection is to be closed after this answer, whoever waits for the next one must know.
      ...(this.isStopping && { connection: "close" }),
      ...(!isChunked(id) && { "content-length": Buffer.byteLength(body) })
    }
    const half = body.slice(0, body.length / 2)
    switch (illness) {
      case "resets after the request":
        return void socket.resetAndDestroy()
      case "closes after the request":
        return void socket.end()
      case "closes within the head of the answer":
        return void socket.end(halfHead)
      case "resets within the head of the answer":
        socket.write(halfHead)
        await sleep(arrivalTime)
        return void socket.resetAndDestroy()
      case "answers garbage":
        return void socket.end("SSH-2.0-OpenSSH_9.9\r\n\r\n")
      case "answers garbage in the body":
        return void socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\nthis is no size\r\n")
      case "answers 503":
        return void response.writeHead(503).end("ill\n")
      case "hangs before the answer":
        return
      case "hangs within the body of the answer":
        return void response.writeHead(200, fields).write(half)
      case "closes within the body of the answer":
        return void response.writeHead(200, fields).write(half, () => socket.destroy())
      case "closes after the answer":
        // It has not said so.
        return void response.writeHead(200, fields).end(body, () => socket.end())
      case "resets after the head of the answer":
      case "resets within the body of the answer":
        response.writeHead(200, fields).flushHeaders()
        if (illness === "resets within the body of the answer") response.write(half)
        await sleep(arrivalTime)
        return void socket.resetAndDestroy()
      case "trickles the head of the answer":
        await trickle(socket, `HTTP/1.1 200 OK\r\n${backendField}: ${this.name}\r\nX-Long: ${"x".repeat(40)}\r\n`)
        // Its server knows nothing of an answer, and reads no more. To close without a word would be another illness.
        return void socket.end(`Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
      case "trickles a head without an end":
        socket.write("HTTP/1.1 200 OK\r\n")
        while (!socket.destroyed) await trickle(socket, "X-More: x\r\n")
        return
      case "trickles": {
        response.writeHead(200, fields)
        const length = Math.ceil(body.length / pieces)
        for (let at = 0; at < body.length; at += length) {
          response.write(body.slice(at, at + length))
          await sleep(trickleTime)
        }
        return void response.end()
      }
      default:
        await sleep(workTime)
        response.writeHead(200, fields).end(body)
    }
  }
}
