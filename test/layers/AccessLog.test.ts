import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PlatformError from "effect/PlatformError"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLogLayer from "../../src/layers/AccessLog.ts"
import { AccessLog, type Entry } from "../../src/services/AccessLog.ts"

const notice: Entry = { _tag: "Notice", level: "INFO", message: "hello" }
const sent: Entry = { _tag: "Sent", method: "GET", path: "/", backend: "http://localhost:3001" }
const completed: Entry = {
  _tag: "Completed",
  method: "GET",
  path: "/",
  backend: "http://localhost:3001",
  client: "127.0.0.1",
  status: 200,
  durationMs: 12.34,
  tries: 1,
  reason: undefined
}
const healthy: Entry = {
  _tag: "HealthChanged",
  backend: "http://localhost:3001",
  status: "Up",
  why: "status: 200"
}
const numbered = (i: number): Entry => ({ _tag: "Notice", level: "INFO", message: `line ${i}` })

/** Standard output that keeps what is written to it, each write by itself. */
const output = (writes: Array<string>, isTerminal = false): Layer.Layer<Stdio.Stdio> =>
  Stdio.layerTest({
    stdoutIsTerminal: Effect.succeed(isTerminal),
    stdout: () => Sink.forEach((chunk) => Effect.sync(() => writes.push(String(chunk))))
  })

const linesOf = (writes: ReadonlyArray<string>): ReadonlyArray<string> => writes.join("").split("\n").slice(0, -1)

/** Logs through a layer that is closed at the end, so that all is flushed. */
const logged = (
  stdio: Layer.Layer<Stdio.Stdio>,
  format: AccessLogLayer.Format | undefined,
  write: (write: AccessLog["Service"]["write"]) => void
) =>
  Effect.flatMap(AccessLog, (log) => Effect.sync(() => write(log.write))).pipe(
    Effect.provide(AccessLogLayer.layer(format).pipe(Layer.provide(stdio)))
  )

const all = [notice, healthy, sent, completed]

describe("the format", () => {
  const firstLine = (format: AccessLogLayer.Format | undefined, isTerminal: boolean) =>
    Effect.gen(function*() {
      const writes: Array<string> = []
      yield* logged(output(writes, isTerminal), format, (write) => write(notice))
      return linesOf(writes)[0]
    })

  const asJson = `{"timestamp":"1970-01-01T00:00:00.000Z","level":"INFO","message":"hello"}`
  const asText = "INFO: hello"

  it.effect.each<readonly [AccessLogLayer.Format | undefined, boolean, string]>([
    [undefined, true, asText],
    [undefined, false, asJson],
    ["pretty", false, asText],
    ["pretty", true, asText],
    ["json", true, asJson],
    ["json", false, asJson],
    ["off", true, asText],
    ["off", false, asJson]
  ])("%s, on a terminal: %s", ([format, isTerminal, expected]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* firstLine(format, isTerminal), expected)
    }))

  it.effect("off leaves out what is about single requests and nothing else", () =>
    Effect.gen(function*() {
      const writes: Array<string> = []
      yield* logged(output(writes, true), "off", (write) => all.forEach(write))
      assert.deepStrictEqual(linesOf(writes), ["INFO: hello", "HEALTH: HEALTHY http://localhost:3001 - status: 200"])
    }))

  it.effect("json says when it happened, by the clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 10, 5, 12))
      const line = yield* firstLine("json", false)
      assert.include(line ?? "", `"timestamp":"2026-11-05T12:00:00.000Z"`)
    }))
})

