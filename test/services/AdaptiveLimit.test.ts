import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as AdaptiveLimit from "../../src/services/AdaptiveLimit.ts"
import type { Outcome } from "../../src/services/Outcome.ts"
import { randomFrom } from "../Random.ts"

/** No limit is ever higher. */
const ceiling = 1_024

/**
 * A backend with some workers, before which the rest waits, and requests that come at random. Times are milliseconds.
 */
interface Scenario {
  readonly workers: number
  readonly seconds: number
  readonly requestsPerSecond: number
  /** The mean of the time that a worker takes, at a time. Half of it is fixed, half of it random. */
  readonly work?: (now: number) => number
  /** Unless this says that another part of it is random. */
  readonly chance?: number
  /** Whether an answer at this time is a failure. */
  readonly fails?: (now: number) => boolean
}

/** What was seen in one second. */
interface Second {
  /** The limit at its end. */
  limit: number
  admitted: number
  refused: number
}

/** Runs it, second by second. What is over the limit is refused. */
const simulate = (
  { chance = 0.5, fails, requestsPerSecond, seconds, work, workers }: Scenario
): ReadonlyArray<Second> => {
  const random = randomFrom(7)
  const state = AdaptiveLimit.make(ceiling, 0, () => 0)
  const free = Array<number>(workers).fill(0)
  // In the order in which they end.
  const answers: Array<{ readonly begin: number; readonly end: number }> = []
  const seen = Array.from({ length: seconds }, (): Second => ({ limit: 0, admitted: 0, refused: 0 }))
  for (let now = 0; now < seconds * 1_000; now += (-Math.log(1 - random()) / requestsPerSecond) * 1_000) {
    while (answers.length > 0 && answers[0]!.end <= now) {
      const { begin, end } = answers[0]!
      AdaptiveLimit.expire(state, end, random)
      const outcome = fails?.(end) === true ? "failure" : "success"
      AdaptiveLimit.end(state, ceiling, outcome, Math.round(end - begin), answers.length, end, random)
      answers.shift()
    }
    const second = seen[Math.floor(now / 1_000)]!
    second.limit = AdaptiveLimit.current(state)
    if (answers.length >= second.limit) {
      second.refused++
      continue
    }
    second.admitted++
    const worker = free.indexOf(Math.min(...free))
    const end = Math.max(now, free[worker]!) + (work?.(now) ?? 20) * (1 - chance - chance * Math.log(1 - random()))
    free[worker] = end
    answers.splice(answers.findLastIndex((answer) => answer.end <= end) + 1, 0, { begin: now, end })
  }
  return seen
}

const limits = (seconds: ReadonlyArray<Second>): ReadonlyArray<number> => seconds.map(({ limit }) => limit)

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)

/** The share of what the workers can do that was done. */
const use = (seconds: ReadonlyArray<Second>, workers: number, work = 20): number =>
  sum(seconds.map(({ admitted }) => admitted)) / ((seconds.length * workers * 1_000) / work)

/** Those that are not in a range. */
const outside = (limits: ReadonlyArray<number>, low: number, high: number): ReadonlyArray<number> =>
  limits.filter((limit) => limit < low || limit > high)

