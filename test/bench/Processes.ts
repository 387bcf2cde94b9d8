/**
 * The processes of the bench: on which core they run, what they have used, and that none of them is
 * left behind. Linux only.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A program and what it is started with. */
export interface Command {
  readonly file: string
  readonly args: ReadonlyArray<string>
}

/** For the configuration files of one run, and whatever else a program wants to write. */
export const folder = mkdtempSync(join(tmpdir(), "evenkeel-bench-"))

/** Where an ordinary user's PATH does not lead, Debian has its servers. */
const env = { PATH: `${process.env["PATH"]}:/usr/sbin:/usr/local/sbin`, HOME: folder }

/** What a command prints, on either stream; nothing if there is no such command. */
export const outputOf = (file: string, ...args: ReadonlyArray<string>): string => {
  const { stderr, stdout } = spawnSync(file, args, { env, encoding: "utf8" })
  return `${stdout ?? ""}${stderr ?? ""}`
}

// -----------------------------------------------------------------------------
// Cores
// -----------------------------------------------------------------------------

/** The cores that this process may use, from a list such as `0-3,6`. */
const cores = (): ReadonlyArray<number> => {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? ""
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}

const [proxyCore, otherCore] = cores()
const isPinned = otherCore !== undefined && outputOf("taskset", "--version") !== ""

/**
 * Puts this process, and the children that it starts without a core of their own, on the second core.
 * Says what came of it.
 */
export const pin = (): string => {
  if (!isPinned) return "nothing is pinned: that needs two cores and taskset"
  outputOf("taskset", "-a", "-c", "-p", String(otherCore), String(process.pid))
  return `the proxy has core ${proxyCore}, load and backend have core ${otherCore}`
}

/** The command on the proxy's core. */
export const onProxyCore = ({ args, file }: Command): Command =>
  isPinned ? { file: "taskset", args: ["-c", String(proxyCore), file, ...args] } : { file, args }

// -----------------------------------------------------------------------------
// Lives
// -----------------------------------------------------------------------------

const running = new Set<ChildProcess>()

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})
for (const [signal, code] of Object.entries({ SIGHUP: 129, SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => process.exit(code))
}

/** A program that runs. */
export interface Program {
  readonly pid: number
  readonly stop: () => Promise<void>
}

const startLimit = 10_000

/**
 * The writing end of a pipe that `cat` reads, as in a shell. Node would read by itself, on a core that is busy, and
 * gives its children sockets for pipes, which cost more to write to.
 */
const pipeToNowhere = (): number => {
  const fifo = join(folder, "output")
  rmSync(fifo, { force: true })
  const problem = outputOf("mkfifo", fifo)
  if (problem !== "") throw new Error(problem)
  spawn("cat", [fifo], { env, stdio: "ignore" })
  return openSync(fifo, "w")
}

const answersAt = async (port: number): Promise<boolean> => {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/tiny`, { signal: AbortSignal.timeout(1_000) })
    await response.arrayBuffer()
    return response.status === 200
  } catch {
    return false
  }
}

/** Starts a program and waits until it answers at this port. */
export const start = async ({ args, file }: Command, port: number): Promise<Program> => {
  const stdout = pipeToNowhere()
  const child = spawn(file, args, { env, cwd: folder, stdio: ["ignore", stdout, "pipe"] })
  closeSync(stdout)
  let output = ""
  child.stderr?.setEncoding("utf8").on("data", (text: string) => output = (output + text).slice(-1_000))
  running.add(child)
  const ended = new Promise<void>((resolve) => {
    child.once("error", () => resolve())
    child.once("close", () => resolve())
  })
  void ended.then(() => running.delete(child))
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL")
    await ended
  }
  const deadline = performance.now() + startLimit
  while (!(await answersAt(port))) {
    if (!running.has(child) || performance.now() > deadline) {
      await stop()
      throw new Error(`it did not start: ${output.trim().split("\n").at(-1) || "it printed nothing"}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { pid: child.pid!, stop }
}

// -----------------------------------------------------------------------------
// Use
// -----------------------------------------------------------------------------

/** Linux counts in ticks, of which user space sees a hundred in a second on every architecture that Node.js runs on. */
const microsecondsPerTick = 10_000

/** The CPU time that all threads of a process have used, user and system, in microseconds. */
export const cpuTime = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * microsecondsPerTick
}

/** Resident memory, in bytes. */
export const memory = (pid: number): number =>
  Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) * 1024
