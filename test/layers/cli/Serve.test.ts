import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as AccessLogLayer from "../../../src/layers/AccessLog.ts"
import { CommandFailed } from "../../../src/layers/cli/CommandFailed.ts"
import * as EffectLog from "../../../src/layers/cli/EffectLog.ts"
import * as ListenError from "../../../src/layers/cli/ListenError.ts"
import { type Companions, serve } from "../../../src/layers/cli/Serve.ts"
import * as Configuration from "../../../src/layers/Configuration.ts"
import type { StrategyName } from "../../../src/layers/strategies/index.ts"
import type { Entry } from "../../../src/services/AccessLog.ts"
import type { Input } from "../../../src/services/Configuration.ts"

const nobody: Companions = { layer: Layer.empty, lines: () => [] }

/** Serves on a free port of the loopback, for a backend that is not there. `log` is told each line of the log. */
const serving = (log: (line: string) => void, input: Input<StrategyName>, companions: Companions = nobody) => {
  const stdout = () =>
    Sink.forEach((text: string | Uint8Array) => Effect.sync(() => String(text).trimEnd().split("\n").forEach(log)))
  const { settings, warnings } = Result.getOrThrow(Configuration.check({
    listen: "127.0.0.1:0",
    accessLog: "pretty",
    to: ["http://127.0.0.1:1"],
    ...input
  }))
  return serve({ settings, warnings: ["Something is odd", ...warnings] }, companions).pipe(
    Effect.provide(Stdio.layerTest({ stdout }))
  )
}

/** What is logged by a load balancer that is stopped after its first health check. */
const logOf = Effect.fnUntraced(function*(input: Input<StrategyName>, companions?: Companions) {
  const lines: Array<string> = []
  const checked = yield* Deferred.make<void>()
  const log = (line: string) => {
    lines.push(line)
    if (line.startsWith("HEALTH:")) Deferred.doneUnsafe(checked, Effect.void)
  }
  const fiber = yield* Effect.forkChild(serving(log, input, companions))
  yield* Deferred.await(checked)
  yield* Fiber.interrupt(fiber)
  return lines
})

describe("the log of a load balancer", () => {
  it.live("begins with where it listens and what for, then warnings, and ends with the end", () =>
    Effect.gen(function*() {
      const [first = "", ...others] = yield* logOf({ health: { interval: "500ms" } }, {
        ...nobody,
        lines: (port) => [`Something more about ${port}`]
      })
      const port = /^INFO: Load balancer running on port (\d+) of 127\.0\.0\.1 \(started in \d+ ms\)$/.exec(first)?.[1]
      assert.isDefined(port)
      assert.deepStrictEqual(others, [
        "INFO: Backend servers: http://127.0.0.1:1",
        "INFO: Health checker started (checking every 500ms)",
        `INFO: Something more about ${port}`,
        "WARN: Something is odd",
        "HEALTH: UNHEALTHY http://127.0.0.1:1 - Connection refused",
        "WARN: No backend is offered traffic: requests are answered 503",
        "INFO: Shutting down: nothing is in flight",
        "INFO: Stopped"
      ])
    }))
})

describe("limits", () => {
  const warnings = (lines: ReadonlyArray<string>) => lines.filter((line) => line.includes("no effect"))
  const to = ["http://127.0.0.1:1"]

  it.live("are worth a warning with an engine that does not keep them", () =>
    Effect.gen(function*() {
      const lines = yield* logOf({
        to,
        engine: "node",
        limit: { body: "1MiB", head: "8KiB", target: 500 }
      })
      assert.deepStrictEqual(warnings(lines), [
        "WARN: limit.target has no effect with engine node",
        "WARN: limit.body has no effect with engine node"
      ])
    }))

  it.live("are kept by the engine that there is unless told otherwise", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(warnings(yield* logOf({ to, limit: { body: "1MiB" } })), [])
    }))
})