describe("the limit of a backend that has more to do than it can", () => {
  // 16 is where the allowance for a queue is as large as what the tolerance takes away.
  it.each([1, 4, 10, 30])(
    "settles near what it can do at once, with %d workers, and wastes none of them",
    (workers) => {
      const seen = simulate({ workers, seconds: 100, requestsPerSecond: workers * 100 })
      const settled = seen.slice(10)
      assert.deepStrictEqual(outside(limits(settled), 4, Math.max(18, 2.5 * workers)), [])
      assert.isAbove(use(settled, workers), 0.97)
    }
  )

  it("does not creep upwards, however long that lasts", () => {
    const seen = limits(simulate({ workers: 20, seconds: 600, requestsPerSecond: 1_500 }))
    assert.deepStrictEqual(outside(seen.slice(10), 14, 40), [])
    assert.closeTo(sum(seen.slice(500)) / 100, sum(seen.slice(100, 200)) / 100, 5)
  })

  it("finds a baseline that it began too high with", () => {
    // The first 20 answers have waited for 20 others already.
    assert.deepStrictEqual(
      outside(limits(simulate({ workers: 2, seconds: 120, requestsPerSecond: 400 }).slice(100)), 4, 18),
      []
    )
  })

  it("does not take the quickest answers for what is usual where they differ much", () => {
    const workers = 50
    // When the baseline is measured, after 30 s and again, the first to answer are those with the least work.
    const settled = simulate({ workers, seconds: 100, requestsPerSecond: workers * 100, chance: 1 }).slice(10)
    assert.deepStrictEqual(outside(limits(settled), 0.5 * workers, 1.8 * workers), [])
    assert.isAbove(use(settled, workers), 0.97)
  })

  it("is as high as before soon after an outage, during which it is at its floor", () => {
    const seen = simulate({
      workers: 50,
      seconds: 29,
      requestsPerSecond: 5_000,
      fails: (now) => now >= 10_000 && now < 20_000
    })
    assert.deepStrictEqual(outside(limits(seen.slice(12, 20)), 4, 4), [])
    assert.deepStrictEqual(outside(limits(seen.slice(25)), 60, 100), [])
  })

  it("shrinks while it is slow, and is as high as before soon after", () => {
    const seen = simulate({
      workers: 50,
      seconds: 26,
      requestsPerSecond: 4_000,
      work: (now) => now >= 8_000 && now < 16_000 ? 1_000 : 20
    })
    assert.deepStrictEqual(outside(limits(seen.slice(13, 16)), 4, 50), [])
    assert.deepStrictEqual(outside(limits(seen.slice(22)), 60, 100), [])
  })

  it("learns that it takes three times as long for good", () => {
    const seen = simulate({
      workers: 50,
      seconds: 120,
      requestsPerSecond: 3_000,
      work: (now) => now < 20_000 ? 20 : 60
    })
    assert.isAbove(use(seen.slice(80), 50, 60), 0.97)
    assert.deepStrictEqual(outside(limits(seen.slice(80)), 35, 100), [])
  })

  it("learns as well that it takes twenty times as long for good", () => {
    const seen = simulate({
      workers: 50,
      seconds: 140,
      requestsPerSecond: 3_000,
      work: (now) => now < 20_000 ? 20 : 400
    })
    assert.isAbove(use(seen.slice(100), 50, 400), 0.9)
    assert.deepStrictEqual(outside(limits(seen.slice(100)), 35, 120), [])
  })
})

describe("the limit of a backend that can do more than it has to", () => {
  it("never refuses anything", () => {
    const seen = simulate({ workers: 50, seconds: 60, requestsPerSecond: 400 })
    assert.strictEqual(sum(seen.map(({ refused }) => refused)), 0)
  })

  it("does not grow far beyond twice what is in flight", () => {
    // Eight on the average.
    assert.deepStrictEqual(outside(limits(simulate({ workers: 200, seconds: 60, requestsPerSecond: 400 })), 20, 50), [])
  })
})

// -----------------------------------------------------------------------------
// Answer by answer
// -----------------------------------------------------------------------------

/** An answer every five milliseconds, so that 20 of them are a window. */
const answers = (
  state: AdaptiveLimit.State,
  n: number,
  from: number,
  inFlight: number,
  latency = 20,
  outcome: Outcome = "success"
) => {
  for (let i = 1; i <= n; i++) AdaptiveLimit.end(state, ceiling, outcome, latency, inFlight, from + i * 5, () => 0.5)
  return AdaptiveLimit.current(state)
}