describe("writing", () => {
  it.effect("keeps the order, one line for each entry", () =>
    Effect.gen(function*() {
      const writes: Array<string> = []
      yield* logged(output(writes), "pretty", (write) => {
        for (let i = 0; i < 1_000; i++) write(numbered(i))
      })
      assert.deepStrictEqual(linesOf(writes), Array.from({ length: 1_000 }, (_, i) => `INFO: line ${i}`))
    }))

  it.effect("puts what came together into one write", () =>
    Effect.gen(function*() {
      const writes: Array<string> = []
      yield* logged(output(writes), "pretty", (write) => {
        for (let i = 0; i < 1_000; i++) write(numbered(i))
      })
      assert.isAtMost(writes.length, 2)
    }))

  it.effect("does not wait for more: a single line is written at once", () =>
    Effect.gen(function*() {
      const written = yield* Deferred.make<string>()
      const stdio = Stdio.layerTest({
        stdoutIsTerminal: Effect.succeed(false),
        stdout: () => Sink.forEach((chunk) => Deferred.succeed(written, String(chunk)))
      })
      yield* Effect.gen(function*() {
        const log = yield* AccessLog
        log.write(notice)
        assert.strictEqual(yield* Deferred.await(written), "INFO: hello\n")
      }).pipe(Effect.provide(AccessLogLayer.layer("pretty").pipe(Layer.provide(stdio))))
    }))

  it.effect("writes what is left before the layer is closed", () =>
    Effect.gen(function*() {
      const writes: Array<string> = []
      yield* logged(output(writes), "pretty", (write) => write(notice))
      assert.deepStrictEqual(writes, ["INFO: hello\n"])
    }))
})

describe("a reader that is too slow", () => {
  /** Standard output that takes nothing until the gate is open. */
  const stuck = (gate: Deferred.Deferred<void>, writes: Array<string>) =>
    Stdio.layerTest({
      stdoutIsTerminal: Effect.succeed(false),
      stdout: () =>
        Sink.forEach((chunk) => Effect.andThen(Deferred.await(gate), Effect.sync(() => writes.push(String(chunk)))))
    })

  it.effect("never makes a writer wait; lines are lost, their number is said, and all is accounted for", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const writes: Array<string> = []
      const n = 50_000
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        AccessLogLayer.layer("pretty").pipe(Layer.provide(stuck(gate, writes))),
        scope
      )
      const { write } = yield* Effect.provideContext(AccessLog, context)
      write(numbered(0))
      yield* Effect.yieldNow
      for (let i = 1; i < n; i++) write(numbered(i))
      assert.deepStrictEqual(writes, [])
      yield* Deferred.succeed(gate, undefined)
      yield* Scope.close(scope, Exit.void)

      const lines = linesOf(writes)
      const notes = lines.filter((line) => line.startsWith("WARN"))
      assert.strictEqual(notes.length, 1)
      const lost = Number(/^WARN: (\d+) log lines were lost$/.exec(notes[0] ?? "")?.[1])
      assert.strictEqual(lines.length - 1 + lost, n)
      assert.isAtLeast(lost, n - 2 * 16_384)
      // What is kept is the beginning, without a gap, and the note stands where the gap is.
      assert.strictEqual(lines.at(-1), notes[0])
      assert.strictEqual(lines.at(-2), `INFO: line ${n - lost - 1}`)
    }))

  it.effect("is told of each loss once", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const writes: Array<string> = []
      yield* Effect.gen(function*() {
        const { write } = yield* AccessLog
        write(numbered(0))
        yield* Effect.yieldNow
        for (let i = 0; i < 20_000; i++) write(numbered(i))
        yield* Deferred.succeed(gate, undefined)
        while (!writes.join("").includes("were lost")) yield* Effect.yieldNow
        write(notice)
      }).pipe(Effect.provide(AccessLogLayer.layer("pretty").pipe(Layer.provide(stuck(gate, writes)))))
      const lines = linesOf(writes)
      assert.strictEqual(lines.at(-1), "INFO: hello")
      assert.strictEqual(lines.filter((line) => line.includes("were lost")).length, 1)
    }))

  it.effect("cannot keep the program from ending", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        logged(stuck(gate, []), "pretty", (write) => write(notice)),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 minute")
      assert.isDefined(fiber.pollUnsafe())
      yield* Fiber.join(fiber)
    }))
})

