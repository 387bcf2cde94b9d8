/** Deadlines: a little late and never early, also when the process had no time to look. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Deadlines from "../../../src/layers/wire/Deadlines.ts"

/** Something that notes when it expired, by the clock of the test. */
const mortal = (deadline: number) => ({
  deadline,
  expired: 0,
  expire() {
    this.expired++
  }
})

describe("a deadline", () => {
  it.effect("expires once, at most 200 milliseconds late", () =>
    Effect.gen(function*() {
      const deadlines = yield* Deadlines.make
      yield* TestClock.adjust("12345 millis")
      const one = mortal(deadlines.after(1_000))
      deadlines.add(one)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(one.expired, 0)
      yield* TestClock.adjust("201 millis")
      assert.strictEqual(one.expired, 1)
      assert.strictEqual(one.deadline, Infinity)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(one.expired, 1)
    }))

  it.effect("that was put off, or is not there any more, does not expire", () =>
    Effect.gen(function*() {
      const deadlines = yield* Deadlines.make
      const [putOff, gone] = [mortal(deadlines.after(1_000)), mortal(deadlines.after(1_000))]
      deadlines.add(putOff)
      deadlines.add(gone)
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("900 millis")
        putOff.deadline = deadlines.after(1_000)
        deadlines.delete(gone)
      }
      assert.deepStrictEqual([putOff.expired, gone.expired, deadlines.size], [0, 0, 1])
    }))

  it.effect("that throws is the end of no other one", () =>
    Effect.gen(function*() {
      const deadlines = yield* Deadlines.make
      const deadline = deadlines.after(1_000)
      deadlines.add({
        deadline,
        expire: () => {
          throw new Error("a log that is broken")
        }
      })
      const others = [mortal(deadline), mortal(deadlines.after(5_000))]
      for (const other of others) deadlines.add(other)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(others.map(({ expired }) => expired), [1, 1])
    }))

  it("does not count the time in which the process was stopped", () => {
    const deadlines = new Deadlines.Deadlines(0, () => 0)
    const one = mortal(deadlines.after(1_000))
    deadlines.add(one)
    deadlines.look(100)
    // What has come meanwhile has not been read yet.
    deadlines.look(60_000)
    assert.strictEqual(one.expired, 0)
    for (let now = 60_100; now <= 61_000; now += 100) deadlines.look(now)
    assert.strictEqual(one.expired, 1)
  })

  it("may be taken away while others expire", () => {
    const deadlines = new Deadlines.Deadlines(0, () => 0)
    const other = mortal(deadlines.after(0))
    deadlines.add({
      deadline: 0,
      expire: () => deadlines.delete(other)
    })
    deadlines.add(other)
    for (let now = 100; now < 1_000; now += 100) deadlines.look(now)
    assert.deepStrictEqual([other.expired, deadlines.size], [0, 1])
  })
})

describe("the date", () => {
  it("is that of the last look, as fields have it", () => {
    let timeOfDay = Date.UTC(2026, 10, 22, 20, 34, 1, 999)
    const deadlines = new Deadlines.Deadlines(0, () => timeOfDay)
    assert.strictEqual(deadlines.date, "Sun, 22 Nov 2026 20:34:01 GMT")
    timeOfDay = Date.UTC(2026, 10, 22, 20, 35, 2)
    assert.strictEqual(deadlines.date, "Sun, 22 Nov 2026 20:34:01 GMT")
    deadlines.look(100)
    assert.strictEqual(deadlines.date, "Sun, 22 Nov 2026 20:35:02 GMT")
  })
})