describe("a window", () => {
  const fresh = () => AdaptiveLimit.make(ceiling, 0, () => 0)

  it("raises the limit by half of its square root when all is well and at least half of it is used", () => {
    const state = fresh()
    assert.strictEqual(answers(state, 19, 0, 20), 20)
    assert.strictEqual(answers(state, 1, 95, 20), 22)
    assert.closeTo(state.limit, 20 + Math.sqrt(20) / 2, 1e-9)
    assert.strictEqual(answers(fresh(), 20, 0, 10), 22)
    // It was used for a moment.
    const bursts = fresh()
    answers(bursts, 1, 0, 20)
    assert.strictEqual(answers(bursts, 19, 5, 1), 22)
  })

  it("does not raise it when less is used", () => {
    assert.strictEqual(answers(fresh(), 200, 0, 9), 20)
  })

  it("lasts for 100 ms at least", () => {
    const state = fresh()
    for (let i = 0; i < 100; i++) AdaptiveLimit.end(state, ceiling, "success", 20, 20, 99, () => 0)
    assert.strictEqual(AdaptiveLimit.current(state), 20)
    AdaptiveLimit.end(state, ceiling, "success", 20, 20, 100, () => 0)
    assert.strictEqual(AdaptiveLimit.current(state), 22)
  })

  it("lowers it when latencies are more than one and a half times the baseline", () => {
    const state = { ...fresh(), limit: 100 }
    answers(state, 20, 0, 100, 19)
    const before = state.limit
    answers(state, 20, 100, 100, 28)
    assert.isAbove(state.limit, before)
    const high = state.limit
    answers(state, 20, 200, 100, 59)
    // Half as many, and the allowance; half of the way there.
    assert.closeTo(state.limit, high + (high * 0.5 + Math.sqrt(high) - high) / 2, 1e-9)
  })

  it("does not lower it for latencies while less than half of it is used", () => {
    const state = { ...fresh(), limit: 100 }
    answers(state, 20, 0, 100, 19)
    const before = state.limit
    answers(state, 20, 100, 10, 500)
    assert.strictEqual(state.limit, before)
  })

  it("moves the baseline by a tenth towards lower latencies, and not towards higher ones", () => {
    const state = fresh()
    answers(state, 20, 0, 20, 19)
    answers(state, 20, 100, 20, 9)
    assert.closeTo(state.baseline, 19, 1e-9)
    answers(state, 20, 200, 20, 99)
    assert.closeTo(state.baseline, 19, 1e-9)
  })

  it("moves it towards higher ones as well where little is in flight", () => {
    const state = fresh()
    answers(state, 20, 0, 2, 19)
    answers(state, 20, 100, 2, 39)
    assert.closeTo(state.baseline, 21, 1e-9)
  })

  it("hardly notices one slow answer", () => {
    const state = { ...fresh(), limit: 100 }
    answers(state, 20, 0, 100)
    const before = state.limit
    answers(state, 19, 100, 100)
    answers(state, 1, 195, 100, 10_000)
    assert.isAbove(state.limit, before)
  })

  it("lowers it by the share of failures, in flight or not", () => {
    const state = { ...fresh(), limit: 400 }
    answers(state, 10, 0, 2)
    answers(state, 10, 50, 2, 1, "failure")
    assert.closeTo(state.limit, 400 + (200 + 20 - 400) / 2, 1e-9)
  })

  it("knows nothing of tries that were given up", () => {
    const state = fresh()
    answers(state, 100, 0, 20, 1, "aborted")
    assert.deepInclude(state, { limit: 20, successes: 0, failures: 0, baseline: 0 })
  })
})

