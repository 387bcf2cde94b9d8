import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { strategies } from "../../../src/layers/strategies/index.ts"
import * as ManualClock from "../../../src/layers/testing/ManualClock.ts"
import * as Backend from "../../../src/services/Backend.ts"
import * as Load from "../../../src/services/Load.ts"
import { anonymous } from "../../../src/services/Strategy.ts"
import { endpoints } from "../../endpoints.ts"
import { build, type Scenario, simulate } from "../../simulation/Simulation.ts"

const backends = (n: number) => Array.from({ length: n }, (_, i) => Backend.make(`http://b${i}`))

interface Wish extends Pick<Scenario, "duration" | "requestsPerSecond" | "length"> {
  readonly n?: number
}

/** For each second, how many requests each backend got. */
const perSecond = Effect.fnUntraced(function*({ n = 3, ...wish }: Wish) {
  const counts = Array.from({ length: wish.length / 1000 }, () => Array<number>(n).fill(0))
  yield* simulate(strategies["peak-ewma"], {
    ...wish,
    backends: backends(n),
    seed: 7,
    onRequest: (at, backend) => counts[Math.floor(at / 1000)]![backend]!++
  })
  return counts
})

const total = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, n) => sum + n, 0)

/** How many requests the first backend got from one second to another. */
const ofFirst = (counts: ReadonlyArray<ReadonlyArray<number>>, from: number, to: number): number =>
  total(counts.slice(from, to).map(([first]) => first!))

/** An endpoint that has answered once, so late and at this time. */
const answered = (endpoint: Load.Endpoint, latency: number, now: number): void => {
  Load.begin(endpoint.load)
  Load.end(endpoint.load, "success", latency, now)
}