describe("checks", () => {
  const to = ["http://127.0.0.1:1"]
  const about = (lines: ReadonlyArray<string>) => lines.filter((line) => /health\.|Health checker/.test(line))

  it.live("that look for a text where there is none are worth a warning", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(about(yield* logOf({ to, health: { method: "HEAD", body: "ok" } })), [
        "INFO: Health checker started (checking every 5s)",
        "WARN: health.body cannot be found: there is no body in the answer to HEAD"
      ])
      const started = ["INFO: Health checker started (checking every 5s)"]
      for (const health of [{ method: "HEAD" }, { body: "ok" }]) {
        assert.deepStrictEqual(about(yield* logOf({ to, health })), started)
      }
      const byConnecting = yield* logOf({ to, health: { kind: "tcp", method: "HEAD", body: "ok" } })
      assert.notInclude(byConnecting.join(), "cannot be found")
    }))

  it.live("elsewhere than on a unix socket need a port, or a warning says that they are made there", () =>
    Effect.gen(function*() {
      const started = "INFO: Health checker started (checking every 5s)"
      const sockets = ["unix:/run/a.sock", ...to, "unix:/run/b.sock"]
      assert.deepStrictEqual(about(yield* logOf({ to: sockets, health: { address: "10.0.0.1" } })), [
        started,
        "WARN: health.address has no effect on unix:/run/a.sock, unix:/run/b.sock without health.port"
      ])
      assert.deepStrictEqual(about(yield* logOf({ to: sockets, health: { address: "10.0.0.1", port: 9 } })), [started])
      assert.deepStrictEqual(about(yield* logOf({ to, health: { address: "10.0.0.1" } })), [started])
    }))

  it.live("that are off are said to be off", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const announced = yield* Deferred.make<void>()
      const log = (line: string) => {
        lines.push(line)
        if (line === "INFO: Health checker is off") Deferred.doneUnsafe(announced, Effect.void)
      }
      const fiber = yield* Effect.forkChild(serving(log, { to, health: { kind: "off" } }))
      yield* Deferred.await(announced)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(about(lines), ["INFO: Health checker is off"])
    }))
})

describe("sticky sessions", () => {
  const key = "correct-horse-battery"
  const about = (lines: ReadonlyArray<string>) => lines.filter((line) => line.includes("sticky"))

  it.live("without a key are worth a warning", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(about(yield* logOf({ sticky: { cookie: "lb" } })), [
        "WARN: Without sticky.keys, a restart forgets who is pinned to which backend, and other balancers do not know"
      ])
    }))

  it.live("with a cookie that browsers refuse are worth a warning", () =>
    Effect.gen(function*() {
      const sticky = { cookie: "__Host-lb", keys: [key], path: "/shop" }
      assert.deepStrictEqual(about(yield* logOf({ sticky })), [
        "WARN: Browsers refuse the cookie __Host-lb unless sticky.path is /"
      ])
      assert.deepStrictEqual(about(yield* logOf({ sticky: { ...sticky, path: "/" } })), [])
      assert.deepStrictEqual(about(yield* logOf({ sticky: { ...sticky, cookie: "lb" } })), [])
    }))

  it.live("do not have their key in the log", () =>
    Effect.gen(function*() {
      const lines = yield* logOf({ sticky: { cookie: "lb", keys: [key] } })
      assert.deepStrictEqual(about(lines), [])
      assert.notInclude(lines.join(), key)
    }))
})

describe("weights", () => {
  const to = ["http://127.0.0.1:1,weight=3", "http://127.0.0.1:2"]
  const warnings = (lines: ReadonlyArray<string>) => lines.filter((line) => line.includes("ignores weights"))

  it.live.each(["round-robin", "random"] as const)(
    "are worth a warning with a strategy that ignores them: %s",
    (strategy) =>
      Effect.gen(function*() {
        const lines = yield* logOf({ to, strategy })
        assert.include(lines, "INFO: Backend servers: http://127.0.0.1:1 (weight 3), http://127.0.0.1:2")
        const [warning = "", ...more] = warnings(lines)
        assert.deepStrictEqual(more, [])
        const [said, named = ""] = warning.split("; these honour them: ")
        assert.strictEqual(said, `WARN: The strategy ${strategy} ignores weights`)
        assert.includeMembers(named.split(", "), ["weighted-round-robin", "least-requests", "peak-ewma", "maglev"])
        assert.notInclude(named.split(", "), strategy)
      })
  )

  it.live.each(["weighted-round-robin", "least-requests"] as const)(
    "are welcome to %s",
    (strategy) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(warnings(yield* logOf({ to, strategy })), [])
      })
  )

  it.live("are no matter when all are 1", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(warnings(yield* logOf({ strategy: "random" })), [])
    }))
})

describe("tiers and zones", () => {
  const warnings = (lines: ReadonlyArray<string>) =>
    lines.filter((line) => /^WARN: (?:No backend is in|subset|Zones)/.test(line))
  const to = ["http://127.0.0.1:1,zone=a,weight=2", "http://127.0.0.1:2,backup", "http://127.0.0.1:3,tier=2,zone=b"]

  it.live("are announced, and a zone without a backend is worth a warning", () =>
    Effect.gen(function*() {
      const lines = yield* logOf({ to, zone: "c" })
      assert.include(
        lines,
        "INFO: Backend servers: http://127.0.0.1:1 (weight 2, zone a), http://127.0.0.1:2 (backup), " +
          "http://127.0.0.1:3 (zone b, tier 2)"
      )
      assert.deepStrictEqual(warnings(lines), ["WARN: No backend is in the zone c"])
      assert.deepStrictEqual(warnings(yield* logOf({ to })), ["WARN: Zones of backends have no effect without zone"])
    }))

  it.live("are a subset by an id, and without one of its own that is worth a warning", () =>
    Effect.gen(function*() {
      const warning =
        "WARN: subset.id is evenkeel, as for every balancer without one of its own: all of these use the same backends"
      assert.deepStrictEqual(warnings(yield* logOf({ to, zone: "b", subset: { size: 2 } })), [warning])
      assert.deepStrictEqual(warnings(yield* logOf({ to, zone: "b", subset: { size: 2, id: "balancer-7" } })), [])
    }))

  it.live.each([[undefined, ["http://127.0.0.1:1"]], ["a", to]] as const)(
    "are fine otherwise: %s",
    ([zone, to]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(warnings(yield* logOf({ to, ...(zone === undefined ? {} : { zone }) })), [])
      })
  )
})

