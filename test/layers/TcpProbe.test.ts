import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TcpProbe from "../../src/layers/TcpProbe.ts"
import * as Backend from "../../src/services/Backend.ts"
import { Connector } from "../../src/services/Connector.ts"
import { TransportFailure } from "../../src/services/Failure.ts"
import { type Place, Probe } from "../../src/services/Probe.ts"

/** A probe whose connections end like this, and keeps where they went. */
const probing = (
  connect: Effect.Effect<void, TransportFailure>,
  place?: Place,
  origins: Array<string> = []
) =>
  Effect.provide(
    TcpProbe.layer(place).pipe(
      Layer.provide(
        Layer.succeed(Connector)({
          connect: (origin) => {
            origins.push(origin)
            return connect
          }
        })
      )
    )
  )

const backend = Backend.make("http://localhost:3001")
const check = Effect.flatMap(Probe, (probe) => probe.check(backend))

const fails = (reason: TransportFailure["reason"], message: string) =>
  Effect.fail(TransportFailure.make({ reason, message }))

describe("TcpProbe", () => {
  it.effect("passes when there is a connection, and says so", () => {
    const origins: Array<string> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* check, "connected")
      assert.deepStrictEqual(origins, ["http://localhost:3001"])
    }).pipe(probing(Effect.void, undefined, origins))
  })

  it.effect("connects to another place where the options say so", () => {
    const origins: Array<string> = []
    return Effect.gen(function*() {
      yield* check
      assert.deepStrictEqual(origins, ["http://agent:9000"])
    }).pipe(probing(Effect.void, { address: "agent", port: 9000 }, origins))
  })

  it.effect("fails with the words of the engine", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* Effect.flip(check), { _tag: "ProbeFailed", message: "Connection refused" })
    }).pipe(probing(fails("connect_failed", "Connection refused"))))

  it.effect("learns nothing about the backend from a lack of its own", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* Effect.flip(check), { _tag: "ProbeSkipped", message: "Too many open files" })
    }).pipe(probing(fails("overloaded", "Too many open files"))))

  it.effect("lets go of the connection when it is given up", () => {
    let gaveUp = 0
    const silent = Effect.onInterrupt(Effect.never, () => Effect.sync(() => gaveUp++))
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(check, { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(gaveUp, 1)
    }).pipe(probing(silent))
  })
})
