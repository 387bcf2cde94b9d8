/** The laws for every strategy, and what only one of them promises below them. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Struct from "effect/Struct"
import * as fc from "fast-check"
import { readdirSync, readFileSync } from "node:fs"
import { strategies } from "../../src/layers/strategies/index.ts"
import * as StrategyLaws from "../../src/layers/testing/StrategyLaws.ts"
import * as Load from "../../src/services/Load.ts"
import { anonymous, type PickContext, type Picker, Strategy } from "../../src/services/Strategy.ts"
import { endpoints, idsOf } from "../endpoints.ts"
import { traits } from "./Traits.ts"

/** The strategy of a layer, with random numbers that are the same for the same seed. */
const build = (layer: Layer.Layer<Strategy>, seed: number): Strategy["Service"] =>
  Effect.runSync(Strategy.pipe(Effect.provide(layer), Random.withSeed(seed)))

const picks = (picker: Picker, n: number, context: PickContext = anonymous): Array<Load.Endpoint | undefined> =>
  Array.from({ length: n }, () => picker.pick(context))

/** Sends `n` requests, of which up to `concurrency` are in flight, and counts who got how many. */
const serve = (picker: Picker, n: number, concurrency: number): Map<string, number> => {
  const counts = new Map<string, number>()
  const inFlight: Array<Load.Endpoint> = []
  for (let i = 0; i < n; i++) {
    const endpoint = picker.pick(anonymous)!
    counts.set(endpoint.backend.id, (counts.get(endpoint.backend.id) ?? 0) + 1)
    Load.begin(endpoint.load)
    inFlight.push(endpoint)
    if (inFlight.length < concurrency) continue
    // Ends in an order that is neither first in first out nor the opposite, and always the same.
    const at = (i * 7919) % inFlight.length
    const ended = inFlight[at]!
    inFlight[at] = inFlight.at(-1)!
    inFlight.pop()
    Load.end(ended.load, "success", 1, i)
    picker.observe?.(ended, "success", 1)
    picker.ended?.(ended)
  }
  return counts
}

const total = (numbers: Iterable<number>): number => Array.from(numbers).reduce((sum, n) => sum + n, 0)

/** Where a bound decides, pools of several seeds are tried, so that one that holds by chance is noticed. */
const seedsOf = (law: StrategyLaws.Law): ReadonlyArray<number> =>
  law === StrategyLaws.fairShares || law === StrategyLaws.fewKeysMove ? [1, 2, 3, 4, 5] : [1]

const weight = fc.integer({ min: 1, max: 1000 })

describe.each(Struct.keys(strategies))("%s", (name) => {
  const { bounds, isDeterministic, readsLoad, usesKey } = traits[name]
  const strategy = (seed: number) => build(strategies[name], seed)

  it("says its own name", () => {
    assert.strictEqual(strategy(1).name, name)
  })

  for (const law of StrategyLaws.laws) {
    it.effect(
      law.name,
      () =>
        Effect.forEach(seedsOf(law), (seed) => StrategyLaws.check(law, { layer: strategies[name], seed, ...bounds })),
      60_000
    )
  }

  it(`${isDeterministic ? "picks the same, whatever the seed" : "takes its chance from the seed"}`, () => {
    const order = (seed: number) => idsOf(picks(strategy(seed).make(endpoints([1, 2, 3, 4])), 40)).join(" ")
    assert.strictEqual(order(1) === order(2), isDeterministic)
  })

  it.skipIf(bounds?.shares === "other")(`${readsLoad ? "spares" : "does not look at"} who is busy`, () => {
    const list = endpoints([1, 1, 1])
    list[0]!.load.inFlight = 1_000
    const picker = strategy(1).make(list)
    const counts = new Map<string, number>()
    for (const endpoint of picks(picker, 3_000)) {
      counts.set(endpoint!.backend.id, (counts.get(endpoint!.backend.id) ?? 0) + 1)
    }
    if (readsLoad) assert.isBelow(counts.get("a0") ?? 0, 500)
    else assert.approximately(counts.get("a0") ?? 0, 1_000, 150)
  })

  it(`${usesKey ? "gives the same key to the same backend" : "does not look at the key"}`, () => {
    const list = endpoints([1, 2, 1, 1])
    const order = (key: string | undefined) =>
      idsOf(picks(strategy(1).make(list), 20, { ...anonymous, key: () => key })).join(" ")
    for (const key of ["a", "b", ""]) {
      if (usesKey) assert.strictEqual(new Set(order(key).split(" ")).size, 1)
      else assert.strictEqual(order(key), order(undefined))
    }
  })
})

