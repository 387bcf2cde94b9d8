/**
 * The story of docs/getting-started.md, with the processes of a reader: three backends, one that
 * dies and returns, none.
 */
import { afterEach, assert, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { freePort } from "../FreePort.ts"
import { Program } from "./support/Program.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

const cleanups: Array<() => unknown> = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const startBackend = (port: number): ChildProcess => {
  const child = spawn(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    "docs/examples/backend.ts",
    `${port}`
  ], {
    cwd: root,
    stdio: "ignore"
  })
  cleanups.push(() => child.kill("SIGKILL"))
  return child
}

it(
  "three backends take turns, one dies and is not missed, it returns, and without any the answer is a 503",
  async () => {
    // As a reader picks them.
    const ports = [await freePort("localhost"), await freePort("localhost"), await freePort("localhost")]
    const backends = ports.map(startBackend)
    const balancer = new Program([
      "--listen",
      "localhost:0",
      "--access-log",
      "pretty",
      // As without any --to.
      "--strategy",
      "round-robin",
      ...ports.flatMap((port) => ["--to", `http://localhost:${port}`])
    ])
    cleanups.push(() => balancer.dispose())
    const url = `http://localhost:${await balancer.port()}/`
    const ask = async () => (await fetch(url)).text()
    const askThree = async () => [await ask(), await ask(), await ask()].map((text) => Number(/\d+/.exec(text)?.[0]))
    const healthLine = (word: string, port: number) => `HEALTH: ${word} http://localhost:${port}`
    const count = (text: string) => balancer.out.filter((line) => line.startsWith(text)).length

    for (const port of ports) await balancer.line(new RegExp(`HEALTH: HEALTHY http://localhost:${port} - status: 200`))
    assert.deepStrictEqual((await askThree()).toSorted(), ports.toSorted())

    const [, second] = ports
    backends[1]!.kill("SIGKILL")
    while (count(healthLine("UNHEALTHY", second!)) === 0) assert.match(await ask(), /^Hello from /)
    assert.match(
      balancer.out.find((line) => line.startsWith(healthLine("UNHEALTHY", second!)))!,
      / - Connection (refused|reset|closed)$/
    )
    assert.notInclude(await askThree(), second)

    const before = count(healthLine("HEALTHY", second!))
    startBackend(second!)
    while (count(healthLine("HEALTHY", second!)) === before) assert.match(await ask(), /^Hello from /)
    assert.deepStrictEqual((await askThree()).toSorted(), ports.toSorted())

    for (const cleanup of cleanups.filter((_, i) => i !== backends.length)) await cleanup()
    for (const port of ports) {
      const gone = count(healthLine("UNHEALTHY", port))
      if (gone === 0) await balancer.line(new RegExp(`UNHEALTHY http://localhost:${port}`))
    }
    while ((await fetch(url)).status !== 503) assert.strictEqual(balancer.err.length, 0)
    const last = await fetch(url)
    assert.strictEqual(last.headers.get("retry-after"), "2")
    assert.strictEqual(await last.text(), "503 Service Unavailable\nNo backend is available.\nreason: no_backend\n")

    balancer.kill("SIGTERM")
    assert.strictEqual(await balancer.ended(), 0)
    assert.deepStrictEqual(balancer.err, [])
  },
  60_000
)
