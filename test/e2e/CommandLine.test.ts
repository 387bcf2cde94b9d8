/**
 * The program as a user starts it. What it prints for every mistake is tested in test/layers/cli, without a process.
 */
import { afterEach, assert, describe, it } from "@effect/vitest"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expectedStrategies } from "../golden/Golden.ts"
import { Program, type Wishes } from "./support/Program.ts"

const cleanups: Array<() => unknown> = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const start = (args: ReadonlyArray<string>, wishes?: Wishes): Program => {
  const program = new Program(args, wishes)
  cleanups.push(() => program.dispose())
  return program
}

/** Listens on a free port of the loopback. */
const listen = async (handler: Http.RequestListener): Promise<number> => {
  const server = Http.createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  cleanups.push(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  if (typeof address !== "object" || address === null) throw new Error("it does not listen on a port")
  return address.port
}

interface Answer {
  readonly status: number | undefined
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

/** One request, over a connection that the client would keep. */
const get = (port: number, path = "/", headers: Http.OutgoingHttpHeaders = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const agent = new Http.Agent({ keepAlive: true })
    cleanups.push(() => agent.destroy())
    Http.get({ host: "127.0.0.1", port, path, headers, agent }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text
      }).on("error", reject).on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }))
    }).on("error", reject)
  })

/**
 * A backend that answers at once, but to `/held` only when it is released. `held` resolves when it is asked for that.
 */
const backend = async () => {
  let release = (): void => {}
  let arrived = (): void => {}
  const held = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const port = await listen((request, response) => {
    if (request.url !== "/held") return response.end("hello")
    release = () => response.end("released")
    arrived()
  })
  return { url: `http://127.0.0.1:${port}`, held, release: () => release() }
}

describe("the program", () => {
  it("says where it listens, for which backends, and that it checks them, before it says how they are", async () => {
    const program = start(["--access-log", "pretty"], { variables: { PORT: "0" } })
    await program.line(/^HEALTH: /)
    assert.match(program.out[0]!, /^INFO: Load balancer running on port \d+ \(started in \d+ ms\)$/)
    assert.deepStrictEqual(program.out.slice(1, 3), [
      "INFO: Backend servers: http://localhost:3001, http://localhost:3002, http://localhost:3003",
      "INFO: Health checker started (checking every 5s)"
    ])
    assert.deepStrictEqual(program.err, [])
  })

  it("listens on PORT, and logs JSON when nobody watches", async () => {
    const { url } = await backend()
    const free = await listen(() => {})
    await cleanups.pop()?.()
    const program = start(["--to", url], { variables: { PORT: String(free) } })
    assert.strictEqual(await program.port(), free)
    assert.strictEqual((await get(free, "/a?secret")).body, "hello")
    await program.line(/"message":"response"/)
    const entries: ReadonlyArray<Record<string, unknown>> = program.out.map((line) => JSON.parse(line))
    assert.includeMembers(entries.map(({ message }) => message), [
      `Backend servers: ${url}`,
      "health",
      "response"
    ])
    assert.deepInclude(entries.find(({ message }) => message === "response"), {
      "level": "INFO",
      "http.request.method": "GET",
      "url.path": "/a",
      "http.response.status_code": 200,
      "lb.backend": url
    })
  })

  it("says nothing of requests with --access-log off", async () => {
    const { url } = await backend()
    const program = start(["serve", "--listen", "127.0.0.1:0", "--to", url, "--access-log", "off"])
    assert.strictEqual((await get(await program.port())).status, 200)
    program.kill("SIGTERM")
    assert.strictEqual(await program.ended(), 0)
    assert.deepStrictEqual(program.out.filter((line) => line.includes("GET")), [])
  })

  it("does what its settings say, wherever they come from", async () => {
    const asked: Array<string> = []
    const port = await listen(({ headers, url }, response) => {
      asked.push(`${url} ${headers.host} ${headers["x-forwarded-for"] ?? "-"}`)
      if (url !== "/never") response.end("hello")
    })
    const folder = mkdtempSync(join(tmpdir(), "evenkeel-"))
    cleanups.push(() => rmSync(folder, { recursive: true }))
    const file = join(folder, "evenkeel.yaml")
    writeFileSync(
      file,
      `to:\n  - { url: "http://127.0.0.1:${port}", weight: 2 }\nstrategy: round-robin\nhealth: { path: /nowhere }\ntimeout: { response: 300ms }\n`
    )
    const program = start([
      "--config",
      file,
      "--health-path",
      "/up",
      "--host-header",
      "backend",
      "--access-log",
      "pretty"
    ], {
      variables: { EVENKEEL_LISTEN: "127.0.0.1:0", EVENKEEL_TRUSTED_PROXIES: "127.0.0.0/8", EVENKEEL_COLOUR: "red" }
    })
    const balancer = await program.port()
    await program.line(/^HEALTH: HEALTHY/)
    assert.strictEqual((await get(balancer, "/a", { "x-forwarded-for": "192.0.2.1" })).status, 200)
    assert.strictEqual((await get(balancer, "/never")).status, 504)
    assert.deepStrictEqual(asked.slice(0, 2), [
      `/up 127.0.0.1:${port} -`,
      `/a 127.0.0.1:${port} 192.0.2.1, 127.0.0.1`
    ])
    assert.includeMembers(program.out, [
      "WARN: EVENKEEL_COLOUR: unknown environment variable, ignored"
    ])
  })
})

