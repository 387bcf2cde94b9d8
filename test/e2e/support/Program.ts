/** The real program as a process of its own, with its output line by line. It is killed after the test. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Waiting } from "./Waiting.ts"

const root = fileURLToPath(new URL("../../..", import.meta.url))

/** How it ended: an exit code, or the signal that killed it. */
export type End = number | NodeJS.Signals

/** What a test may want otherwise. */
export interface Wishes {
  readonly variables?: Readonly<Record<string, string>>
  /** For Node.js itself. */
  readonly nodeOptions?: ReadonlyArray<string>
}

export class Program {
  readonly out: Array<string> = []
  readonly err: Array<string> = []
  private readonly child: ChildProcess
  private readonly waiting = new Waiting()
  private end: End | undefined

  constructor(args: ReadonlyArray<string>, { nodeOptions = [], variables = {} }: Wishes = {}) {
    // Node.js 22 says of the types that it strips that this is an experiment.
    const options = ["--disable-warning=ExperimentalWarning", ...nodeOptions]
    this.child = spawn(process.execPath, [...options, "src/main.ts", ...args], {
      cwd: root,
      // Nothing of the environment of the tests, such as a PORT, may reach it.
      env: { PATH: process.env["PATH"], ...variables },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.collect(this.child.stdout, this.out)
    this.collect(this.child.stderr, this.err)
    this.child.on("close", (code, signal) => {
      this.end = code ?? signal ?? 0
      this.waiting.wake()
    })
  }

  private collect(stream: NodeJS.ReadableStream | null, lines: Array<string>): void {
    let rest = ""
    stream?.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n")
      rest = parts.pop() ?? ""
      lines.push(...parts)
      this.waiting.wake()
    })
  }

  /** The id of the process. */
  get pid(): number {
    return this.child.pid ?? 0
  }

  private report(): string {
    return `it said ${JSON.stringify({ out: this.out, err: this.err, end: this.end })}`
  }

  /** The first line of standard output that matches, as soon as it is there. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    const find = () => this.out.map((line) => pattern.exec(line)).find((match) => match !== null)
    await this.waiting.until(() => find() !== undefined || this.end !== undefined, String(pattern), () => this.report())
    const match = find()
    if (match === undefined) throw new Error(`it ended without ${pattern}; ${this.report()}`)
    return match
  }

  /** The port that it listens on. */
  async port(): Promise<number> {
    return Number((await this.line(/Load balancer running on port (\d+)/))[1])
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** How it ends. */
  async ended(): Promise<End> {
    await this.waiting.until(() => this.end !== undefined, "the end", () => this.report())
    return this.end!
  }

  async dispose(): Promise<void> {
    if (this.end === undefined) this.kill("SIGKILL")
    await this.ended()
  }
}