describe("standard output that cannot be written to", () => {
  /** Fails as long as there is something to fail with, and keeps what it takes. */
  const failing = (failure: () => Effect.Effect<void, PlatformError.PlatformError>, writes: Array<string>) =>
    Stdio.layerTest({
      stdoutIsTerminal: Effect.succeed(false),
      stdout: () => Sink.forEach((chunk) => Effect.andThen(failure(), Effect.sync(() => writes.push(String(chunk)))))
    })
  const full = Effect.fail(PlatformError.systemError({
    _tag: "Unknown",
    module: "Stdio",
    method: "stdout",
    cause: new Error("ENOSPC: no space left on device, write")
  }))
  /** Standard error that keeps what is written to it. */
  const errors = (lines: Array<unknown>): Console.Console => ({
    ...globalThis.console,
    error: (line: unknown) => lines.push(line)
  })

  it.effect.each<readonly [string, Effect.Effect<never, PlatformError.PlatformError>]>([
    ["a failure", full],
    ["a defect", Effect.die(new Error("ENOSPC: no space left on device, write"))]
  ])(
    "goes on with the log when that has an end, with %s, and says how many lines were lost",
    ([, failure]) =>
      Effect.gen(function*() {
        const writes: Array<string> = []
        const said: Array<unknown> = []
        let isFull = false
        yield* Effect.gen(function*() {
          const { write } = yield* AccessLog
          write(numbered(0))
          yield* TestClock.adjust(0)
          isFull = true
          write(numbered(1))
          yield* TestClock.adjust("1500 millis")
          write(numbered(2))
          write(numbered(3))
          yield* TestClock.adjust("1 second")
          isFull = false
          write(numbered(4))
          yield* TestClock.adjust("1 second")
          write(numbered(5))
        }).pipe(
          Effect.provide(
            AccessLogLayer.layer("pretty").pipe(
              Layer.provide(failing(() => isFull ? failure : Effect.void, writes))
            )
          ),
          Effect.provideService(Console.Console, errors(said))
        )
        assert.deepStrictEqual(linesOf(writes), [
          "INFO: line 0",
          "INFO: line 4",
          "WARN: 3 log lines were lost",
          "INFO: line 5"
        ])
        assert.deepStrictEqual(said, [
          "error: cannot write the log: ENOSPC: no space left on device, write; " +
          "it is tried again every 1s, and lines are lost until then"
        ])
      })
  )

  it.effect("counts what is lost once, however often it is tried again", () =>
    Effect.gen(function*() {
      const writes: Array<string> = []
      let isFull = false
      const stdio = Stdio.layerTest({
        stdoutIsTerminal: Effect.succeed(false),
        // Once there was an error, Node's streams fail before they take anything.
        stdout: () =>
          Sink.unwrap(Effect.sync(() =>
            isFull && writes.length > 1
              ? Sink.fromEffect(full)
              : Sink.forEach((chunk) =>
                Effect.andThen(Effect.sync(() => writes.push(String(chunk))), isFull ? full : Effect.void)
              )
          ))
      })
      yield* Effect.gen(function*() {
        const { write } = yield* AccessLog
        write(numbered(0))
        yield* TestClock.adjust(0)
        isFull = true
        write(numbered(1))
        yield* TestClock.adjust("10 seconds")
        isFull = false
        yield* TestClock.adjust("1 second")
        write(numbered(2))
      }).pipe(
        Effect.provide(AccessLogLayer.layer("pretty").pipe(Layer.provide(stdio))),
        Effect.provideService(Console.Console, errors([]))
      )
      assert.deepStrictEqual(linesOf(writes).slice(2), ["INFO: line 2", "WARN: 1 log lines were lost"])
    }))

  it.effect("disturbs neither writers nor the end of the program when that has no end", () =>
    Effect.gen(function*() {
      const writes: Array<string> = []
      const said: Array<unknown> = []
      const fiber = yield* Effect.forkChild(
        Effect.gen(function*() {
          const { write } = yield* AccessLog
          for (let i = 0; i < 40_000; i++) write(numbered(i))
          yield* TestClock.adjust("1 minute")
          for (let i = 0; i < 40_000; i++) write(numbered(i))
        }).pipe(
          Effect.provide(AccessLogLayer.layer("pretty").pipe(Layer.provide(failing(() => full, writes)))),
          Effect.provideService(Console.Console, errors(said))
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("2 minutes")
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual(writes, [])
      assert.strictEqual(said.length, 1)
    }))
})

describe("the other layers", () => {
  it.effect("layerMemory keeps entries as they are", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const { write } = yield* AccessLog
      all.forEach(write)
      assert.deepStrictEqual(entries, all)
    }).pipe(Effect.provide(AccessLogLayer.layerMemory(entries)))
  })

  it.effect("layerNone takes everything and says nothing", () =>
    Effect.gen(function*() {
      const { write } = yield* AccessLog
      for (const entry of all) assert.isUndefined(write(entry))
    }).pipe(Effect.provide(AccessLogLayer.layerNone)))
})
