/**
 * The clients of the soak: an open loop. Requests are sent by schedule, whatever is outstanding, over at most 60
 * connections. One that finds none free waits, and its time counts from the moment for which it was scheduled.
 */
import * as Http from "node:http"
import type { Random } from "../Random.ts"
import { answer, backendField, idField, itemPath } from "./Answers.ts"

/** Requests per second. */
export const rate = 300
/**
 * One of so many requests is a POST. Which one is left to chance: a fixed order and the one in which a balancer goes
 * around three backends would fall into step, and an ill backend would be sent all POSTs, or none.
 */
const postEvery = 4
const maxConnections = 60
/** Timers are no finer than this; what is due is sent together. In milliseconds. */
export const tick = 3
/** How long the last answers may take, in milliseconds. */
const patience = 20_000

/** A request and what the client saw of it. Times are those of `performance.now()`. */
export interface Seen {
  readonly id: string
  readonly method: "GET" | "POST"
  readonly scheduledAt: number
  /** When it was over, well or not. */
  endedAt: number
  /** Who answered. */
  backend: string | undefined
  /** Why it has failed; nothing if it has not. */
  problem: string | undefined
  /** The answer was complete, with status 200, and not what belongs to the request. */
  hasWrongBody: boolean
}

const reasonOf = (error: Error): string => "code" in error ? String(error.code) : error.message

export class Client {
  readonly seen: Array<Seen> = []
  /** The most by which a request was sent later than scheduled because this process was busy, in milliseconds. */
  lateness = 0
  private readonly port: number
  private readonly prefix: string
  private readonly random: Random
  private readonly agent = new Http.Agent({ keepAlive: true, maxSockets: maxConnections, scheduling: "fifo" })
  private readonly open = new Map<Seen, Http.ClientRequest>()
  private readonly startedAt = performance.now()
  private readonly timer = setInterval(() => this.sendDue(), tick)
  private sent = 0
  /** The number of the next POST, or of the last. */
  private post = 0
  private onIdle: (() => void) | undefined

  /** Begins at once. Ids begin with the prefix. */
  constructor(port: number, prefix: string, random: Random) {
    this.port = port
    this.prefix = prefix
    this.random = random
  }

  private sendDue(): void {
    const now = performance.now()
    for (;;) {
      const scheduledAt = this.startedAt + this.sent * 1_000 / rate
      if (scheduledAt > now) return
      this.lateness = Math.max(this.lateness, now - scheduledAt)
      this.send(scheduledAt)
    }
  }

  private send(scheduledAt: number): void {
    const number = this.sent++
    const id = `${this.prefix}-${number}`
    if (number % postEvery === 0) this.post = number + Math.floor(this.random() * postEvery)
    const method = number === this.post ? "POST" : "GET"
    const posted = method === "POST" ? `posted with ${id}` : ""
    const seen: Seen = {
      id,
      method,
      scheduledAt,
      endedAt: Infinity,
      backend: undefined,
      problem: undefined,
      hasWrongBody: false
    }
    const headers = {
      [idField]: id,
      ...(method === "POST" && { "content-type": "text/plain", "content-length": Buffer.byteLength(posted) })
    }
    const options = { agent: this.agent, host: "127.0.0.1", port: this.port, method, path: itemPath + id, headers }
    const request = Http.request(options)
    this.seen.push(seen)
    this.open.set(seen, request)
    request.on("error", (error) => this.settle(seen, reasonOf(error)))
    request.on("response", (response) => this.read(seen, response, posted))
    request.end(posted)
  }

  private read(seen: Seen, response: Http.IncomingMessage, posted: string): void {
    const backend = response.headers[backendField]
    seen.backend = typeof backend === "string" ? backend : undefined
    let body = ""
    response.setEncoding("utf8").on("data", (text: string) => body += text)
    response.on("error", (error) => this.settle(seen, `status ${response.statusCode}, then ${reasonOf(error)}`))
    response.on("close", () => {
      if (!response.complete) return this.settle(seen, `status ${response.statusCode}, then cut`)
      if (response.statusCode !== 200) {
        return this.settle(seen, `status ${response.statusCode} ${JSON.stringify(body.slice(0, 100))}`)
      }
      seen.hasWrongBody = body !== answer(seen.id, seen.backend ?? "", posted)
      this.settle(seen, seen.hasWrongBody ? `wrong body ${JSON.stringify(body.slice(0, 100))}` : undefined)
    })
  }

  private settle(seen: Seen, problem: string | undefined): void {
    if (!this.open.delete(seen)) return
    seen.endedAt = performance.now()
    seen.problem = problem
    if (this.open.size === 0) this.onIdle?.()
  }

  /** Sends nothing more, and waits for the last answers. What takes too long has failed. */
  async stop(): Promise<void> {
    clearInterval(this.timer)
    const limit = setTimeout(() => {
      for (const [seen, request] of this.open) {
        this.settle(seen, `no answer in ${patience / 1_000} s`)
        request.destroy()
      }
    }, patience)
    await new Promise<void>((resolve) => {
      this.onIdle = resolve
      if (this.open.size === 0) resolve()
    })
    clearTimeout(limit)
    this.agent.destroy()
  }
}
