/** A balancer in front of three backends, all real processes, and what comes of a scenario that is played on it. */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync, readFileSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { folder, memory } from "../bench/Processes.ts"
import type { Random } from "../Random.ts"
import { backendField, itemPath } from "./Answers.ts"
import { type Backend, count, lastingPort, startAll } from "./Backends.ts"
import type { Candidate } from "./Candidates.ts"
import { Client, type Seen } from "./Client.ts"
import type { Scenario } from "./Scenarios.ts"
import * as Spread from "./Spread.ts"

/** In milliseconds, as all times here. */
const warmUp = 1_500
/** Spreads the moment of the illness over the schedule of the requests. */
const warmUpJitter = 100
const startLimit = 15_000
/** How long the balancer may take, from the first answer, to bring one from each backend. */
const meetLimit = 3_000
const slowFrom = 1_000
/** So many at least, so long at most after the recovery. */
const requests = 2_750
const evenLimit = 5_000
/** Looks at the spread are so far apart. */
const look = 250

/** What a scenario has shown. */
export interface Outcome {
  readonly requests: number
  /** Requests that have failed, whoever is to blame. */
  readonly get: number
  readonly post: number
  /**
   * Of the POSTs that have failed, those that were under way while a backend was being killed. It may have worked on
   * them, so that no balancer may send them again.
   */
  readonly lost: number
  /** Those of them on which a backend is known to have begun to work. */
  readonly workedOn: number
  /** Requests that took over a second, failed or not. */
  readonly slow: number
  /** POSTs on which work was begun more than once. */
  readonly twice: number
  readonly wrong: number
  /** From the recovery until the spread was even, in milliseconds; null if it was not. */
  readonly evenAfter: number | null
  /** The most by which the client itself was late. What is slow because of it is not the balancer's. */
  readonly lateness: number
}

/** What is to be read when something went wrong. */
export interface Details {
  /** Each request that has failed or was slow, in order. */
  readonly troubles: ReadonlyArray<string>
  /** Who answered how much, second by second. */
  readonly spread: ReadonlyArray<string>
  /** What the balancer has written. */
  readonly log: ReadonlyArray<string>
}

const running = new Set<ChildProcess>()

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

let stages = 0

export class Stage {
  private readonly child: ChildProcess
  private readonly port: number
  private readonly backends: ReadonlyArray<Backend>
  private readonly output: string
  private readonly ended: Promise<void>
  private plays = 0

  private constructor(candidate: Candidate, port: number, backends: ReadonlyArray<Backend>) {
    this.port = port
    this.backends = backends
    this.output = join(folder, `output-${++stages}`)
    const { args, file } = candidate.command(port, backends.map((backend) => backend.port))
    const descriptor = openSync(this.output, "a")
    this.child = spawn(file, args, {
      // Where an ordinary user's PATH does not lead, Debian has its servers. No other variable may reach them.
      env: { PATH: `${process.env["PATH"]}:/usr/sbin:/usr/local/sbin`, HOME: folder },
      cwd: folder,
      stdio: ["ignore", descriptor, descriptor]
    })
    closeSync(descriptor)
    running.add(this.child)
    this.ended = new Promise((resolve) => {
      const end = () => {
        running.delete(this.child)
        resolve()
      }
      this.child.once("error", end)
      this.child.once("exit", end)
    })
  }

  /** Starts everything, and waits until the balancer has brought an answer from each backend, if it does. */
  static async start(candidate: Candidate): Promise<Stage> {
    const backends = await startAll()
    const stage = new Stage(candidate, await lastingPort(), backends)
    try {
      await stage.untilAllAnswer()
      return stage
    } catch (error) {
      await stage.stop()
      throw error
    }
  }

  private async untilAllAnswer(): Promise<void> {
    const names = new Set<string>()
    const deadline = performance.now() + startLimit
    // A strategy may have its reasons not to use all of them.
    for (let given = Infinity; names.size < count && performance.now() < given; await sleep(20)) {
      if (!this.isRunning || performance.now() > deadline) {
        throw new Error(`it did not start: ${this.log().at(-1) ?? "it printed nothing"}`)
      }
      const name = await this.whoAnswers()
      if (name !== undefined && names.add(name).size === 1) given = performance.now() + meetLimit
    }
  }

