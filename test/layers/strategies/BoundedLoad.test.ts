/**
 * Bounded loads, as Mirrokni, Thorup and Zadimoghaddam define them (2016): at most the average times
 * a factor, rounded up.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as fc from "fast-check"
import { strategies, type StrategyName, strategyOf } from "../../../src/layers/strategies/index.ts"
import * as Zones from "../../../src/layers/strategies/Zones.ts"
import * as Load from "../../../src/services/Load.ts"
import { anonymous, type PickContext, type Picker, Strategy } from "../../../src/services/Strategy.ts"
import { endpoints, idsOf } from "../../endpoints.ts"

type Endpoints = ReadonlyArray<Load.Endpoint>

const build = (layer: Layer.Layer<Strategy>, seed = 1): Strategy["Service"] =>
  Effect.runSync(Strategy.pipe(Effect.provide(layer), Random.withSeed(seed)))

const bounded = (name: StrategyName, factor: number, list: Endpoints, seed = 1): Picker =>
  build(Zones.layer(undefined, undefined, factor).pipe(Layer.provide(strategies[name])), seed).make(list)

const contextOf = (key: string | undefined): PickContext => ({ ...anonymous, key: () => key })

const inFlight = (list: Endpoints): number => list.reduce((sum, { load }) => sum + load.inFlight, 0)

/** What an endpoint may have in flight, once one more request is. */
const boundOf = (list: Endpoints, one: Load.Endpoint, factor: number, ignoresWeights = false): number => {
  const weights = list.reduce((sum, { backend }) => sum + backend.weight, 0)
  const share = ignoresWeights ? 1 / list.length : one.backend.weight / weights
  return Math.ceil(factor * (inFlight(list) + 1) * share)
}

const begin = (picker: Picker, key?: string): Load.Endpoint => {
  const one = picker.pick(contextOf(key))!
  Load.begin(one.load)
  return one
}

const end = (picker: Picker, one: Load.Endpoint): void => {
  Load.end(one.load, "success", 1, 0)
  picker.observe?.(one, "success", 1)
  picker.ended?.(one)
}

const names = ["ring-hash", "maglev", "rendezvous", "round-robin", "random", "least-requests"] as const

// Sixteenths are exact, so that both sides of the comparison round alike.
const factors = fc.integer({ min: 17, max: 48 }).map((n) => n / 16)

/** The key of a request that begins, of which a few are hot; or which of those in flight ends. */
const steps = fc.array(
  fc.oneof({ arbitrary: fc.constantFrom("hot", "warm", "a", "b", undefined), weight: 3 }, fc.nat(1_000)),
  { minLength: 50, maxLength: 300, size: "max" }
)

describe.each(names)("bounded load around %s", (name) => {
  const ignoresWeights = build(strategies[name]).ignoresWeights === true

  it("never gives anybody more than its bound, whatever begins and ends", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 }),
        factors,
        fc.integer(),
        steps,
        (weights, factor, seed, steps) => {
          const list = endpoints(weights)
          const picker = bounded(name, factor, list, seed)
          const open: Array<Load.Endpoint> = []
          for (const step of steps) {
            if (typeof step === "number") {
              const [one] = open.splice(step % Math.max(1, open.length), 1)
              if (one !== undefined) end(picker, one)
              continue
            }
            const one = picker.pick(contextOf(step))!
            assert.isAtMost(one.load.inFlight + 1, boundOf(list, one, factor, ignoresWeights))
            Load.begin(one.load)
            open.push(one)
          }
        }
      ),
      { numRuns: 30 }
    )
  })

  it("keeps the bound in a large pool, too, where the sum is not taken at every pick", () => {
    const list = endpoints(Array.from({ length: 500 }, () => 1))
    const picker = bounded(name, 1.25, list)
    const open: Array<Load.Endpoint> = []
    for (let i = 0; i < 6_000; i++) {
      const one = picker.pick(contextOf(i % 3 === 0 ? "hot" : `k${i % 700}`))!
      assert.isAtMost(one.load.inFlight + 1, boundOf(list, one, 1.25))
      Load.begin(one.load)
      open.push(one)
      if (open.length > 2_000) end(picker, open.splice((i * 7919) % open.length, 1)[0]!)
    }
  })

  it("knows in a large pool that many have ended since the sum was taken", () => {
    const list = endpoints(Array.from({ length: 500 }, () => 1))
    const picker = bounded(name, 1.25, list)
    const open = Array.from({ length: 4_001 }, () => begin(picker, "hot"))
    for (const one of open.splice(500)) end(picker, one)
    for (let i = 0; i < 20; i++) {
      const one = picker.pick(contextOf("hot"))!
      assert.isAtMost(one.load.inFlight + 1, boundOf(list, one, 1.25))
      Load.begin(one.load)
    }
  })

  it("takes the sum anew in a large pool when nobody seems to be within the bound", () => {
    const list = endpoints(Array.from({ length: 500 }, () => 1))
    const picker = bounded(name, 1.25, list)
    const first = picker.pick(contextOf("hot"))!
    // Another balancer over the same backends has been busy since.
    for (const { load } of list) load.inFlight = 5
    first.load.inFlight = 100
    for (let i = 0; i < 20; i++) assert.notStrictEqual(picker.pick(contextOf("hot")), first)
  })

  it("picks somebody all the same when everybody is far above what is fair, or nobody tells how tries end", () => {
    const list = endpoints([1, 1, 1])
    const picker = bounded(name, 1.25, list)
    list[0]!.load.inFlight = 1_000
    list[1]!.load.inFlight = 1_000
    assert.strictEqual(picker.pick(contextOf("a")), list[2])
    for (let i = 0; i < 100; i++) assert.isDefined(picker.pick(contextOf("a")))
  })

  it("has nobody for an empty list", () => {
    assert.isUndefined(bounded(name, 1.25, []).pick(anonymous))
  })
})

