/**
 * Random settings, faults and traffic against what the documents promise, on virtual time. What is promised is in the
 * oracles: `Deliveries`, `Places`, `Members`, `Sessions` and `Recovery`.
 *
 * `npm test` plays the same few seeds each time, `npm run chaos` others for FUZZ_SECONDS, from FUZZ_SEED on or from any.
 * With FUZZ_SECONDS=0 it is that one seed, and everything that happens is told.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { type Complaint, type Outcome, play } from "./Chaos.ts"
import { make } from "./Plan.ts"

const isFuzzing = process.env["MODE"] === "fuzz"
const seconds = Number(process.env["FUZZ_SECONDS"] ?? 120)
const given = process.env["FUZZ_SEED"]

/** Quick ones, that meet with much. */
const seeds = [4, 10, 23, 31, 32, 39, 41, 42, 43, 48, 50, 58]

const linesOf = (seed: number, { complaints }: Outcome): ReadonlyArray<string> =>
  complaints.map(({ at, oracle, sentence }) => `seed ${seed}, ${oracle}, ${at} ms: ${sentence}`)

describe.skipIf(isFuzzing)("whatever the settings are, and whatever befalls the backends", () => {
  const outcomes = new Map<number, Outcome>()

  beforeAll(async () => {
    for (const seed of seeds) outcomes.set(seed, await Effect.runPromise(play(make(seed))))
  }, 60_000)

  const broken = (name: Complaint["oracle"]): ReadonlyArray<string> =>
    [...outcomes].flatMap(([seed, { complaints, story }]) =>
      linesOf(seed, { story, complaints: complaints.filter(({ oracle }) => oracle === name) })
    )

  it("a request reaches no more backends than it may, whole, and so does the answer its client", () => {
    assert.deepStrictEqual(broken("deliveries"), [])
  })

  it("nobody has more requests than it may, nobody waits for nothing, and every place is given back", () => {
    assert.deepStrictEqual(broken("places"), [])
  })

  it("health changes for a cause, and only who is well is offered traffic, or in a panic who answers", () => {
    assert.deepStrictEqual(broken("members"), [])
  })

  it("a session stays where it is as long as its backend can be used", () => {
    assert.deepStrictEqual(broken("sessions"), [])
  })

  it("when all is well again no request fails, and everybody has a share", () => {
    assert.deepStrictEqual(broken("recovery"), [])
  })

  it("nearly everything happens that is in the documents", () => {
    const story = [...outcomes.values()].flatMap(({ story }) => story).join("\n")
    const health = ["DRAINING", "DISABLED", "UNHEALTHY", "EJECTED", "the trial failed", "the trial went well"]
    const ends = ["2 tries", "budget used up", "overloaded", "no_backend", "client_aborted", "reset_mid_body"]
    const notices = [
      "Too few backends are well",
      "Ill backends are not offered",
      "Traffic goes to backups",
      "Backends that have moved"
    ]
    assert.deepStrictEqual([...health, ...ends, ...notices].filter((words) => !story.includes(words)), [])
  })

  it.live("the same seed gives the same story", () =>
    Effect.gen(function*() {
      const [seed = 0] = seeds
      assert.deepStrictEqual((yield* play(make(seed))).story, outcomes.get(seed)?.story)
    }))
})

describe.runIf(isFuzzing)("any settings, faults and traffic", () => {
  const tell = (lines: ReadonlyArray<string>): void => {
    // oxlint-disable-next-line no-console -- a run that cannot be repeated is worth little
    console.log(lines.join("\n"))
  }

  it.live("break no promise", () =>
    Effect.gen(function*() {
      const first = given === undefined ? yield* Random.nextIntBetween(1, 1_000_000_000) : Number(given)
      const end = (yield* Clock.currentTimeMillis) + seconds * 1_000
      const failing: Array<number> = []
      let seed = first - 1
      do {
        const plan = make(++seed)
        const outcome = yield* play(plan)
        if (seconds === 0) tell([JSON.stringify(plan.input), ...outcome.story])
        if (outcome.complaints.length === 0) continue
        failing.push(seed)
        tell([...linesOf(seed, outcome).slice(0, 10), `FUZZ_SEED=${seed} FUZZ_SECONDS=0 npm run chaos`])
      } while ((yield* Clock.currentTimeMillis) < end)
      tell([`${seed - first + 1} seeds, from ${first} to ${seed}, of which ${failing.length} failed`])
      assert.deepStrictEqual(failing, [])
    }), (seconds + 120) * 1_000)
})