  /** The backend that one request has reached, if any. */
  private async whoAnswers(): Promise<string | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}${itemPath}`, { signal: AbortSignal.timeout(1_000) })
      await response.arrayBuffer()
      return response.headers.get(backendField) ?? undefined
    } catch {
      return undefined
    }
  }

  private get isRunning(): boolean {
    return running.has(this.child)
  }

  private log(): ReadonlyArray<string> {
    return readFileSync(this.output, "utf8").split("\n").filter((line) => line !== "")
  }

  /** Resident memory of the balancer, in bytes. */
  memory(): number {
    return memory(this.child.pid!)
  }

  /** Plays a scenario while the load runs, first on the backend with this index. */
  async play(scenario: Scenario, victim: number, random: Random): Promise<readonly [Outcome, Details]> {
    for (const backend of this.backends) backend.forget()
    truncateSync(this.output)
    const startedAt = performance.now()
    const client = new Client(this.port, `p${this.plays++}`, random)
    let evenAfter: number | undefined
    try {
      await sleep(warmUp + random() * warmUpJitter)
      await scenario.play(this.backends.map((_, i) => this.backends[(victim + i) % count]!))
      evenAfter = await untilDecided(client.seen)
    } finally {
      await client.stop()
    }
    if (!this.isRunning) throw new Error(`the balancer has ended: ${this.log().at(-1) ?? "it printed nothing"}`)
    return [
      this.outcome(client, evenAfter),
      {
        troubles: troubles(client.seen, startedAt),
        spread: Spread.bySecond(client.seen, startedAt, performance.now()),
        log: this.log()
      }
    ]
  }

  private outcome({ lateness, seen }: Client, evenAfter: number | undefined): Outcome {
    const begun = this.backends.flatMap((backend) => backend.begun()).filter(({ method }) => method === "POST")
    const deaths = this.backends.flatMap((backend) => backend.deaths)
    const wasLost = ({ endedAt, scheduledAt }: Seen) =>
      deaths.some(({ from, to }) => scheduledAt <= to && endedAt >= from)
    const failed = seen.filter(({ problem }) => problem !== undefined)
    const failedPosts = failed.filter(({ method }) => method === "POST")
    const lost = failedPosts.filter(wasLost)
    const begunIds = new Set(begun.map(({ id }) => id))
    return {
      requests: seen.length,
      get: failed.length - failedPosts.length,
      post: failedPosts.length,
      lost: lost.length,
      workedOn: lost.filter(({ id }) => begunIds.has(id)).length,
      slow: seen.filter(({ endedAt, scheduledAt }) => endedAt - scheduledAt > slowFrom).length,
      twice: begun.length - new Set(begun.map(({ id }) => id)).size,
      wrong: seen.filter(({ hasWrongBody }) => hasWrongBody).length,
      evenAfter: evenAfter === undefined ? null : Math.round(evenAfter),
      lateness: Math.round(lateness)
    }
  }

  /** Kills all that was started. */
  async stop(): Promise<void> {
    await Promise.all(this.backends.map((backend) => backend.kill()))
    this.child.kill("SIGKILL")
    await this.ended
  }
}

/**
 * Waits until the spread is even, or has had the time to become so, and enough requests were made. Says when it was.
 */
const untilDecided = async (seen: ReadonlyArray<Seen>): Promise<number | undefined> => {
  const recoveredAt = performance.now()
  let evenAfter: number | undefined
  for (;;) {
    const now = performance.now()
    evenAfter ??= Spread.evenAfter(seen, recoveredAt, now)
    const isDecided = evenAfter !== undefined || now > recoveredAt + evenLimit + Spread.stretch
    if (isDecided && seen.length >= requests) return evenAfter
    await sleep(look)
  }
}

/** Each request that has failed or was slow, as a line. */
const troubles = (seen: ReadonlyArray<Seen>, startedAt: number): ReadonlyArray<string> =>
  seen.filter(({ endedAt, problem, scheduledAt }) => problem !== undefined || endedAt - scheduledAt > slowFrom)
    .map(({ backend, endedAt, id, method, problem, scheduledAt }) => {
      const at = ((scheduledAt - startedAt) / 1_000).toFixed(3)
      const took = Math.round(endedAt - scheduledAt)
      return `${at} s: ${method} ${id}: ${problem ?? "slow"} after ${took} ms, from ${backend ?? "nobody"}`
    })
