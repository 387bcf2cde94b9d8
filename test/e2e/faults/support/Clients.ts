/**
 * The clients of the fault suite: an open loop on real sockets. Requests are sent by schedule, whatever is outstanding;
 * each answer is compared with what belongs to its request, byte by byte.
 */
import * as Http from "node:http"
import { type Random, randomFrom } from "../../../Random.ts"
import { answer, backendField, idField, itemPath } from "../../../soak/Answers.ts"
import { Waiting } from "../../support/Waiting.ts"

export type Method = "GET" | "POST" | "PUT" | "DELETE"

/** A request and what its client saw of it. Times are those of `performance.now()`. */
export interface Seen {
  readonly id: string
  readonly method: Method
  readonly sentAt: number
  endedAt: number
  backend: string | undefined
  /** Why it has failed, such as `502 reset_before_headers` or `200, then cut`; nothing if it has not. */
  problem: string | undefined
  /** The answer was complete, with status 200, and not what belongs to the request. */
  hasWrongBody: boolean
}

/** Requests per second. */
const rate = 200
const maxConnections = 40
/** Timers are no finer than this; what is due is sent together. In milliseconds. */
const tick = 4

const reasonOf = (error: Error): string => "code" in error ? String(error.code) : error.message

/** Our own errors name their reason in the body. */
const saidBy = (body: string): string => /reason: (\w+)/.exec(body)?.[1] ?? "of a backend"

export class Clients {
  readonly seen: Array<Seen> = []
  private readonly port: number
  private readonly methods: ReadonlyArray<Method>
  private readonly random: Random
  private readonly agent = new Http.Agent({ keepAlive: true, maxSockets: maxConnections })
  private readonly open = new Set<Seen>()
  private readonly waiting = new Waiting()
  private readonly startedAt = performance.now()
  private readonly timer = setInterval(() => this.sendDue(), tick)

  /**
   * Begins at once. Which of the methods a request has is left to chance, so one that is to be frequent is named often.
   */
  constructor(port: number, methods: ReadonlyArray<Method>, seed: number) {
    this.port = port
    this.methods = methods
    this.random = randomFrom(seed)
  }

  private sendDue(): void {
    const due = (performance.now() - this.startedAt) * rate / 1_000
    while (this.seen.length < due) this.send()
    this.waiting.wake()
  }

  private send(): void {
    const method = this.methods[Math.floor(this.random() * this.methods.length)]!
    const seen: Seen = {
      id: `r${this.seen.length}`,
      method,
      sentAt: performance.now(),
      endedAt: Infinity,
      backend: undefined,
      problem: undefined,
      hasWrongBody: false
    }
    const { id } = seen
    const posted = method === "POST" || method === "PUT" ? `sent with ${id}` : ""
    const headers = { [idField]: id, ...(posted !== "" && { "content-length": posted.length }) }
    const { agent, port } = this
    const request = Http.request({ agent, host: "127.0.0.1", port, method, path: itemPath + id, headers })
    this.seen.push(seen)
    this.open.add(seen)
    request.on("error", (error) => this.settle(seen, reasonOf(error)))
    request.on("response", (response) => this.read(seen, response, posted))
    request.end(posted)
  }

  private read(seen: Seen, response: Http.IncomingMessage, posted: string): void {
    const backend = response.headers[backendField]
    seen.backend = typeof backend === "string" ? backend : undefined
    let body = ""
    response.setEncoding("latin1").on("data", (text: string) => body += text)
    // What went wrong shows at the close.
    response.on("error", () => {})
    response.on("close", () => {
      const { complete, statusCode } = response
      if (!complete) return this.settle(seen, `${statusCode}, then cut`)
      if (statusCode !== 200) return this.settle(seen, `${statusCode} ${saidBy(body)}`)
      seen.hasWrongBody = body !== answer(seen.id, seen.backend ?? "", posted)
      this.settle(seen, undefined)
    })
  }

  private settle(seen: Seen, problem: string | undefined): void {
    if (!this.open.delete(seen)) return
    seen.endedAt = performance.now()
    seen.problem = problem
    this.waiting.wake()
  }

  private state(): string {
    return JSON.stringify({ sent: this.seen.length, open: [...this.open].slice(0, 10) })
  }

  /** Waits until this many more requests were sent. */
  sent(count: number): Promise<void> {
    const wanted = this.seen.length + count
    return this.waiting.until(() => this.seen.length >= wanted, `${count} requests`, () => this.state())
  }

  /** Waits until all requests are over that were sent until now. */
  settled(): Promise<void> {
    const open = [...this.open]
    return this.waiting.until(() => !open.some((seen) => this.open.has(seen)), "answers", () => this.state())
  }

  /** Sends nothing more, and waits for the last answers. */
  async stop(): Promise<void> {
    clearInterval(this.timer)
    await this.waiting.until(() => this.open.size === 0, "the last answers", () => this.state())
    this.agent.destroy()
  }

  /** Lets go of everything, whatever is outstanding. */
  destroy(): void {
    clearInterval(this.timer)
    this.agent.destroy()
  }
}
