import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { type Health, initial, type Probe } from "../../src/services/Health.ts"
import { defaultTimetable, untilNextCheck } from "../../src/services/HealthChecker.ts"

const health = (state: Probe["state"], streak: number): Health => ({ ...initial, probe: { state, streak } })

const bounds = (health: Health, interval: Duration.Duration): readonly [number, number, number] => [
  untilNextCheck(health, { interval }, 0),
  untilNextCheck(health, { interval }, 0.5),
  untilNextCheck(health, { interval }, 1)
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

  it("depends on what the checks said and on nothing else", () => {
    const draining: Health = { ...health("Failing", 0), mode: "Draining", circuit: { _tag: "Trial", trips: 3 } }
    assert.strictEqual(
      untilNextCheck(draining, defaultTimetable, 0.3),
      untilNextCheck(health("Failing", 0), defaultTimetable, 0.3)
    )
  })
})
