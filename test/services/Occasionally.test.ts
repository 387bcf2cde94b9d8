import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Occasionally from "../../src/services/Occasionally.ts"

describe("what is said occasionally", () => {
  it.effect("is said once within the time, and again after it", () =>
    Effect.gen(function*() {
      const said: Array<number> = []
      const occasionally = Occasionally.make(yield* Clock.Clock)
      const say = (n: number) => occasionally(() => said.push(n))
      yield* TestClock.setTime(3_600_000)
      say(1)
      say(2)
      yield* TestClock.adjust("9999 millis")
      say(3)
      yield* TestClock.adjust("1 millis")
      say(4)
      assert.deepStrictEqual(said, [1, 4])
    }))
})
