/**
 * What there is to see of a plan that is being played: what an operator sees, and both ends. Oracles are asked whenever
 * something happens, and each says in a sentence what should not have been.
 */
import type { Received } from "../../src/layers/testing/FakeBackends.ts"
import type { Reply } from "../../src/layers/testing/FakeServer.ts"
import { type Completed, type Entry, pretty } from "../../src/services/AccessLog.ts"
import type { Mode } from "../../src/services/Health.ts"
import type { Load } from "../../src/services/Load.ts"
import { empty, type PoolState } from "../../src/services/Pool.ts"
import { idOf, numberOf } from "./Backends.ts"
import type { Plan, Request } from "./Plan.ts"

/** A request, from its client to the end. */
export interface Exchange {
  readonly request: Request
  readonly startedAt: number
  /** The cookie that it came with. */
  readonly cookie: string | undefined
  /** The ids of the backends that it was sent to, by the log. */
  readonly tries: Array<string>
  /** Where these were then. */
  readonly places: Array<string>
  /** What the log says of its end. */
  completed: Completed | undefined
  /** The answer, if its client has got all of it. */
  reply: Reply | undefined
}

export interface Oracle {
  /** A try has begun, and nothing else has happened since its backend was chosen. */
  readonly onTry?: (exchange: Exchange, id: string) => void
  /** An exchange has ended. */
  readonly onEnd?: (exchange: Exchange, entry: Completed) => void
  /** What the operator wants of a backend. */
  readonly onMode?: (id: string, mode: Mode) => void
  /** A drain that was asked for is over. */
  readonly onDrained?: (id: string, load: Load) => void
  /** A drain that was asked for has failed, because its backend is used again. */
  readonly onTakenBack?: (id: string, load: Load) => void
  /** The pool is another one. */
  readonly onChange?: (before: PoolState, after: PoolState) => void
  /** Everybody has done what there was to do at this moment. So many exchanges are counted as open. */
  readonly onPause?: (inFlight: number) => void
  /** All is over. */
  readonly onFinish?: () => void
}

export type Make = (scene: Scene, complain: (sentence: string) => void) => Oracle

export class Scene {
  readonly plan: Plan
  /** In milliseconds, as all times. */
  readonly now: () => number
  /** The pool as it is. */
  state: () => PoolState = () => empty
  /** What the backend with this id has received. */
  received: (id: string) => ReadonlyArray<Received> = () => []
  /** What was received at one of its places. */
  receivedAt: (origin: string) => ReadonlyArray<Received> = () => []
  /** From when on all has been well for a while. */
  calmFrom = Infinity
  /** All, by the number of the request. */
  readonly exchanges = new Map<number, Exchange>()
  /** Those that have not ended, by the log. */
  readonly open = new Set<Exchange>()
  /** When the loads of all backends there ever were have joined. */
  readonly loads = new Map<Load, number>()
  /** A line for everything that has happened. */
  readonly story: Array<string> = []
  private readonly illAnswers = new Set<string>()
  private readonly oracles: Array<Oracle> = []

  constructor(plan: Plan, now: () => number) {
    this.plan = plan
    this.now = now
  }

  /** What is in flight to all backends there ever were. */
  get total(): number {
    let total = 0
    for (const { inFlight } of this.loads.keys()) total += inFlight
    return total
  }

  tell(line: string): void {
    this.story.push(`${this.now()} ${line}`)
  }

  /** From now on this one is asked as well. */
  ask(make: Make, complain: (sentence: string) => void): void {
    this.oracles.push(make(this, complain))
  }

  each(tell: (oracle: Oracle) => void): void {
    for (const oracle of this.oracles) tell(oracle)
  }

  begin(exchange: Exchange): void {
    this.exchanges.set(exchange.request.number, exchange)
    this.open.add(exchange)
  }

  noteIllAnswer(id: string, target: string): void {
    this.illAnswers.add(id + target)
  }

  /** Whether a backend has answered this target with an error, which may be kept while another backend is asked. */
  hasAnsweredIll(id: string, target: string): boolean {
    return this.illAnswers.has(id + target)
  }

  noteLoads({ members }: PoolState): void {
    for (const { endpoint: { load } } of members) if (!this.loads.has(load)) this.loads.set(load, this.now())
  }

  log(entry: Entry): void {
    this.tell(pretty(entry))
    const exchange = "path" in entry ? this.exchanges.get(numberOf(entry.path)) : undefined
    if (exchange === undefined) return
    if (entry._tag === "Sent") {
      const id = idOf(entry.backend)
      exchange.tries.push(id)
      exchange.places.push(entry.backend)
      this.noteLoads(this.state())
      this.each((oracle) => oracle.onTry?.(exchange, id))
    } else if (entry._tag === "Completed") {
      exchange.completed = entry
      this.open.delete(exchange)
      this.each((oracle) => oracle.onEnd?.(exchange, entry))
    }
  }
}
