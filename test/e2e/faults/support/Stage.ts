/** Three backends, a balancer and clients that ask without a pause; and what may come of it. */
import type { StrategyName } from "../../../../src/layers/strategies/index.ts"
import { summary } from "../../../Summary.ts"
import { assert, type Balancer, type Lab } from "../../support/Lab.ts"
import { Backend } from "./Backend.ts"
import { Clients, type Method, type Seen } from "./Clients.ts"

/** The most that clients may see. Without it no request may fail. */
export interface Allowed {
  /** Requests of these methods may fail. */
  readonly methods: ReadonlyArray<Method>
  /** What clients may see of those. */
  readonly seeing: ReadonlyArray<string>
  /** How many of them may fail. */
  readonly most?: number
  /** When backends were killed, by `performance.now()`: only what was under way may fail. */
  readonly kills?: ReadonlyArray<number>
}

/** How the stage is set. */
export interface Wishes {
  readonly strategy: StrategyName
  /** Mixed ones, unless they are given. */
  readonly methods?: ReadonlyArray<Method>
  /**
   * How long the balancer waits for an answer, and for the next piece of it, in milliseconds: 5 s, unless it is given.
   */
  readonly patience?: number
}

/** As many GETs as all others together. */
export const mixed: ReadonlyArray<Method> = ["GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE"]

/** In milliseconds. Nothing is asserted of it: here that is a matter of how busy the machine is. */
const slowFrom = 1_000
const hearingTime = 50

const count = <A>(items: ReadonlyArray<A>, is: (item: A) => boolean): number => items.filter(is).length

export class Stage {
  readonly backends: ReadonlyArray<Backend>
  readonly lb: Balancer
  readonly clients: Clients
  private troubleFrom = Infinity
  private troubleUntil = -Infinity

  private constructor(backends: ReadonlyArray<Backend>, lb: Balancer, clients: Clients) {
    this.backends = backends
    this.lb = lb
    this.clients = clients
  }

  /** Starts everything. Requests are sent from now on. */
  static async start(lab: Lab, { methods = mixed, patience = 5_000, strategy }: Wishes): Promise<Stage> {
    const backends = ["a", "b", "c"].map((name) => new Backend(name))
    for (const backend of backends) {
      await backend.start()
      lab.afterwards(() => backend.kill())
    }
    const lb = await lab.balancer(backends, {
      strategy,
      healthInterval: 200,
      response: patience,
      idle: patience
    })
    const clients = new Clients(lb.port, methods, 1)
    lab.afterwards(() => clients.destroy())
    return new Stage(backends, lb, clients)
  }

  /** Runs what makes trouble. A request that was over before it, or was sent after it, may not fail. */
  async trouble(run: () => Promise<void>): Promise<void> {
    this.troubleFrom = Math.min(this.troubleFrom, performance.now())
    await run()
    this.troubleUntil = performance.now()
  }

  /** Who has answered requests that were sent from this time on. */
  answeredSince(time: number): ReadonlySet<string> {
    const names = this.clients.seen.filter(({ sentAt }) => sentAt >= time).map(({ backend }) => backend)
    return new Set(names.filter((name) => name !== undefined))
  }

  /** Ends the load, and asserts that clients saw no more than is allowed, and that nothing is left over. */
  async end({ kills, methods, most = Infinity, seeing }: Allowed = { methods: [], seeing: [] }): Promise<Outcome> {
    await this.clients.stop()
    const { seen } = this.clients
    await this.lb.completed(seen.length)
    const failed = seen.filter(({ problem }) => problem !== undefined)
    for (const one of failed) {
      const { endedAt, method, problem, sentAt } = one
      const told = JSON.stringify(one)
      assert.include(methods, method, told)
      assert.include(seeing, problem, told)
      assert.isTrue(sentAt <= this.troubleUntil && endedAt >= this.troubleFrom, `without a reason: ${told}`)
      // The balancer hears of the end of a connection a little later.
      const wasUnderWay = kills?.some((kill) => sentAt <= kill + hearingTime && kill <= endedAt) ?? true
      assert.isTrue(wasUnderWay, `it was under way to nobody who was killed: ${told}`)
    }
    assert.isAtMost(failed.length, most)
    assert.deepStrictEqual(seen.filter(({ hasWrongBody }) => hasWrongBody), [])
    const posts = this.backends.flatMap(({ begun }) => begun).filter(({ method }) => method === "POST")
    const ids = posts.map(({ id }) => id)
    assert.deepStrictEqual(ids.filter((id, i) => ids.indexOf(id) !== i), [], "POSTs delivered twice")
    assert.deepStrictEqual(this.lb.members.map(({ endpoint }) => endpoint.load.inFlight), [0, 0, 0])
    return { seen, failed }
  }
}

export interface Outcome {
  readonly seen: ReadonlyArray<Seen>
  readonly failed: ReadonlyArray<Seen>
}

/** Collects outcomes for a table: see `Summary`. */
export const outcomes = (title: string): (name: string, outcome: Outcome) => void => {
  const note = summary(title)
  return (name, { failed, seen }) =>
    note(name, {
      requests: seen.length,
      "GET failed": count(failed, ({ method }) => method === "GET"),
      "PUT, DELETE failed": count(failed, ({ method }) => method === "PUT" || method === "DELETE"),
      "POST failed": count(failed, ({ method }) => method === "POST"),
      slow: count(seen, ({ endedAt, sentAt }) => endedAt - sentAt > slowFrom),
      "slowest, ms": Math.round(Math.max(...seen.map(({ endedAt, sentAt }) => endedAt - sentAt)))
    })
}
