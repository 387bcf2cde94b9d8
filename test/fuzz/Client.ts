/** A raw client: sends the requests of a visit, reads strictly, and leaves when its plan says so. */
import * as Net from "node:net"
import { type Dice, dice } from "../Dice.ts"
import { type answers, statusOf } from "./Answers.ts"
import { content, inChunks, inPieces, seedOf } from "./Bytes.ts"
import { End, sleep } from "./End.ts"
import type { Asked, Ledger } from "./Ledger.ts"
import type { Request, Visit } from "./Plan.ts"
import { type Message, Reader } from "./Reader.ts"

const bytesOf = (random: Dice, request: Request, cookie: string | undefined) => {
  const { expects, framing, isLast, isSpoilt, length, method, number, trailers, version } = request
  const lines = [`${method} /${number} HTTP/1.${version}`, "Host: fuzz.example", `X-Id: ${number}`]
  if (framing === "length") lines.push(`Content-Length: ${length}`)
  if (framing === "chunked") lines.push("Transfer-Encoding: chunked")
  if (expects !== undefined) lines.push("Expect: 100-continue")
  if (isLast) lines.push("Connection: close")
  if (cookie !== undefined) lines.push(`Cookie: ${cookie}`)
  const body = content(number * 2, length)
  const framed = framing === "chunked" ? inChunks(random, body, trailers) : body
  const spoilt = () => Buffer.concat([inChunks(random, body, []).subarray(0, -5), Buffer.from("what?\r\n")])
  return { head: Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), body: isSpoilt ? spoilt() : framed }
}

class Client {
  readonly end: End
  private readonly ledger: Ledger
  private readonly visit: Visit
  private readonly name: string
  /** Requests that wait for their answers, in order. */
  private readonly waiting: Array<Asked> = []
  private cookie: string | undefined
  /** Whether the balancer has said that it closes. */
  private isTold = false

  constructor(socket: Net.Socket, nth: number, ledger: Ledger, visit: Visit, rules: ReturnType<typeof answers>) {
    this.ledger = ledger
    this.visit = visit
    this.name = `client ${nth}`
    // What Node's server says to whoever leaves in the middle of a request, in place of an answer or behind it.
    const isFarewell = (message: Message) => ledger.engine === "node" && this.end.isLeft && statusOf(message) === 400
    // It ends the connection of whoever has left as it does after a whole answer.
    const isAbandoned = (message: Message) => ledger.engine === "node" && this.end.isLeft && message.framing === "close"
    const reader = new Reader("answer", {
      onHead: (message) => {
        const [asked] = this.waiting
        if (isFarewell(message)) return
        if (asked === undefined) return ledger.complain(`${this.name} gets ${message.start}, and has asked for nothing`)
        if (statusOf(message) >= 200) asked.got = "a head"
      },
      onWhole: (message) => {
        const [asked] = this.waiting
        if (asked === undefined) return
        ledger.tell(`${this.name} has ${message.start} (${message.body.length} bytes) for /${asked.request.number}`)
        if (statusOf(message) < 200) return rules.onInterim(asked, message)
        if (isFarewell(message) || isAbandoned(message)) return
        this.waiting.shift()
        asked.got = "all"
        asked.answer = message
        this.isTold ||= message.fields.get("connection")?.includes("close") === true || message.framing === "close"
        this.cookie = message.fields.get("set-cookie")?.split(";", 1)[0] ?? this.cookie
        rules.onWhole(asked, message)
      },
      onBad: (why) => ledger.complain(`${this.name} gets ${why}`)
    }, () => this.waiting[0]?.request.method ?? "")
    let received = 0
    this.end = new End(socket, {
      onBytes: (chunk) => {
        reader.read(chunk)
        received += chunk.length
        if (received >= visit.leavesAfter && !this.end.isLeft) this.leave("in the middle of an answer")
      },
      onEnd: (isClean) => {
        ledger.tell(`${this.name} is ${isClean ? "ended" : "reset"}`)
        reader.end(isClean)
        if (isClean && reader.isInside && !this.end.isLeft) {
          ledger.complain(`${this.name} was cut with a clean end, in the answer to /${this.waiting[0]?.request.number}`)
        }
      }
    }, visit.slowness)
  }

