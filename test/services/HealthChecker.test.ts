import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { type Health, initial, type Probe } from "../../src/services/Health.ts"
import { checked, defaultTimetable, untilFirstCheck, untilNextCheck } from "../../src/services/HealthChecker.ts"

const health = (state: Probe["state"], streak: number): Health => ({ ...initial, probe: { state, streak } })

const bounds = (health: Health, interval: Duration.Duration, now = 0): readonly [number, number, number] => [
  untilNextCheck(health, { interval }, 0, now),
  untilNextCheck(health, { interval }, 0.5, now),
  untilNextCheck(health, { interval }, 1, now)
]

describe("untilNextCheck", () => {
  it("is 5 s by default", () => {
    assert.strictEqual(Duration.toMillis(defaultTimetable.interval), 5_000)
  })

  it.each<readonly [string, Health, number]>([
    ["passes", health("Passing", 0), 5_000],
    ["has not been checked", health("Unknown", 0), 5_000],
    ["fails", health("Failing", 0), 1_000],
    ["fails and begins to recover", health("Failing", 1), 1_000],
    ["passes and begins to fail", health("Passing", 1), 1_000]
  ])("of a backend that %s", (_, health, interval) => {
    assert.deepStrictEqual(bounds(health, Duration.seconds(5)).map(Math.round), [0.9, 1, 1.1].map((f) => f * interval))
  })

  it("is never longer for a failing backend than for others", () => {
    const interval = Duration.millis(200)
    assert.deepStrictEqual(bounds(health("Failing", 0), interval), bounds(health("Passing", 0), interval))
  })

  const failing: Health = { ...health("Failing", 0), changed: { ...initial.changed, probe: { at: 1_000, why: "" } } }
  const second = 1_000
  const minute = 60 * second

  it.each<readonly [string, number, number]>([
    ["a second", second, 1 * second],
    ["5 seconds", 5 * second, 1 * second],
    ["a minute", minute, 1 * second],
    ["2 minutes", 2 * minute, 2 * second],
    ["5 minutes", 5 * minute, 5 * second],
    ["20 minutes", 20 * minute, 20 * second],
    ["half an hour", 30 * minute, 30 * second],
    ["a day", 1_440 * minute, 30 * second]
  ])("of a backend that has failed for %s is a sixtieth of that, within bounds", (_, failedFor, interval) => {
    assert.deepStrictEqual(
      bounds(failing, Duration.seconds(5), 1_000 + failedFor).map(Math.round),
      [0.9, 1, 1.1].map((f) => Math.round(f * interval))
    )
  })

  it("is short again as soon as a backend that was long away passes, and when it is back", () => {
    const recovering: Health = { ...failing, probe: { state: "Failing", streak: 1 } }
    assert.strictEqual(Math.round(untilNextCheck(recovering, defaultTimetable, 0.5, 1_440 * minute)), second)
    const back: Health = { ...failing, probe: { state: "Passing", streak: 0 } }
    assert.strictEqual(Math.round(untilNextCheck(back, defaultTimetable, 0.5, 1_440 * minute)), 5 * second)
  })

  it("never grows so fast that a return is noticed later than a sixtieth of the absence and its jitter", () => {
    let at = 1_000
    while (at < 3_600_000) {
      const next = untilNextCheck(failing, defaultTimetable, 0.999, at)
      assert.isAtMost(next, Math.max(1.1 * second, 1.1 * (at - 1_000) / 60) + 1)
      at += next
    }
  })

  it("depends on what the checks said and on nothing else", () => {
    const draining: Health = { ...health("Failing", 0), mode: "Draining", circuit: { _tag: "Trial", trips: 3 } }
    assert.strictEqual(
      untilNextCheck(draining, defaultTimetable, 0.3, 0),
      untilNextCheck(health("Failing", 0), defaultTimetable, 0.3, 0)
    )
  })
})

describe("untilFirstCheck", () => {
  const first = (index: number, count: number, random = 0) => untilFirstCheck(index, count, defaultTimetable, random)

  it("is nothing for a hundred, however many join with them", () => {
    for (const count of [1, 100, 101, 10_000]) {
      assert.deepStrictEqual([first(0, count, 0.9), first(Math.min(count, 100) - 1, count, 0.9)], [0, 0])
    }
  })

  it("spreads the others evenly, 2,000 a second", () => {
    assert.deepStrictEqual([first(100, 1_100), first(600, 1_100), first(1_099, 1_100, 1)], [0, 250, 500])
  })

  it("spreads them over no more than the interval", () => {
    assert.strictEqual(first(99_999, 100_000, 1), 5_000)
    assert.strictEqual(untilFirstCheck(1_099, 1_100, { interval: Duration.millis(200) }, 1), 200)
  })
})

describe("a timetable", () => {
  const second = Duration.seconds(1)

  it("may have any interval and timeout of a millisecond or more", () => {
    for (const timetable of [defaultTimetable, { interval: Duration.millis(1), timeout: second }]) {
      assert.strictEqual(checked(timetable), timetable)
    }
  })

  it.each([Duration.zero, Duration.millis(-1), Duration.millis(NaN)])(
    "may not have the interval or the timeout %s, with which there would be nothing but checks",
    (time) => {
      assert.throws(() => checked({ interval: time }), "interval: expected a duration of 1ms or more, got ")
      assert.throws(
        () => checked({ interval: second, timeout: time }),
        "timeout: expected a duration of 1ms or more, got "
      )
    }
  )
})
