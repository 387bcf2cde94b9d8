/** The three backends as the harness holds them: their lives, their illnesses, and what they have begun to work on. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { folder } from "../bench/Processes.ts"
import type { Illness } from "./Backend.ts"
import { tick } from "./Client.ts"
import * as Signals from "./Signals.ts"

const program = fileURLToPath(new URL("Backend.ts", import.meta.url))

const running = new Set<ChildProcess>()

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

// -----------------------------------------------------------------------------
// Ports
// -----------------------------------------------------------------------------

/**
 * Below those that Linux gives to connections: one of them might take the port of a backend that is down,
 * or connect to itself.
 */
let nextPort = 20_000 + process.pid % 10_000

const isFree = async (port: number): Promise<boolean> => {
  const server = Net.createServer().listen(port, "127.0.0.1")
  try {
    await once(server, "listening")
    server.close()
    await once(server, "close")
    return true
  } catch {
    return false
  }
}

/** A port of the loopback on which something can be started more than once. */
export const lastingPort = async (): Promise<number> => {
  do nextPort = nextPort >= 32_000 ? 20_000 : nextPort + 1
  while (!(await isFree(nextPort)))
  return nextPort
}

// -----------------------------------------------------------------------------
// A backend
// -----------------------------------------------------------------------------

/** A request that a backend has begun to work on. */
export interface Begun {
  readonly method: string
  readonly id: string
}

/**
 * The system closes the connections of a process that is killed in a few milliseconds; this is the
 * most that is believed.
 */
const deathTime = 50

/** A SIGKILL, from the signal until nothing of the process was left, by `performance.now()`. */
export interface Death {
  readonly from: number
  readonly to: number
}

export class Backend {
  readonly name: string
  readonly port: number
  private readonly journal: string
  private readonly ends: Array<Death> = []
  private child: ChildProcess | undefined

  constructor(name: string, port: number) {
    this.name = name
    this.port = port
    this.journal = join(folder, `${name}-${port}`)
    writeFileSync(this.journal, "")
  }

  /** Starts it. It listens when this resolves. */
  async start(): Promise<void> {
    const child = fork(program, [String(this.port), this.name, this.journal], {
      execArgv: ["--disable-warning=ExperimentalWarning"]
    })
    this.child = child
    running.add(child)
    child.once("exit", () => running.delete(child))
    const outcome = await Promise.race([once(child, "message"), once(child, "exit")])
    if (outcome[0] !== "ready") throw new Error(`the backend ${this.name} did not start`)
  }

  private async end(signal: NodeJS.Signals): Promise<ReadonlyArray<unknown>> {
    if (this.child === undefined || !running.has(this.child)) return []
    const exit = once(this.child, "exit")
    Signals.send(this.child.pid!, signal, tick)
    return await exit
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    const from = performance.now()
    await this.end("SIGKILL")
    // On a busy machine it is noticed late, which would excuse too much.
    this.ends.push({ from, to: Math.min(performance.now(), from + deathTime) })
  }

  /** SIGTERM, and again from the start as soon as it has exited. */
  async restart(): Promise<void> {
    const [code] = await this.end("SIGTERM")
    if (code !== 0) throw new Error(`the backend ${this.name} ended with ${String(code)} instead of 0`)
    await this.start()
  }

  /** SIGSTOP: the system goes on to accept connections in its name. */
  freeze(): void {
    this.child?.kill("SIGSTOP")
  }

  /** SIGCONT. */
  thaw(): void {
    this.child?.kill("SIGCONT")
  }

  /** Makes it ill, or well again. It is so when this resolves. */
  async fall(illness: Illness | undefined): Promise<void> {
    const done = once(this.child!, "message")
    this.child!.send({ illness })
    await done
  }

  /** All that it has begun to work on, in all its lives. */
  begun(): ReadonlyArray<Begun> {
    return readFileSync(this.journal, "utf8").split("\n").filter((line) => line !== "").map((line) => {
      const [method = "", id = ""] = line.split(" ")
      return { method, id }
    })
  }

  /** How often and when it was killed. */
  get deaths(): ReadonlyArray<Death> {
    return this.ends
  }

  /** Forgets what it has begun and how it died, between two scenarios. Nothing may be in flight. */
  forget(): void {
    writeFileSync(this.journal, "")
    this.ends.length = 0
  }
}

/** How many there are. */
export const count = 3

/** Starts all of them. */
export const startAll = async (): Promise<ReadonlyArray<Backend>> => {
  const backends: Array<Backend> = []
  for (let i = 0; i < count; i++) backends.push(new Backend("abc"[i]!, await lastingPort()))
  await Promise.all(backends.map((backend) => backend.start()))
  return backends
}