// -----------------------------------------------------------------------------
// What only one of them promises
// -----------------------------------------------------------------------------

describe("round-robin, exactly", () => {
  const make = (n: number) => build(strategies["round-robin"], 1).make(endpoints(Array.from({ length: n }, () => 1)))

  it("takes each in turn, in the order of the configuration", () => {
    assert.deepStrictEqual(idsOf(picks(make(3), 7)), ["a0", "a1", "a2", "a0", "a1", "a2", "a0"])
  })

  it("does not begin again with the first when the list changes", () => {
    const strategy = build(strategies["round-robin"], 1)
    const list = endpoints([1, 1, 1, 1])
    const counts = new Map<Load.Endpoint, number>()
    // The last one flaps: the list is another one after every pick.
    for (let i = 0; i < 1_200; i++) {
      const endpoint = strategy.make(i % 2 === 0 ? list : list.slice(0, 3)).pick(anonymous)!
      counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1)
    }
    for (const endpoint of list.slice(0, 3)) assert.isAbove(counts.get(endpoint) ?? 0, 200)
  })
})

describe("weighted-round-robin, exactly", () => {
  const make = (weights: ReadonlyArray<number>) => build(strategies["weighted-round-robin"], 1).make(endpoints(weights))

  it("takes equal weights in turn, in the order of the configuration", () => {
    assert.deepStrictEqual(idsOf(picks(make([2, 2, 2]), 7)), ["a0", "a1", "a2", "a0", "a1", "a2", "a0"])
  })

  it("spreads weights 5, 1, 1 evenly: a heavy backend gets no burst", () => {
    assert.strictEqual(idsOf(picks(make([5, 1, 1]), 7)).join(" "), "a0 a0 a0 a1 a0 a0 a2")
  })

  it("never strays from its share by more than one request and its part of the pool's size, at any moment", () => {
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 12 }), (weights) => {
        const picker = make(weights)
        const sum = total(weights)
        const counts = weights.map(() => 0)
        for (let n = 1; n <= 300; n++) {
          counts[Number(picker.pick(anonymous)!.backend.id.slice(1))]!++
          const stray = weights.findIndex((weight, i) =>
            Math.abs(counts[i]! - (n * weight) / sum) > 1 + (weight / sum) * weights.length
          )
          assert(stray === -1, `a${stray} of ${weights.join(":")} has ${counts[stray]} of ${n}`)
        }
      })
    )
  })

  it("leaves as much time between two turns as the weight says, give or take one turn", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 8 }), (weights) => {
      const sum = total(weights)
      const order = idsOf(picks(make(weights), 5 * sum))
      weights.forEach((weight, i) => {
        const turns = order.flatMap((id, n) => (id === `a${i}` ? [n] : []))
        for (let t = 1; t < turns.length; t++) {
          const gap = turns[t]! - turns[t - 1]!
          assert.approximately(gap, sum / weight, weights.length, `a${i} of ${weights.join(":")}`)
        }
      })
    }))
  })

  it("lets the first in the configuration go first when two are due at the same time", () => {
    assert.strictEqual(idsOf(picks(make([3, 1]), 8)).join(" "), "a0 a0 a0 a1 a0 a0 a0 a1")
  })

  it("goes on in the same order when deadlines are moved back, after millions of picks", () => {
    const shares = [1, 1, 2, 65_536]
    // It is longer than what is written down, so that every pick is the heap's.
    const period = total(shares)
    // With weights as they are allowed, a deadline is beyond a million after 65 billion picks. In this unit it is all
    // the time, every sum is exact, and deadlines that are not moved back are infinite after 16 periods.
    const unit = 2 ** -1020
    const list = endpoints(shares.map(() => 1)).map(({ backend, load }, i) => ({
      backend: { ...backend, weight: shares[i]! * unit },
      load
    }))
    const picker = build(strategies["weighted-round-robin"], 1).make(list)
    const first = picks(picker, period)
    assert.deepStrictEqual(shares.map((_, i) => first.filter((one) => one?.backend.id === `a${i}`).length), shares)
    for (let i = period; i < 31 * period; i++) {
      if (picker.pick(anonymous) !== first[i % period]) assert.fail(`pick ${i} is out of order`)
    }
  })
})

