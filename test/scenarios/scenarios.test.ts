/**
 * The soak's scenarios with fakes at both ends, on virtual time: trouble of ten seconds in less than one, the same with
 * each run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { isDeepStrictEqual } from "node:util"
import { summary } from "../Summary.ts"
import { excess, play, type Scenario } from "./Scenario.ts"
import { scenarios } from "./Scenarios.ts"

const seed = 4

const note = summary("Fake backends on virtual time, 300 requests per second, a quarter of them POST")

const limitText = ({ limit: { failed, get, post, slow } }: Scenario): string =>
  [
    failed === undefined ? `${get ?? "any"}/${post ?? "any"}` : `${failed} failed`,
    ...(slow === undefined ? [] : [`${slow} slow`])
  ].join(", ")

describe("three backends under 300 requests per second", () => {
  for (const scenario of scenarios) {
    it.live(scenario.title, () =>
      Effect.gen(function*() {
        const { outcome } = yield* play(scenario, seed)
        const { evenAfter, get, lost, post, problems, requests, slow } = outcome
        note(scenario.title, {
          requests,
          "failed GET/POST": `${get}/${post}${lost > 0 ? ` (${lost} lost)` : ""}`,
          slow,
          "even after": evenAfter === undefined ? "-" : `${evenAfter / 1_000} s`,
          "to reach": limitText(scenario)
        })
        assert.deepStrictEqual(excess(outcome, scenario), [], JSON.stringify(problems))
      }))
  }

  it.live("the same seed gives the same requests, answers and times, and another one others", () =>
    Effect.gen(function*() {
      const scenario = scenarios.find(({ title }) => title === "each killed in turn")!
      const brief = { ...scenario, wellFrom: 0 }
      const [once, again, other] = yield* Effect.forEach([seed, seed, seed + 1], (seed) => play(brief, seed))
      assert.isTrue(isDeepStrictEqual(again, once))
      assert.isFalse(isDeepStrictEqual(other, once))
    }))
})
