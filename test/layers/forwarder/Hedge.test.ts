/** Two tries at a time, of which each may bring its answer when nobody wants it any more. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as TestClock from "effect/testing/TestClock"
import { hedged, type Race } from "../../../src/layers/forwarder/Hedge.ts"
import type { Sending } from "../../../src/layers/forwarder/Sender.ts"
import { TransportFailure } from "../../../src/services/Failure.ts"
import type { End } from "../../../src/services/Outcome.ts"

/** Answers after so many milliseconds. It cannot be stopped before. */
const answers = (status: number, millis: number): Sending =>
  Effect.uninterruptible(
    Effect.as(Effect.sleep(millis), HttpServerResponse.toClientResponse(HttpServerResponse.empty({ status })))
  )

const fails = (millis: number): Sending =>
  Effect.andThen(
    Effect.sleep(millis),
    TransportFailure.make({ reason: "reset_before_headers", message: "Connection reset" })
  )

/** A race whose second try begins after 10 ms, and the statuses of the answers that were let go. */
const start = (first: Sending, second: Sending) => {
  const released: Array<number> = []
  const ends: Array<readonly [firstWins: boolean, failure: End | undefined]> = []
  const race: Race = {
    delay: 10,
    begin: () => second,
    end: (...end) => ends.push(end),
    isGood: ({ status }) => status < 500,
    release: ({ status }) => Effect.sync(() => void released.push(status))
  }
  return Effect.map(Effect.forkChild(hedged(first, race)), (fiber) => ({ fiber, released, ends }))
}

describe("a race of two tries", () => {
  it.effect("lets go of an answer that comes after the client has left, while the other try is being stopped", () =>
    Effect.gen(function*() {
      const { fiber, released } = yield* start(answers(201, 100), answers(200, 20))
      yield* TestClock.adjust(15)
      fiber.interruptUnsafe()
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(released, [200])
    }))

  it.effect("lets go of a bad answer for the sake of another one, which came later", () =>
    Effect.gen(function*() {
      const { fiber, released } = yield* start(answers(502, 100), answers(503, 20))
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* Fiber.join(fiber)).status, 502)
      assert.deepStrictEqual(released, [503])
    }))

  it.effect("has nothing to let go of where the other try has failed", () =>
    Effect.gen(function*() {
      const { fiber, released } = yield* start(fails(100), answers(503, 20))
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* Fiber.join(fiber)).status, 503)
      assert.deepStrictEqual(released, [])
    }))

  it.effect("brings an answer rather than a bug, which is an internal error", () =>
    Effect.gen(function*() {
      const dies = Effect.delay(Effect.die(new Error("a bug")), 20)
      const { ends, fiber } = yield* start(dies, answers(503, 100))
      yield* TestClock.adjust(200)
      assert.strictEqual((yield* Fiber.join(fiber)).status, 503)
      assert.deepStrictEqual(ends, [[false, "internal_error"]])
    }))
})