describe("least-requests, exactly", () => {
  const list = (...backends: ReadonlyArray<readonly [weight: number, inFlight: number]>) => {
    const made = endpoints(backends.map(([weight]) => weight))
    backends.forEach(([, inFlight], i) => made[i]!.load.inFlight = inFlight)
    return made
  }
  const chosen = (endpoints: ReadonlyArray<Load.Endpoint>): ReadonlySet<string | undefined> =>
    new Set(idsOf(picks(build(strategies["least-requests"], 1).make(endpoints), 300)))

  it("takes the less busy of two, every time", () => {
    assert.deepStrictEqual(chosen(list([1, 4], [1, 3])), new Set(["a1"]))
    assert.deepStrictEqual(chosen(list([1, 3], [1, 4])), new Set(["a0"]))
  })

  it("measures how busy a backend is by its weight", () => {
    assert.deepStrictEqual(chosen(list([10, 9], [1, 1])), new Set(["a0"]))
    assert.deepStrictEqual(chosen(list([10, 11], [1, 1])), new Set(["a1"]))
  })

  it("never takes the busiest of many: one of two draws is always better", () => {
    assert.notInclude([...chosen(list([1, 2], [1, 1], [1, 9], [1, 0], [1, 3]))], "a2")
  })

  it("takes one that is not the least busy now and then, so that many balancers do not run to the same one", () => {
    assert.sameMembers([...chosen(list([1, 0], [1, 1], [1, 2]))], ["a0", "a1"])
  })

  it("keeps queues almost level", () => {
    const made = endpoints(Array.from({ length: 50 }, () => 1))
    serve(build(strategies["least-requests"], 1).make(made), 20_000, 500)
    const inFlight = made.map(({ load }) => load.inFlight)
    // 10 on the average; random picks would leave some with 20 and more.
    assert.isBelow(Math.max(...inFlight), 15)
  })
})

// -----------------------------------------------------------------------------
// Adding one: one file, one line in the index, one row of traits
// -----------------------------------------------------------------------------

const sourceFiles = readdirSync(new URL("../../src", import.meta.url), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => ({ file, text: readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8") }))

/** Somebody must say what is used when nobody says anything; any other name outside the family is one too many. */
const defaultStrategy = "round-robin"

describe("a new strategy", () => {
  it("needs a row of traits, and a row needs a strategy", () => {
    assert.sameMembers(Object.keys(traits), Object.keys(strategies))
  })

  it("needs a line in the index: no file of the family is left out", () => {
    const family = sourceFiles.filter(({ file }) => file.startsWith("layers/strategies/"))
    // What is no strategy, but what several are made of, is imported by these.
    const imported = new Set(
      family.flatMap(({ text }) => Array.from(text.matchAll(/from "\.\/(\w+\.ts)"/g), ([, file]) => file))
    )
    const files = family.map(({ file }) => file.slice("layers/strategies/".length)).filter((file) =>
      file !== "index.ts"
    )
    assert.sameMembers([...imported], files)
    const index = family.find(({ file }) => file.endsWith("/index.ts"))!.text
    for (const { file, text } of family) {
      if (/^ {2,4}name: "/m.test(text)) assert.include(index, `./${file.slice("layers/strategies/".length)}`)
    }
  })

  it("needs nothing else: no other source file knows a strategy or its name", () => {
    const names = Object.keys(strategies).filter((name) => name !== defaultStrategy).map((name) => `"${name}"`)
    const mentions: Array<string> = []
    for (const { file, text } of sourceFiles) {
      if (file.startsWith("layers/strategies/")) continue
      for (const name of names) if (text.includes(name)) mentions.push(`${file} says ${name}`)
      for (const [path] of text.matchAll(/strategies\/(?!index\.ts)\w+\.ts/g)) mentions.push(`${file} imports ${path}`)
    }
    assert.deepStrictEqual(mentions, [])
  })
})