  private leave(when: string): void {
    this.ledger.tell(`${this.name} leaves ${when}: ${this.visit.leaving}`)
    this.end.leave(this.visit.leaving)
  }

  /** Sends a request. Whether there may be another one. */
  private async send(random: Dice, request: Request): Promise<boolean> {
    const { end, ledger, name } = this
    const { cutAt, expects, isSpoilt, method, number } = request
    const asked = ledger.of(number)
    const { body, head } = bytesOf(random, request, this.cookie)
    const all = Buffer.concat([head, body])
    const length = cutAt === undefined ? all.length : Math.floor((all.length - 1) * cutAt)
    const first = expects === undefined ? length : Math.min(head.length, length)
    ledger.tell(
      `${name} sends ${method} /${number}: ${request.framing}, ${length} of ${all.length} bytes, ` +
        `${isSpoilt ? "spoilt, " : ""}expects ${expects}`
    )
    asked.isBegun = true
    this.waiting.push(asked)
    const begin = inPieces(random, all.subarray(0, first))
    const pieces = [...begin, ...inPieces(random, all.subarray(first, length))]
    for (const [i, piece] of pieces.entries()) {
      if (i === begin.length) {
        const isOn = () => asked.continues > 0 || asked.got !== "nothing"
        if (expects === "waits") await end.until(isOn, `a 100 for /${number}`)
        else await Promise.race([sleep(expects ?? 0), end.until(isOn, "a 100").catch(() => {})])
        // Who has its answer and was not told to go on does not send the body, and must not be waited for.
        if (expects === "waits" && asked.continues === 0) {
          await end.until(() => false, `the end of the connection on which /${number} was answered at its head`)
          return false
        }
      }
      if (i === pieces.length - 1 && cutAt === undefined && !isSpoilt) asked.isSent = true
      await end.send([piece])
    }
    if (cutAt === undefined) return !request.isLast && request.version === 1 && !isSpoilt
    this.leave("in the middle of a request")
    return false
  }

  private async sendAll(random: Dice): Promise<void> {
    const { end, visit } = this
    for (const request of visit.requests) {
      if (end.isOver || this.isTold || !await this.send(random, request)) return
      const asked = this.ledger.of(request.number)
      if (visit.isPolite) await end.until(() => asked.got === "all", `the answer to /${request.number}`)
    }
  }

  /** Sends all, and waits for the answers. */
  async play(random: Dice): Promise<void> {
    const { end, ledger, name, visit, waiting } = this
    try {
      await this.sendAll(random)
      if (visit.stays) {
        await end.until(() => waiting.length === 0, `the answer to /${waiting[0]?.request.number}`)
      }
    } catch (error) {
      ledger.complain(`${name}: ${String(error)}`)
    }
    if (!end.isLeft) {
      for (const { number } of visit.requests) ledger.of(number).isAwaited = ledger.of(number).got === "all"
      const [first, ...followers] = waiting
      if (first !== undefined && visit.stays && !this.isTold) {
        first.isAwaited = true
        first.followers = followers
      }
      this.leave("at the end")
    }
    // What a half-closed connection still says counts.
    if (visit.leaving === "fin") await Promise.race([end.closed, sleep(300)])
    if (!end.socket.destroyed) end.socket.destroy()
    await end.closed
  }
}

/** Plays a visit. Resolves when its connection is closed. */
export const visit = async (
  port: number,
  nth: number,
  ledger: Ledger,
  visit: Visit,
  rules: ReturnType<typeof answers>
) => {
  await sleep(visit.at)
  const socket = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
  const client = new Client(socket, nth, ledger, visit, rules)
  await client.play(dice(seedOf(ledger.plan.seed, nth, 2)))
}