describe("a measurement of the baseline", () => {
  /** At its limit for 30 s, with a queue of its own making. */
  const busy = (random = 0) => {
    const state = AdaptiveLimit.make(ceiling, 0, () => random)
    let now = 0
    for (; Number.isNaN(state.halvedAt); now += 100) {
      assert.isBelow(now, 38_000)
      answers(state, 20, now, Math.floor(state.limit))
    }
    return { state, now, limit: state.limit }
  }

  it("halves the limit, and puts it back after 20 answers, and ten latencies, that did not wait behind others", () => {
    const { limit, now, state } = busy()
    assert.isAbove(now, 29_900)
    assert.isBelow(now, 31_000)
    const half = Math.floor(limit / 2)
    assert.strictEqual(AdaptiveLimit.current(state), half)
    // Too many are in flight still.
    assert.strictEqual(answers(state, 40, now, half + 1), half)
    // These began before.
    assert.strictEqual(answers(state, 3, now + 200, half, 200), half)
    assert.strictEqual(answers(state, 19, now + 300, half, 7), half)
    assert.strictEqual(answers(state, 1, now + 395, half, 7), Math.floor(limit))
    assert.closeTo(state.baseline, 8, 1e-9)
    assert.isAbove(state.measureAt, now + 30_000)
  })

  it("is not made at the same time for all that have joined together and are busy from then on", () => {
    const times = [0, 0.5, 0.99].map((random) => busy(random).now)
    assert.isAbove(times[1]! - times[0]!, 3_000)
    assert.isAbove(times[2]! - times[1]!, 3_000)
  })

  it("is made less often where it takes long, so that the limit is halved for a tenth of the time at most", () => {
    const { limit, now, state } = busy()
    const half = Math.floor(limit / 2)
    answers(state, 1, now, half, 1_000)
    // Ten latencies are not over.
    assert.strictEqual(answers(state, 20, now + 9_000, half, 1_000), half)
    assert.strictEqual(answers(state, 1, now + 11_000, half, 1_000), Math.floor(limit))
    assert.isAtLeast(state.measureAt, now + 110_000)
  })

  it("is given up when it takes too long", () => {
    const { limit, now, state } = busy()
    AdaptiveLimit.expire(state, now + 2_000, () => 0)
    assert.isBelow(AdaptiveLimit.current(state), limit - 1)
    AdaptiveLimit.expire(state, now + 2_500, () => 0)
    assert.strictEqual(AdaptiveLimit.current(state), Math.floor(limit))
    assert.strictEqual(state.measureAt, now + 32_500)
  })

  it("learns nothing from failures, and is over after 20 of them", () => {
    const { limit, now, state } = busy()
    const { baseline } = state
    assert.strictEqual(answers(state, 20, now, Math.floor(limit / 2), 0, "failure"), Math.floor(limit))
    assert.strictEqual(state.baseline, baseline)
  })

  it("does not halve the limit below its floor", () => {
    const state = { ...AdaptiveLimit.make(ceiling, 0, () => 0), limit: 4 }
    for (let now = 0; Number.isNaN(state.halvedAt); now += 100) {
      assert.isBelow(now, 38_000)
      answers(state, 20, now, 4, 20, "failure")
    }
    assert.strictEqual(AdaptiveLimit.current(state), 4)
  })

  it("is not made where the baseline is seen in any case", () => {
    const state = AdaptiveLimit.make(ceiling, 0, () => 0)
    for (let now = 0; now < 120_000; now += 100) {
      answers(state, 20, now, 9)
      assert.isNaN(state.halvedAt)
    }
    // Nor as soon as it is not any more.
    answers(state, 20, 120_000, 20)
    assert.isNaN(state.halvedAt)
  })
})

describe("the limit", () => {
  it.each([4, 30])("does not go beyond the ceiling, which is %d, however much is in flight", (ceiling) => {
    const state = AdaptiveLimit.make(ceiling, 0, () => 0)
    assert.strictEqual(AdaptiveLimit.current(state), Math.min(AdaptiveLimit.initial, ceiling))
    for (let now = 0; now < 10_000; now += 10) {
      AdaptiveLimit.end(state, ceiling, "success", 10, ceiling, now, () => 0)
      assert.isAtMost(state.limit, ceiling)
    }
    assert.strictEqual(AdaptiveLimit.current(state), ceiling)
  })

  it("is a whole number from the floor to the ceiling, whatever happens", () => {
    const event = fc.record({
      outcome: fc.constantFrom<Outcome>("success", "success", "success", "failure", "aborted"),
      latency: fc.oneof(fc.nat(100), fc.constantFrom(0, 60_000)),
      inFlight: fc.integer({ min: 1, max: 60 }),
      pause: fc.constantFrom(0, 5, 200, 40_000)
    })
    fc.assert(fc.property(fc.array(event, { maxLength: 200, size: "max" }), (events) => {
      const state = AdaptiveLimit.make(30, 0, () => 0)
      let now = 0
      for (const { inFlight, latency, outcome, pause } of events) {
        now += pause
        AdaptiveLimit.expire(state, now, () => 0.5)
        AdaptiveLimit.end(state, 30, outcome, latency, inFlight, now, () => 0.5)
        const limit = AdaptiveLimit.current(state)
        assert(Number.isInteger(limit) && limit >= 4 && limit <= 30, `${limit}`)
      }
    }))
  })
})
