/** Evenkeel itself, the program: each of its engines without an access log, and what the log adds. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Candidate } from "./Candidate.ts"
import { node } from "./Node.ts"

const root = new URL("../../../", import.meta.url)
const { version } = JSON.parse(readFileSync(new URL("package.json", root), "utf8"))

const engine = (name: string, flags: ReadonlyArray<string>): Candidate => ({
  name,
  onNode: true,
  version: () => version,
  command: ({ backendPort, port }) =>
    node(
      fileURLToPath(new URL("src/main.ts", root)),
      `--listen=127.0.0.1:${port}`,
      `--to=http://127.0.0.1:${backendPort}`,
      ...flags
    )
})

export const engines: ReadonlyArray<Candidate> = [
  engine("wire", ["--access-log=off"]),
  engine("wire+log", ["--access-log=json"]),
  engine("node", ["--engine=node", "--access-log=off"])
]
