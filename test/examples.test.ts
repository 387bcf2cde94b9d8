/** The examples of the documents, each run as a reader would run it. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { createRequire } from "node:module"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
// These are tests themselves.
import "../docs/examples/strategy-laws.test.ts"
import "../docs/examples/test-under-traffic.test.ts"
import "../docs/examples/test-with-fakes.test.ts"
import * as Configuration from "../src/layers/Configuration.ts"
import { freePort } from "./FreePort.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const tsx = createRequire(import.meta.url).resolve("tsx/cli")

/** Runs an example to its end and gives the lines that it prints. */
const run = async (file: string, variables: NodeJS.ProcessEnv = {}): Promise<Array<string>> => {
  const args = [tsx, `docs/examples/${file}`]
  const options = { cwd: root, env: { ...process.env, ...variables } }
  const { stderr, stdout } = await promisify(execFile)(process.execPath, args, options)
  assert.strictEqual(stderr, "")
  return stdout.trimEnd().split("\n")
}

/** Runs an example that does not end by itself for as long as `use` does. */
const running = async (
  args: ReadonlyArray<string>,
  use: (child: ChildProcessWithoutNullStreams) => Promise<void>
): Promise<void> => {
  const [file, ...others] = args
  const child = spawn(process.execPath, [tsx, `docs/examples/${file}`, ...others], { cwd: root })
  try {
    await use(child)
  } finally {
    const ended = once(child, "exit")
    child.kill("SIGTERM")
    await ended
  }
}

describe.concurrent("the examples", { timeout: 60_000 }, () => {
  it("embed.ts: the balancer takes turns between two backends", async () => {
    assert.deepStrictEqual(await run("embed.ts"), ["200 hello from a", "200 hello from b"])
  })

  it("http-parts.ts: whoever has joined last gets everything", async () => {
    assert.deepStrictEqual(await run("http-parts.ts"), ["hello from a", "hello from b"])
  })

  it("http-checks.ts: only the backend whose data is fresh gets requests", async () => {
    assert.deepStrictEqual(await run("http-checks.ts"), ["{\"isReady\":true,\"lagSeconds\":1}"])
  })

  it("load.ts: the settings of a file, but for what a flag says, and nothing from the environment", async () => {
    assert.deepStrictEqual(await run("load.ts", { PORT: "none", EVENKEEL_TO: "nobody" }), [
      "weighted-round-robin http://10.0.0.1:3000 http://10.0.0.2:3000"
    ])
  })

  it("router.ts: routes of its own, and the rest for the backends", async () => {
    assert.deepStrictEqual(await run("router.ts"), ["204 ", "200 backend: /hello", "200 backend: /users?id=7"])
  })

  it("drain.ts: a backend finishes what it has, stays out, comes back, and another strategy takes over", async () => {
    const lines = await run("drain.ts")
    assert.deepStrictEqual(lines.slice(0, 3), ["answered by a", "a is drained", "answered by b"])
    assert.sameMembers(lines.slice(3), ["answered by a", "answered by b"])
  })

  it("wire.ts: the engine serves a router and reaches a unix socket, without the balancer", async () => {
    assert.deepStrictEqual(await run("wire.ts"), ["hello from /greet/ann?from=%2Fhere", "/status on a socket"])
  })

  it("choose.ts: two queries at once go to two replicas, in an order that is up to chance", async () => {
    const replicas = (await run("choose.ts")).map((line) => /^select \d on (.+)$/.exec(line)?.[1])
    assert.deepStrictEqual(replicas.sort(), ["postgres://db-1:5432", "postgres://db-2:5432"])
  })

  it("custom-strategy.ts: each client keeps its backend", async () => {
    const lines = ["ann -> http://c", "bob -> http://a", "cy -> http://b"]
    assert.deepStrictEqual(await run("custom-strategy.ts"), [...lines, ...lines])
  })

  it("custom-discovery.ts: the pool follows the registry, keeps what it has while that is down, and logs a bad name", async () => {
    const [first, logged, ...others] = await run("custom-discovery.ts")
    assert.strictEqual(first, "http://10.0.0.1")
    assert.match(logged ?? "", /WARN.* registry: expected a URL without a path, .*, got "http:\/\/10\.0\.0 3"$/)
    assert.deepStrictEqual(others, ["http://10.0.0.1 http://10.0.0.2", "http://10.0.0.2"])
  })

  it("custom-log.ts: what has failed is said by the logger of the program, and nothing else", async () => {
    const [logged, ...others] = await run("custom-log.ts")
    assert.match(logged ?? "", /WARN.* RESPONSE: GET \/ <- http:\/\/localhost:1 \[502\] \d+ms connect_failed$/)
    assert.deepStrictEqual(others, [])
  })

  it("serve.ts: listens, and answers", () =>
    running(["serve.ts"], async (child) => {
      for await (const line of createInterface(child.stdout)) {
        const url = /Listening on (http:\S+)/.exec(line)?.[1]
        if (url === undefined) continue
        // Whether there is a backend on these ports is up to the machine.
        assert.isAtLeast((await fetch(url)).status, 200)
        return
      }
      assert.fail("it ended without having listened")
    }))

  it("backend.ts: says which port it is on", async () => {
    const port = await freePort("localhost")
    await running(["backend.ts", String(port)], async (child) => {
      while (child.exitCode === null) {
        const response = await fetch(`http://localhost:${port}`).catch(() => undefined)
        if (response !== undefined) return assert.strictEqual(await response.text(), `Hello from ${port}\n`)
        // It says nothing when it begins to listen.
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      assert.fail("it ended without having listened")
    })
  })

  it.effect("evenkeel.yaml: is a configuration", () =>
    Effect.gen(function*() {
      const { settings, warnings } = yield* Configuration.load({ config: [`${root}docs/examples/evenkeel.yaml`] })
      assert.deepStrictEqual([settings.strategy, settings.to.length, warnings], ["weighted-round-robin", 2, []])
    }).pipe(
      Effect.provide(NodeFileSystem.layer),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({}))
    ))

  it("are all run", () => {
    assert.deepStrictEqual(readdirSync(`${root}docs/examples`).sort(), [
      "backend.ts",
      "choose.ts",
      "custom-discovery.ts",
      "custom-log.ts",
      "custom-strategy.ts",
      "drain.ts",
      "embed.ts",
      "evenkeel.yaml",
      "http-checks.ts",
      "http-parts.ts",
      "load.ts",
      "router.ts",
      "serve.ts",
      "strategy-laws.test.ts",
      "test-under-traffic.test.ts",
      "test-with-fakes.test.ts",
      "wire.ts"
    ])
  })
})