describe("the end of the program", () => {
  const args = (url: string) => ["--listen", "127.0.0.1:0", "--to", url, "--access-log", "pretty"]

  it.each(["SIGTERM", "SIGINT"] as const)("waits on %s for what is in flight, and no longer", async (signal) => {
    const { held, release, url } = await backend()
    const program = start(args(url))
    const port = await program.port()
    // A client that stays connected must not be waited for.
    await get(port)
    const answer = get(port, "/held")
    await held
    program.kill(signal)
    await program.line(/^INFO: Shutting down: waiting for 1 request in flight, 30s at most$/)
    const refused = await get(port).then(() => "accepted", (error: NodeJS.ErrnoException) => error.code)
    assert.strictEqual(refused, "ECONNREFUSED")
    release()
    const { body, headers, status } = await answer
    assert.deepStrictEqual([status, body, headers.connection], [200, "released", "close"])
    assert.strictEqual(await program.ended(), 0)
    assert.strictEqual(program.out.at(-1), "INFO: Stopped")
    assert.match(program.out.at(-2)!, /^RESPONSE: GET \/held <- .* \[200\]/)
  })

  it("waits no longer than it was told to", async () => {
    const { held, url } = await backend()
    const program = start([...args(url), "--timeout-shutdown", "200ms"])
    const answer = get(await program.port(), "/held").then(({ status }) => status, () => "cut")
    await held
    program.kill("SIGTERM")
    assert.strictEqual(await program.ended(), 0)
    assert.include([503, "cut"], await answer)
    assert.strictEqual(program.out.at(-1), "INFO: Stopped")
  })

  it("comes at once with a second signal", async () => {
    const { held, url } = await backend()
    const program = start(args(url))
    const answer = get(await program.port(), "/held").then(({ status }) => status, () => "cut")
    await held
    program.kill("SIGTERM")
    await program.line(/^INFO: Shutting down/)
    // The same signal again within a moment counts as an echo of the first.
    const again = setInterval(() => program.kill("SIGTERM"), 50)
    cleanups.push(() => clearInterval(again))
    assert.strictEqual(await program.ended(), 143)
    assert.strictEqual(await answer, "cut")
  })
})

describe("a program that cannot run says why in a line", () => {
  it("when its port is taken", async () => {
    const port = await listen(() => {})
    const program = start(["--listen", `127.0.0.1:${port}`])
    assert.strictEqual(await program.ended(), 1)
    assert.deepStrictEqual(program.err, [
      `error: port ${port} is already in use; choose another one with --listen`
    ])
    assert.deepStrictEqual(program.out, [])
  })

  it("when a port of the demo is taken", async () => {
    const taken = Http.createServer()
    // By somebody else, if not by us.
    await new Promise<void>((resolve) => taken.on("error", () => resolve()).listen(3002, "localhost", resolve))
    cleanups.push(() => taken.close())
    const program = start(["demo", "--listen", "127.0.0.1:0"])
    assert.strictEqual(await program.ended(), 1)
    assert.match(
      program.err.join("\n"),
      /^error: port 300([123]) is already in use; the demo needs it for backend \1$/
    )
    assert.deepStrictEqual(program.out, [])
  })

  it("when settings are wrong, one line for each", async () => {
    const program = start(["--health-interval", "abc", "--strategy=random", "--config", "no/such.yaml"], {
      variables: { EVENKEEL_STRATEGY: "rond-robin" }
    })
    assert.strictEqual(await program.ended(), 2)
    assert.deepStrictEqual(program.err, [
      "error: --health-interval: expected a duration such as 5s or 500ms, got \"abc\"",
      `error: EVENKEEL_STRATEGY: expected ${expectedStrategies}, got "rond-robin" (did you mean "round-robin"?)`,
      "error: no/such.yaml: there is no such file (named by --config)"
    ])
    assert.deepStrictEqual(program.out, [])
  })

  it("when a flag is wrong", async () => {
    const program = start(["--helth-path", "/up"])
    assert.strictEqual(await program.ended(), 2)
    assert.deepStrictEqual(program.err, [
      "error: unknown flag --helth-path (did you mean \"--health-path\"?)",
      "Run \"evenkeel --help\" for all flags."
    ])
    assert.deepStrictEqual(program.out, [])
  })

  it("when Node.js is too old, before it loads anything that could fail there", async () => {
    const pretend = "Object.defineProperty(process, 'version', { value: 'v20.20.2' }); " +
      "const { registerHooks } = process.getBuiltinModule('node:module'); registerHooks({ resolve: (name, context, next) => " +
      "{ if (name.startsWith('effect')) throw new Error(name); return next(name, context) } })"
    const program = start([], { nodeOptions: ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`] })
    assert.strictEqual(await program.ended(), 1)
    assert.deepStrictEqual(program.err, ["evenkeel needs Node.js 22.19 or newer; this is v20.20.2"])
    assert.deepStrictEqual(program.out, [])
  })
})
