/** A raw backend: reads strictly, and does with each request what its habit for it is. */
import * as Net from "node:net"
import { dice } from "../Dice.ts"
import { content, inChunks, inPieces, seedOf } from "./Bytes.ts"
import { End, sleep } from "./End.ts"
import { type Habit, habitOf } from "./Habits.ts"
import type { Asked, Given, Ledger } from "./Ledger.ts"
import { Reader } from "./Reader.ts"
import type { requests } from "./Requests.ts"

/** An answer, and where its head ends. */
const bytesOf = (
  habit: Habit,
  { body, number, request, trailers }: Given,
  hasBody: boolean
): readonly [Buffer, number] => {
  const { announces, framing, saysClose, status } = habit
  const lines = [`HTTP/1.1 ${status} Whatever`, `X-Id: ${request}`, `X-Answer: ${number}`]
  if (hasBody && framing === "length") lines.push(`Content-Length: ${body.length}`)
  if (hasBody && framing === "chunked") lines.push("Transfer-Encoding: chunked")
  if (habit.retryAfter !== undefined) lines.push(`Retry-After: ${habit.retryAfter}`)
  if (announces !== undefined) lines.push(`Keep-Alive: timeout=${announces}`)
  if (saysClose || (hasBody && framing === "close")) lines.push("Connection: close")
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`)
  if (!hasBody) return [head, head.length]
  const framed = framing === "chunked" ? inChunks(dice(seedOf(number, request)), body, trailers) : body
  return [Buffer.concat([head, framed]), head.length]
}

const unasked = Buffer.from("HTTP/1.1 200 Unasked\r\nX-Id: 0\r\nX-Answer: -1\r\nContent-Length: 3\r\n\r\nwho")

/** What is certain to leave in one packet, and to be read in one go. */
const packet = 8_000

/** A request that is being worked on. */
interface Job {
  readonly asked: Asked
  readonly habit: Habit
  readonly nth: number
  isWhole: boolean
}

class Connection {
  private readonly end: End
  private job: Job | undefined
  private readonly name: string
  private readonly number: number
  private readonly ledger: Ledger

  constructor(socket: Net.Socket, number: number, nth: number, ledger: Ledger, rules: ReturnType<typeof requests>) {
    this.ledger = ledger
    this.number = number
    this.name = `backend ${number}.${nth}`
    let asked: Asked | undefined
    const reader = new Reader("request", {
      onStart: (line) => {
        ledger.tell(`${this.name} gets ${line}`)
        asked = rules.onStart(number, line)
        if (this.job !== undefined) ledger.complain(`${this.name} gets ${line} before it has answered what was before`)
      },
      onHead: (message) => {
        if (asked === undefined) return
        rules.onHead(asked, message)
        const nth = asked.arrivals.length
        const habit = habitOf(ledger.plan.seed, asked.request.number, nth, message.framing !== "none")
        this.job = { asked, habit, nth, isWhole: false }
        if (habit.isEarly) void this.act(this.job)
      },
      onWhole: (message) => {
        ledger.tell(`${this.name} has all ${message.body.length} bytes of ${message.start}`)
        if (asked !== undefined) rules.onWhole(asked, message)
        const { job } = this
        // The answer to it may be over already.
        if (job === undefined || job.asked !== asked) return
        job.isWhole = true
        this.end.wake()
        if (!job.habit.isEarly) void this.act(job)
      },
      onBad: (why) => {
        ledger.complain(`${this.name} gets ${why}`)
        this.end.leave("reset")
      }
    })
    this.end = new End(socket, {
      onBytes: (chunk) => {
        if (!this.end.isLeft) reader.read(chunk)
      },
      onEnd: (isClean) => {
        ledger.tell(`${this.name} is ${isClean ? "ended" : "reset"}`)
        if (isClean && !this.end.isLeft) this.end.leave("fin")
      }
    })
  }

  private async act(job: Job): Promise<void> {
    try {
      const { habit } = job
      if (habit.wait > 0) await sleep(habit.wait)
      if (habit.isDeaf) this.end.socket.pause()
      if (this.end.isOver) return
      if (habit.does === "answers") await this.answer(job)
      else if (habit.does === "hangs") this.ledger.tell(`${this.name} hangs`)
      else if (habit.does === "leaves") this.leave(habit)
      else await this.end.send([{ bytes: Buffer.from("HTTP/1.1 never mind\r\n\r\n"), pause: "none" }])
    } catch (error) {
      // It waits for a balancer that neither reads nor leaves.
      this.ledger.complain(`${this.name}: ${String(error)}`)
    }
  }

  private leave({ leaving }: Habit): void {
    this.ledger.tell(`${this.name} leaves: ${leaving}`)
    this.end.leave(leaving)
  }

  private async answer(job: Job): Promise<void> {
    const { asked: { interims, request: { method, number } }, habit, nth } = job
    const { end, ledger } = this
    const random = dice(seedOf(ledger.plan.seed, number, nth, 1))
    const hasBody = method !== "HEAD" && habit.status !== 204 && habit.status !== 304
    const given: Given = {
      number: ledger.given.length,
      request: number,
      backend: this.number,
      status: habit.status,
      body: content(ledger.given.length * 2 + 1, habit.length),
      trailers: habit.trailers,
      isSent: false
    }
    ledger.given.push(given)
    const [bytes, headLength] = bytesOf(habit, given, hasBody)
    interims.push(...habit.interims)
    const before = habit.interims.map((status) => `HTTP/1.1 ${status} Early\r\nX-Id: ${number}\r\n\r\n`).join("")
    const isCut = habit.cutAt !== undefined
    // Without a length, only a reset tells that something is missing.
    const leaving = hasBody && habit.framing === "close" ? "reset" : habit.leaving
    const length = isCut ? Math.floor((bytes.length - 1) * (habit.cutAt ?? 0)) : bytes.length
    const isTalkative = habit.isTalkative && ledger.engine === "wire" && habit.closesAfter === undefined &&
      bytes.length < packet
    ledger.tell(
      `${this.name} answers /${number} with ${given.number}: ${habit.status}, ${habit.framing}, ${length} of ` +
        `${bytes.length} bytes, holds ${habit.holds}, closes after ${habit.closesAfter}`
    )
    const held = habit.holds === "nothing" ? length : habit.holds === "the last byte" ? length - 1 : headLength
    const now = Math.min(held, length)
    const begin = inPieces(random, Buffer.concat([Buffer.from(before), bytes.subarray(0, now)]))
    const pieces = [...begin, ...inPieces(random, bytes.subarray(now, length))]
    for (const [i, piece] of pieces.entries()) {
      if (i === begin.length) {
        await end.until(() => job.isWhole, "the rest of a request")
        ledger.tell(`${this.name} goes on with ${given.number}`)
      }
      if (end.isOver) return
      const isLast = i === pieces.length - 1 && !isCut
      // Before, because somebody may have it at once, and ask again.
      if (isLast) {
        given.isSent = true
        this.job = undefined
      }
      await end.send([isLast && isTalkative ? { ...piece, bytes: Buffer.concat([piece.bytes, unasked]) } : piece])
    }
    if (isCut) {
      ledger.tell(`${this.name} leaves: ${leaving}`)
      return end.leave(leaving)
    }
    if (habit.closesAfter === undefined) return
    if (habit.closesAfter > 0) await sleep(habit.closesAfter)
    if (end.isOver) return
    ledger.tell(`${this.name} closes after ${given.number}`)
    // A clean end could be that of the next answer, if that has no other.
    end.leave(this.job === undefined ? "fin" : "reset")
  }
}

/** A backend that listens, with this number. */
export const listen = async (number: number, ledger: Ledger, rules: ReturnType<typeof requests>) => {
  let made = 0
  const sockets = new Set<Net.Socket>()
  const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
    // oxlint-disable-next-line no-new -- it lives as long as its socket
    new Connection(socket, number, ++made, ledger, rules)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  return { origin: `http://127.0.0.1:${port}`, sockets, stop }
}
