import { assert, describe, it } from "@effect/vitest"
import * as Health from "../../src/services/Health.ts"
import { cause, explain } from "../../src/services/HealthWords.ts"
import { golden } from "../golden/Golden.ts"

/** A signal, and when it came in seconds. */
type Event = readonly [at: number, signal: Health.Signal]

const passed: Health.Signal = { _tag: "ProbePassed", why: "status: 200" }
const failed: Health.Signal = { _tag: "ProbeFailed", why: "Connection refused" }
const tripped: Health.Signal = { _tag: "Tripped", why: "5 failures in a row (connect_failed)" }
const recovered: Health.Signal = { _tag: "Recovered", why: "the trial went well" }
const elapsed: Health.Signal = { _tag: "Elapsed" }
const set = (mode: Health.Mode, why: string): Health.Signal => ({ _tag: "ModeSet", mode, why })

const policy: Health.Policy = { ...Health.defaultPolicy, rise: 4, fall: 3 }

const after = (events: ReadonlyArray<Event>, initial: Health.Policy["initial"] = "up"): Health.Health =>
  events.reduce(
    (health, [at, signal]) => Health.transition(health, signal, at * 1_000, policy),
    Health.initialBy({ ...policy, initial: initial ?? "up" })
  )

/** What happened, and when in seconds one looks. */
const stories: ReadonlyArray<readonly [health: Health.Health, now: number]> = [
  [after([]), 5],
  [after([], "down"), 5],
  [after([[1, passed]]), 1],
  [after([[1, passed]]), 3_599],
  [after([[1, passed], [6, failed]]), 7],
  [after([[1, passed], [6, failed], [7, failed]]), 8],
  [after([[1, failed]]), 1.2],
  [after([[1, failed], [2, failed], [3, failed]]), 13],
  [after([[1, failed], [90, passed]]), 91],
  [after([[1, failed], [90, passed], [91, passed], [92, passed]]), 93],
  [after([[1, failed], [90, passed], [91, passed], [92, passed], [93, passed]]), 95],
  [after([[1, failed]]), 9_000],
  [after([[1, passed], [4, tripped]]), 6],
  [after([[1, passed], [4, tripped]]), 30],
  [after([[1, passed], [4, tripped], [14, elapsed]]), 15],
  [after([[1, passed], [4, tripped], [14, elapsed], [15, tripped]]), 20],
  [after([[1, passed], [4, tripped], [14, elapsed], [15, tripped], [35, elapsed]]), 40],
  [after([[1, passed], [4, tripped], [14, elapsed], [15, recovered]]), 18],
  [after([[4, tripped], [14, elapsed], [15, recovered]]), 21],
  [after([[1, passed], [4, tripped], [5, failed], [6, failed], [7, failed]]), 8],
  [after([[1, passed], [60, set("Draining", "deploy 41")]]), 70],
  [after([[1, passed], [60, set("Disabled", "the disk is full")]]), 4_000],
  [after([[1, passed], [60, set("Draining", "deploy 41")], [65, failed], [66, failed], [67, failed]]), 70],
  [after([[1, passed], [60, set("Draining", "deploy 41")], [90, set("Ready", "deployed")]]), 95],
  [
    after([[1, passed], [60, set("Draining", "deploy")], [61, failed], [62, failed], [63, failed], [
      90,
      set("Ready", "deployed")
    ]]),
    95
  ]
]

describe("explain", () => {
  it("says the state and its causes in one sentence", () => {
    assert.deepStrictEqual(stories.map(([health, now]) => explain(health, now * 1_000)), golden("health.txt"))
  })

  it("begins with what decides: the status", () => {
    const beginnings: Readonly<Record<Health.Status, string>> = {
      Disabled: "disabled",
      Draining: "draining",
      Down: "down",
      Ejected: "ejected",
      Trial: "on trial",
      Checking: "not checked",
      Up: "up"
    }
    const seen = new Set<Health.Status>()
    for (const [health, now] of stories) {
      const status = Health.status(health)
      seen.add(status)
      const sentence = explain(health, now * 1_000)
      assert.isTrue(sentence.startsWith(beginnings[status]), `${status}: ${sentence}`)
    }
    assert.sameMembers([...seen], Object.keys(beginnings))
  })
})

describe("cause", () => {
  it("is that of what decides, also when another axis has changed since", () => {
    const draining = after([[1, passed], [60, set("Draining", "deploy")], [61, failed], [62, failed], [63, failed]])
    assert.deepStrictEqual([draining.why, cause(draining)], ["Connection refused", "deploy"])
    const ready = Health.transition(draining, set("Ready", "deployed"), 64_000, policy)
    assert.deepStrictEqual([Health.status(ready), ready.why, cause(ready)], ["Down", "deployed", "Connection refused"])
    const ejected = after([[1, passed], [2, tripped], [3, set("Draining", "x")], [4, set("Ready", "y")]])
    assert.deepStrictEqual([Health.status(ejected), cause(ejected)], [
      "Ejected",
      "5 failures in a row (connect_failed)"
    ])
  })

  it("of a backend that is up is the last change", () => {
    assert.strictEqual(cause(after([[1, passed]])), "status: 200")
    assert.strictEqual(
      cause(after([[1, passed], [2, set("Draining", "x")], [3, set("Ready", "deployed")]])),
      "deployed"
    )
  })
})