describe("peak-ewma", () => {
  it("takes the faster of two that are idle, and the less busy of two that are as fast", () => {
    const clock = ManualClock.make()
    const list = endpoints([1, 1])
    answered(list[0]!, 20, 0)
    answered(list[1]!, 10, 0)
    const picker = build(strategies["peak-ewma"], 1, clock).make(list)
    for (let i = 0; i < 20; i++) assert.strictEqual(picker.pick(anonymous), list[1])
    // Two in flight at 10 ms come to 30 ms.
    list[1]!.load.inFlight = 2
    for (let i = 0; i < 20; i++) assert.strictEqual(picker.pick(anonymous), list[0])
  })

  it("does not let a hair's breadth decide", () => {
    const list = endpoints([1, 1])
    answered(list[0]!, 20, 0)
    answered(list[1]!, 20.5, 0)
    const picker = build(strategies["peak-ewma"], 1, ManualClock.make()).make(list)
    const ofFirst = Array.from({ length: 200 }, () => picker.pick(anonymous)).filter((endpoint) => endpoint === list[0])
    assert.closeTo(ofFirst.length, 100, 30)
  })

  it("takes one without an answer for an average one, whatever the last answer of another one was", () => {
    const list = endpoints([1, 1])
    const [known, fresh] = [list[0]!, list[1]!]
    const picker = build(strategies["peak-ewma"], 1, ManualClock.make()).make(list)
    const tell = (latency: number) => {
      answered(known, latency, 0)
      picker.observe?.(known, "success", latency)
    }
    const picked = () => new Set(Array.from({ length: 20 }, () => picker.pick(anonymous)))
    tell(20)
    assert.deepStrictEqual(picked(), new Set(list))
    tell(40)
    assert.deepStrictEqual(picked(), new Set([fresh]))
  })

  it("asks one that has not been asked for long, once, also when the pool has just changed", () => {
    const list = endpoints([1, 1, 1])
    const now = 1_000_000
    for (let i = 0; i < 1_000; i++) for (const endpoint of list.slice(0, 2)) answered(endpoint, 20, now)
    answered(list[2]!, 1_500, now - 10_000)
    const picker = build(strategies["peak-ewma"], 1, ManualClock.make()).make(list)
    const picked = Array.from({ length: 100 }, () => picker.pick(anonymous))
    assert.strictEqual(picked.filter((endpoint) => endpoint === list[2]).length, 1)
  })

  it("measures in flight by weight", () => {
    const list = endpoints([10, 1])
    for (const endpoint of list) answered(endpoint, 10, 0)
    const picker = build(strategies["peak-ewma"], 1, ManualClock.make()).make(list)
    Object.assign(list[0]!.load, { inFlight: 5 })
    Object.assign(list[1]!.load, { inFlight: 1 })
    for (let i = 0; i < 20; i++) assert.strictEqual(picker.pick(anonymous), list[0])
    Object.assign(list[0]!.load, { inFlight: 15 })
    for (let i = 0; i < 20; i++) assert.strictEqual(picker.pick(anonymous), list[1])
  })

  it.effect.each([10, 100, 300, 1_000])(
    "asks a backend that answers in 1.5 s, among two at 20 ms, once in a while: %i requests a second",
    (requestsPerSecond) =>
      Effect.gen(function*() {
        const counts = yield* perSecond({ requestsPerSecond, length: 60_000, duration: (b) => b === 0 ? 1_500 : 20 })
        const perTenSeconds = ofFirst(counts, 10, 60) / 5
        assert.isAtMost(perTenSeconds, 8)
        assert.isAbove(perTenSeconds, 0)
      })
  )

  it.effect.each([100, 300, 1_000])(
    "gives a backend that was ill its share again within seconds, and not more than that: %i requests a second",
    (requestsPerSecond) =>
      Effect.gen(function*() {
        // Where there are few requests, it takes as many and therefore more time.
        const recovered = requestsPerSecond < 200 ? 23 : 20
        const counts = yield* perSecond({
          requestsPerSecond,
          length: 30_000,
          duration: (b, now) => b === 0 && now >= 10_000 && now < 15_000 ? 1_500 : 20
        })
        assert.isAtMost(ofFirst(counts, 10, 15), 0.05 * requestsPerSecond + 5)
        for (let second = 15; second < 30; second++) {
          assert.isAtMost(ofFirst(counts, second, second + 1) / total(counts[second]!), 0.5, `in second ${second}`)
        }
        assert.closeTo(ofFirst(counts, recovered, 30) / total(counts.slice(recovered).flat()), 1 / 3, 0.07)
      })
  )

  it.effect("leaves a backend that hangs after about ten requests", () =>
    Effect.gen(function*() {
      const duration = (b: number, now: number) => b === 0 && now >= 5_000 ? Infinity : 20
      const counts = yield* perSecond({ requestsPerSecond: 300, length: 60_000, duration })
      assert.isAtMost(ofFirst(counts, 5, 60), 14)
    }))

  it("neither floods nor starves a newcomer", () => {
    const clock = ManualClock.make()
    const list = endpoints([1, 1, 1])
    // The third has not answered yet.
    for (const endpoint of list.slice(0, 2)) answered(endpoint, 20, 0)
    const picker = build(strategies["peak-ewma"], 1, clock).make(list)
    for (let i = 0; i < 30; i++) Load.begin(picker.pick(anonymous)!.load)
    for (const { load } of list) assert.closeTo(load.inFlight, 10, 2)
  })

  it("takes for the mean what answers took, and not what backends take that nobody asks", () => {
    const list = endpoints([1, 1, 1])
    for (let i = 0; i < 99; i++) answered(list[0]!, 20, i)
    answered(list[1]!, 10_000, 99)
    // The third is new and must not be taken for one at 5 s.
    const picker = build(strategies["peak-ewma"], 1, ManualClock.make()).make(list)
    list[0]!.load.inFlight = 8
    const chosen = Array.from({ length: 300 }, () => picker.pick(anonymous))
    // It wins against both of the others, which is two draws of three.
    assert.closeTo(chosen.filter((endpoint) => endpoint === list[2]).length, 200, 30)
    assert.notInclude(chosen, list[1])
  })

  it.effect("spreads evenly over backends that do not answer alike from request to request", () =>
    Effect.gen(function*() {
      const counts = yield* perSecond({
        n: 5,
        requestsPerSecond: 500,
        length: 60_000,
        duration: (_, __, random) => 10 - Math.log(1 - random()) * 10
      })
      for (let b = 0; b < 5; b++) {
        assert.closeTo(total(counts.map((second) => second[b]!)) / total(counts.flat()), 1 / 5, 0.02)
      }
    }))

  it.effect("leaves none out for longer than a second of traffic for one answer that took milliseconds longer", () =>
    Effect.gen(function*() {
      const last = [0, 0, 0]
      let longest = 0
      yield* simulate(strategies["peak-ewma"], {
        backends: backends(3),
        duration: (_backend, _now, random) => random() < 0.01 ? 5 : Math.floor(random() * 2),
        requestsPerSecond: 200,
        length: 120_000,
        seed: 7,
        onRequest: (at, backend) => {
          longest = Math.max(longest, at - last[backend]!)
          last[backend] = at
        }
      })
      // Without an allowance for the clock it was 1,400 ms.
      assert.isBelow(longest, 1_000)
    }))

  it("forgets what it knows of a backend that is not asked", () => {
    const list = endpoints([1, 1])
    const picker = build(strategies["peak-ewma"], 1, ManualClock.make()).make(list)
    const answer = (endpoint: Load.Endpoint, latency: number, now: number) => {
      answered(endpoint, latency, now)
      picker.observe?.(endpoint, "success", latency)
    }
    answer(list[0]!, 1_500, 0)
    answer(list[1]!, 20, 0)
    const picked = Array.from({ length: 1_000 }, (_, i) => {
      const endpoint = picker.pick(anonymous)!
      answer(endpoint, 20, i * 10)
      return endpoint
    })
    assert.include(picked, list[0])
  })

  it("learns nothing from what clients have given up", () => {
    const list = endpoints([1, 1, 1])
    const picker = build(strategies["peak-ewma"], 1, ManualClock.make()).make(list)
    answered(list[0]!, 1_500, 0)
    answered(list[1]!, 20, 0)
    picker.observe?.(list[1]!, "success", 20)
    for (let i = 0; i < 1_000; i++) picker.observe?.(list[0]!, "aborted", 10)
    // Who has not answered yet is taken for one like the second, and not like the first.
    const picked = Array.from({ length: 100 }, () => picker.pick(anonymous))
    assert.closeTo(picked.filter((endpoint) => endpoint === list[2]).length, 50, 25)
  })

  it("starts where another strategy has left off", () => {
    const clock = ManualClock.make()
    const list = endpoints([1, 1])
    answered(list[0]!, 900, 0)
    answered(list[1]!, 10, 0)
    clock.now = 100
    const picker = build(strategies["peak-ewma"], 1, clock).make(list)
    assert.strictEqual(picker.pick(anonymous), list[1])
  })
})
