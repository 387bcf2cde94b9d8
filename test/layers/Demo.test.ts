import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as Http from "node:http"
import * as Demo from "../../src/layers/Demo.ts"
import { AccessLog, type Entry } from "../../src/services/AccessLog.ts"
import { Waiting } from "../e2e/support/Waiting.ts"

const ask = (port: number, method: string, path: string): Promise<string> =>
  new Promise((resolve) => {
    Http.request({ host: "localhost", port, method, path, agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text
      }).on("end", () => resolve(body))
    }).on("error", (error) => resolve("code" in error ? String(error.code) : error.message)).end()
  })

/** The log, and a way to wait for a line of it. */
const journal = () => {
  const lines: Array<string> = []
  const waiting = new Waiting()
  const write = (entry: Entry) => {
    if (entry._tag === "Notice") lines.push(entry.message)
    waiting.wake()
  }
  return {
    layer: Layer.succeed(AccessLog, { write }),
    /** Of the line, its beginning is enough. */
    until: (line: string) =>
      Effect.promise(() =>
        waiting.until(() => lines.some((each) => each.startsWith(line)), line, () => lines.join("\n"))
      )
  }
}

const options = { name: "backend 1", port: 0, downtime: Duration.seconds(15) }

describe("a backend of the demo", () => {
  it.effect("says who it is, stops when it is told, and comes back on the same port after its downtime", () => {
    const { layer, until } = journal()
    return Effect.gen(function*() {
      const port = yield* Demo.start(options)
      assert.strictEqual(yield* Effect.promise(() => ask(port, "GET", "/")), "Hello from backend 1\n")
      assert.strictEqual(yield* Effect.promise(() => ask(port, "GET", "/stop")), "Hello from backend 1\n")
      assert.strictEqual(yield* Effect.promise(() => ask(port, "POST", "/stop")), "backend 1 stops for 15s\n")
      yield* until("backend 1 has stopped; it comes back in 15s")
      assert.strictEqual(yield* Effect.promise(() => ask(port, "GET", "/")), "ECONNREFUSED")
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(yield* Effect.promise(() => ask(port, "GET", "/")), "ECONNREFUSED")
      yield* TestClock.adjust("1 second")
      yield* until("backend 1 is back")
      assert.strictEqual(yield* Effect.promise(() => ask(port, "GET", "/")), "Hello from backend 1\n")
    }).pipe(Effect.provide(layer))
  })

  it.effect("tries again when somebody else has its port meanwhile", () => {
    const { layer, until } = journal()
    return Effect.gen(function*() {
      const port = yield* Demo.start(options)
      yield* Effect.promise(() => ask(port, "POST", "/stop"))
      yield* until("backend 1 has stopped; it comes back in 15s")
      const other = Http.createServer()
      yield* Effect.promise(() => new Promise<void>((resolve) => void other.listen(port, "localhost", resolve)))
      yield* TestClock.adjust("15 seconds")
      yield* until("backend 1 cannot come back, and tries again in 15s: Error: listen EADDRINUSE")
      yield* Effect.promise(() => new Promise((resolve) => other.close(resolve)))
      yield* TestClock.adjust("15 seconds")
      yield* until("backend 1 is back")
      assert.strictEqual(yield* Effect.promise(() => ask(port, "GET", "/")), "Hello from backend 1\n")
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails when its port is taken", () =>
    Effect.gen(function*() {
      const port = yield* Demo.start(options)
      assert.strictEqual((yield* Effect.flip(Demo.start({ ...options, port })))._tag, "ServeError")
    }).pipe(Effect.provide(journal().layer)))
})