describe("a key to hash", () => {
  const warnings = (lines: ReadonlyArray<string>) => lines.filter((line) => line.startsWith("WARN: hash.key"))

  it.live("is worth a warning with a strategy that hashes nothing", () =>
    Effect.gen(function*() {
      const [warning = "", ...more] = warnings(yield* logOf({ strategy: "random", hash: { key: "path" } }))
      assert.deepStrictEqual(more, [])
      const [said, named = ""] = warning.split("; these hash it: ")
      assert.strictEqual(said, "WARN: hash.key has no effect with the strategy random")
      assert.includeMembers(named.split(", "), ["ring-hash", "maglev", "rendezvous"])
      assert.notInclude(named.split(", "), "random")
    }))

  it.live("is welcome to a strategy that hashes", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(warnings(yield* logOf({ strategy: "maglev", hash: { key: "path" } })), [])
    }))
})

describe("what keeps a load balancer from running", () => {
  it.live("is said in words where it was foreseen, and not in the log", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const log = (line: string) => void lines.push(line)
      const failure = CommandFailed.make({ lines: ["no backends today"], exitCode: 1 })
      const layer = Layer.effectDiscard(failure)
      assert.deepStrictEqual(yield* Effect.flip(serving(log, {}, { ...nobody, layer })), failure)
      assert.deepStrictEqual(lines, [])
    }))

  it.live("is in the log with its stack, on one line, where it was not", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const log = (line: string) => void lines.push(line)
      const layer = Layer.effectDiscard(Effect.die(new Error("a bug")))
      const failure = yield* Effect.flip(serving(log, {}, { ...nobody, layer }))
      assert.deepStrictEqual([failure.exitCode, failure.lines], [1, []])
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^ERROR: The load balancer had to stop: Error: a bug \| at .*Serve\.test\.ts/)
    }))
})

describe("what is logged through Effect", () => {
  it.effect("is in our log, each entry on one line, with its level and cause", () => {
    const entries: Array<Entry> = []
    const log = EffectLog.layer.pipe(Layer.provide(AccessLogLayer.layerMemory(entries)))
    return Effect.gen(function*() {
      yield* Effect.logInfo("all is well")
      yield* Effect.logWarning("strange", { n: 1 })
      yield* Effect.logError("two\n  lines")
      yield* Effect.logFatal("the end", "of it")
      const said = entries.map((entry) => entry._tag === "Notice" ? `${entry.level} ${entry.message}` : entry._tag)
      assert.deepStrictEqual(said, [
        "INFO all is well",
        "WARN strange: {\"n\":1}",
        "ERROR two | lines",
        "ERROR the end: of it"
      ])
    }).pipe(Effect.provide(log))
  })
})

describe("an address that cannot be listened on", () => {
  const because = (code: string, host: string | undefined, port: number): string => {
    const error = new ServeError({ cause: Object.assign(new Error("the cause"), { code }) })
    const { exitCode, lines } = ListenError.toFailure({ host, port }, error, "do this")
    assert.strictEqual(exitCode, 1)
    return lines.join("\n")
  }

  it("is said with its cause in words", () => {
    assert.strictEqual(because("EADDRINUSE", undefined, 3000), "port 3000 is already in use; do this")
    assert.strictEqual(
      because("EACCES", undefined, 80),
      "no permission to listen on port 80, as ports below 1024 need a privilege; do this"
    )
    assert.strictEqual(because("EACCES", undefined, 8080), "no permission to listen on port 8080; do this")
    assert.strictEqual(because("EADDRNOTAVAIL", "10.9.9.9", 80), "10.9.9.9 is no address of this machine; do this")
    assert.strictEqual(because("ENOTFOUND", "nowhere", 80), "the host \"nowhere\" to listen on is not known; do this")
    assert.strictEqual(because("EWHATEVER", undefined, 80), "cannot listen on port 80: the cause; do this")
  })
})
