/** What everybody has sent and got so far, for the oracles, and a line for everything that has happened. */
import type { Completed, Entry } from "../../src/services/AccessLog.ts"
import { pretty } from "../../src/services/AccessLog.ts"
import type { Plan, Request } from "./Plan.ts"
import type { Message } from "./Reader.ts"

/** A request, from its first byte to the end. */
export interface Asked {
  readonly request: Request
  /** Whether its client has begun to send it, and has sent all of it. */
  isBegun: boolean
  isSent: boolean
  /** The backends that have got its first line, one for each time. */
  readonly arrivals: Array<number>
  /** Interim answers that backends have sent. */
  readonly interims: Array<number>
  /** How often its client was told to go on. */
  continues: number
  /** What its client has got of its answer. */
  got: "nothing" | "a head" | "all"
  /** The answer, if all of it is there. */
  answer: Message | undefined
  /** Whether its client was there to the end: it has neither left nor sent less than it had announced. */
  isAwaited: boolean
  /** Requests that were sent behind it when its connection ended without an answer to it. */
  followers: ReadonlyArray<Asked>
}

/** An answer that a backend gives. */
export interface Given {
  readonly number: number
  readonly request: number
  readonly backend: number
  readonly status: number
  readonly body: Buffer
  readonly trailers: ReadonlyArray<string>
  /** Whether its last byte was sent. */
  isSent: boolean
}

export class Ledger {
  readonly plan: Plan
  readonly engine: "node" | "wire"
  readonly complaints: Array<string> = []
  readonly story: Array<string> = []
  readonly asked = new Map<number, Asked>()
  readonly given: Array<Given> = []
  /** The lines of the log, by the number of the request. */
  readonly completed = new Map<number, Array<Completed>>()
  /** How often the log says that a request was sent. */
  readonly sent = new Map<number, number>()
  /** Of the backends. */
  origins: ReadonlyArray<string> = []
  private readonly startedAt = performance.now()

  constructor(plan: Plan, engine: "node" | "wire") {
    this.plan = plan
    this.engine = engine
    for (const { requests } of plan.visits) {
      for (const request of requests) {
        this.asked.set(request.number, {
          request,
          isBegun: false,
          isSent: false,
          arrivals: [],
          interims: [],
          continues: 0,
          got: "nothing",
          answer: undefined,
          isAwaited: false,
          followers: []
        })
      }
    }
  }

  tell(line: string): void {
    this.story.push(`${Math.round(performance.now() - this.startedAt)} ${line}`)
  }

  complain(sentence: string): void {
    this.complaints.push(sentence)
    this.tell(`COMPLAINT: ${sentence}`)
  }

  /** What has to do with the complaints: their requests, and the connections that these were on. */
  get excerpt(): ReadonlyArray<string> {
    const { complaints, story } = this
    const requests = new Set(complaints.join(" ").match(/\/\d+\b/g))
    const isAbout = (line: string) => line.match(/\/\d+\b/g)?.some((target) => requests.has(target)) === true
    const nameIn = (line: string) => /(?:backend \d+\.\d+|client \d+)\b/.exec(line)?.[0]
    const names = new Set([...complaints, ...story.filter(isAbout)].map(nameIn))
    return story.filter((line) => isAbout(line) || /COMPLAINT|LEFT/.test(line) || names.has(nameIn(line) ?? ""))
  }

  /** A request of the plan. */
  of(number: number): Asked {
    const asked = this.asked.get(number)
    if (asked === undefined) throw new Error(`there is no request ${number}`)
    return asked
  }

  log(entry: Entry): void {
    this.tell(pretty(entry))
    if (entry._tag === "Notice") {
      if (entry.level === "ERROR") this.complain(`the log says ${entry.message}`)
      return
    }
    if (entry._tag === "HealthChanged") return
    const number = Number(entry.path.slice(1))
    if (entry._tag === "Sent") this.sent.set(number, (this.sent.get(number) ?? 0) + 1)
    else this.completed.set(number, [...this.completed.get(number) ?? [], entry])
  }
}