describe("bounded load", () => {
  it("takes what the strategy proposes as long as that is within its bound", () => {
    const picker = bounded("round-robin", 1.25, endpoints([1, 1, 1, 1]))
    const picked = Array.from({ length: 8 }, () => picker.pick(anonymous))
    assert.deepStrictEqual(idsOf(picked), ["a0", "a1", "a2", "a3", "a0", "a1", "a2", "a3"])
  })

  it("tells the strategy of answers and of ends", () => {
    const told: Array<string> = []
    const watching = Layer.succeed(Strategy, {
      name: "watching",
      make: (list) => ({
        pick: () => list[0],
        observe: (_, outcome, latencyMs) => told.push(`${outcome} after ${latencyMs}`),
        ended: () => told.push("ended")
      })
    })
    const list = endpoints([1])
    const picker = build(Layer.provide(Zones.layer(undefined, undefined, 1.25), watching)).make(list)
    end(picker, begin(picker))
    assert.deepStrictEqual(told, ["success after 1", "ended"])
  })
})

describe("bounded load around a hash strategy", () => {
  const list = (n: number): Endpoints => endpoints(Array.from({ length: n }, () => 1))

  it("leaves every key where it was while nobody is busy", () => {
    const picker = bounded("ring-hash", 1.25, list(10))
    const plain = build(strategies["ring-hash"]).make(list(10))
    for (let i = 0; i < 300; i++) {
      const key = `k${i}`
      assert.strictEqual(picker.pick(contextOf(key))?.backend.id, plain.pick(contextOf(key))?.backend.id)
    }
  })

  it.each(["ring-hash", "maglev", "rendezvous"] as const)(
    "spreads a hot key over as few as the bound allows, in the order of its ranking: %s",
    (name) => {
      const all = list(8)
      const picker = bounded(name, 2, all)
      const plain = build(strategies[name]).make(all)
      const ranked: Array<Endpoints[number]> = []
      for (const _ of all) ranked.push(plain.pickWhere!(contextOf("hot"), (one) => !ranked.includes(one))!)
      const order = idsOf(ranked)
      const used = Array.from({ length: 40 }, () => begin(picker, "hot").backend.id)
      // Twice the average is a quarter of all: four backends hold 40 requests.
      assert.sameMembers([...new Set(used)], order.slice(0, 4))
      assert.deepStrictEqual([...new Set(used)], order.slice(0, 4))
    }
  )

  it("has a maximum of the average times the factor for random keys, where the ring alone has far more", () => {
    const most = (make: (list: Endpoints) => Picker): number => {
      const all = list(50)
      const picker = make(all)
      for (let i = 0; i < 5_000; i++) begin(picker, `key ${i}`)
      return Math.max(...all.map(({ load }) => load.inFlight))
    }
    assert.isAtMost(most((all) => bounded("ring-hash", 1.125, all)), Math.ceil(1.125 * 100))
    assert.isAbove(most((all) => build(strategies["ring-hash"]).make(all)), 115)
  })

  it("minds who else cannot be taken", () => {
    const all = list(4)
    const picker = bounded("ring-hash", 1.25, all)
    const first = picker.pick(contextOf("k"))!
    const next = picker.pickWhere!(contextOf("k"), (one) => one !== first)!
    assert.notStrictEqual(next, first)
    next.load.inFlight = 3
    const other = picker.pickWhere!(contextOf("k"), (one) => one !== first)
    assert(other !== undefined && other !== first && other !== next)
    assert.isUndefined(picker.pickWhere!(contextOf("k"), () => false))
  })
})

describe("hash.balanceFactor", () => {
  const picks = (balanceFactor: number | undefined): number => {
    const picker = build(
      strategyOf({ strategy: "maglev", hash: { balanceFactor }, subset: { id: "", size: undefined } })
    ).make(endpoints([1, 1, 1, 1]))
    return new Set(Array.from({ length: 20 }, () => begin(picker, "hot"))).size
  }

  it("is off unless it is set", () => assert.strictEqual(picks(undefined), 1))
  it("bounds the load of the strategy", () => assert.strictEqual(picks(1.25), 4))
})
