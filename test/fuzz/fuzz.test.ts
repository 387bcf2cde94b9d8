/**
 * Random settings, clients and backends on real sockets, with both engines, against what always holds. What that is
 * stands in the oracles: `Requests`, `Answers`, `Log`, `Reader`, and the end of `Fuzz`.
 *
 * `npm test` plays the same few seeds each time, `npm run fuzz:wire` others for FUZZ_SECONDS, from FUZZ_SEED on or from
 * any. With FUZZ_SECONDS=0 it is that one seed, and everything that happens is told. FUZZ_ENGINE is wire, node or both.
 * A seed gives the same plan each time, but sockets take their own time, so a rare failure may need some runs to return.
 */
import { assert, describe, it } from "@effect/vitest"
import { isEndCertain } from "../../src/layers/wire/Connect.ts"
import { engines } from "../e2e/support/Engines.ts"
import { play } from "./Fuzz.ts"
import type { Ledger } from "./Ledger.ts"
import { make } from "./Plan.ts"

const isFuzzing = process.env["MODE"] === "fuzz"
const seconds = Number(process.env["FUZZ_SECONDS"] ?? 120)
const given = process.env["FUZZ_SEED"]
const wanted = process.env["FUZZ_ENGINE"] ?? "both"

const seeds = [1, 2, 3, 4, 5, 6]

/** What happens with them, among other things. */
const events = [
  "100 Continue",
  "goes on with",
  "leaves in the middle of a request",
  "leaves in the middle of an answer",
  "2 tries",
  "client_aborted",
  "protocol_error",
  "reset_before_headers",
  "reset_mid_body"
]

/** Plans that are played at a time, because most of what happens is waiting. */
const atOnce = 4

const linesOf = ({ complaints, engine, plan: { seed } }: Ledger): ReadonlyArray<string> =>
  complaints.map((sentence) => `seed ${seed}, ${engine}: ${sentence}`)

/** What undici takes for whole where Node.js takes a reset for an end is documented. */
const certain = engines.filter(({ name }) => name === "wire" || isEndCertain)

describe.skipIf(isFuzzing).each(certain)("whatever comes on the sockets of the $name engine", (engine) => {
  it("each message arrives whole, where it belongs, or visibly cut, and nothing is left of it", async () => {
    const ledgers = await Promise.all(seeds.map((seed) => play(make(seed, engine.name), engine)))
    assert.deepStrictEqual(ledgers.flatMap(linesOf), [])
    const story = ledgers.flatMap(({ story }) => story).join("\n")
    assert.deepStrictEqual(events.filter((words) => !story.includes(words)), [], "this should happen as well")
  }, 60_000)
})

describe.runIf(isFuzzing)("any settings, clients and backends", () => {
  const tell = (lines: ReadonlyArray<string>): void => {
    // oxlint-disable-next-line no-console -- a run that cannot be repeated is worth little
    console.log(lines.join("\n"))
  }

  it("break no promise", async () => {
    const first = given === undefined ? Math.ceil(Math.random() * 1_000_000_000) : Number(given)
    const end = performance.now() + seconds * 1_000
    const failing: Array<string> = []
    let seed = first - 1
    let requests = 0
    const playNext = async (): Promise<void> => {
      const number = ++seed
      for (const engine of engines.filter(({ name }) => wanted === "both" || wanted === name)) {
        const plan = make(number, engine.name)
        const ledger = await play(plan, engine)
        requests += [...ledger.asked.values()].filter(({ isBegun }) => isBegun).length
        const { complaints, excerpt, story } = ledger
        if (seconds === 0) tell([JSON.stringify(plan.input), ...story])
        if (complaints.length === 0) continue
        failing.push(`${number} on ${engine.name}`)
        const again = `FUZZ_SEED=${number} FUZZ_SECONDS=0 FUZZ_ENGINE=${engine.name} npm run fuzz:wire`
        // The next time sockets may take another turn.
        tell([JSON.stringify(plan.input), ...excerpt, ...linesOf(ledger).slice(0, 10), again])
      }
      if (performance.now() < end) await playNext()
    }
    await Promise.all(Array.from({ length: seconds === 0 ? 1 : atOnce }, playNext))
    tell([`${seed - first + 1} seeds, from ${first} to ${seed}, ${requests} requests; ${failing.length} failed`])
    assert.deepStrictEqual(failing, [])
  }, (seconds + 120) * 1_000)
})
