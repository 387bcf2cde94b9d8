/** For each law about keys and rankings there is a strategy that breaks it, as in `StrategyLaws.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { strategies } from "../../../src/layers/strategies/index.ts"
import * as StrategyLaws from "../../../src/layers/testing/StrategyLaws.ts"
import * as Hash from "../../../src/services/Hash.ts"
import type * as Load from "../../../src/services/Load.ts"
import type { Picker } from "../../../src/services/Strategy.ts"
import { breakOf, broken, byKey, inTurn, type Make } from "./Broken.ts"

/** Rendezvous: the key draws a number for each backend by its name, and the lowest one for its weight wins. */
const rendezvous = (nameOf: (endpoint: Load.Endpoint) => string): Make => (list) => {
  const seeds = list.map((endpoint) => Hash.string(nameOf(endpoint)))
  return {
    pick: (context) => {
      const hash = Hash.string(context.key() ?? "")
      const values = list.map(({ backend: { weight } }, i) =>
        -Math.log(((Hash.integer(hash, seeds[i]!) >>> 0) + 0.5) / 2 ** 32) / weight
      )
      return list[values.indexOf(Math.min(...values))]
    }
  }
}

describe("a broken strategy that goes by keys", () => {
  it.effect("that sends a key to whoever is next breaks the law about the same key, and no other strategy does", () =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.sameKey, broken(inTurn, { usesKey: true }))
      assert.match(error.reason, /^client-0 went to a0 and then to a1$/)
      assert.deepStrictEqual(error.weights, [1, 1])
      yield* StrategyLaws.check(StrategyLaws.sameKey, broken(inTurn))
    }))

  /** By the key and by how many pickers there were before. */
  const anew: Make = (() => {
    let made = 0
    return (list) => {
      const shift = made++
      const { pick } = byKey(list)
      return {
        pick: (context) => list[(list.findIndex((one) => one === pick(context)) + shift) % list.length]
      }
    }
  })()

  it.effect("that sends keys elsewhere with each picker breaks the law about the same key", () =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.sameKey, broken(anew, { usesKey: true }))
      assert.match(error.reason, /^client-0 went to a\d when the picker was made anew$/)
      assert.deepStrictEqual(error.weights, [1, 1])
    }))

  it.effect("that takes a hash modulo the number of backends breaks the law about moving keys, with a pool of three", () =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.fewKeysMove, broken(byKey, { usesKey: true }))
      assert.match(error.reason, /^When a\d went, \d\d\.\d % of all keys left another backend that stayed$/)
      assert.deepStrictEqual(error.weights, [1, 1, 1])
      yield* StrategyLaws.check(StrategyLaws.sameKey, broken(byKey, { usesKey: true }))
    }))

  it.effect("that does so with every seventh key breaks it as well, unless that much is allowed", () =>
    Effect.gen(function*() {
      const most = rendezvous(({ backend: { id } }) => id)
      const make: Make = (list) => {
        const [some, rest] = [byKey(list), most(list)]
        return {
          pick: (context) =>
            (Hash.string(context.key() ?? "") >>> 0) % 7 === 0 ? some.pick(context) : rest.pick(context)
        }
      }
      const { reason } = yield* breakOf(StrategyLaws.fewKeysMove, broken(make, { usesKey: true }))
      assert.match(reason, /^When a\d+ went, ([5-9]|1\d)\.\d % of all keys left another backend that stayed$/)
      yield* StrategyLaws.check(StrategyLaws.fewKeysMove, { ...broken(make, { usesKey: true }), moveTolerance: 0.15 })
    }))

  it.effect("that draws anew for a backend with another weight breaks it as well, with a pool of two", () =>
    Effect.gen(function*() {
      const byWeight = rendezvous(({ backend: { id, weight } }) => `${id}#${weight}`)
      const error = yield* breakOf(StrategyLaws.fewKeysMove, broken(byWeight, { usesKey: true }))
      assert.match(
        error.reason,
        /^When a0 got the weight 2 instead of 1, \d+\.\d % of all keys moved that should have stayed$/
      )
      assert.deepStrictEqual(error.weights, [1, 1])
      yield* StrategyLaws.check(
        StrategyLaws.fewKeysMove,
        broken(rendezvous(({ backend: { id } }) => id), { usesKey: true })
      )
      // It keeps every other law.
      for (const law of StrategyLaws.laws) {
        if (law !== StrategyLaws.fewKeysMove) yield* StrategyLaws.check(law, broken(byWeight, { usesKey: true }))
      }
    }))

  it.effect("that moves keys beyond some weight breaks it, unless it says up to which weight it does not", () =>
    Effect.gen(function*() {
      const layer = strategies["ring-hash"]
      const error = yield* breakOf(StrategyLaws.fewKeysMove, { layer })
      assert.isAbove(Math.max(...error.weights), 9)
      yield* StrategyLaws.check(StrategyLaws.fewKeysMove, { layer, moveMaxWeight: 10 })
    }))

  it.effect("is none that moves no key but those that it must, up to any weight, and none is given the weight 0", () => {
    const make: Make = (list) => {
      assert.isAbove(Math.min(...list.map(({ backend }) => backend.weight)), 0)
      return rendezvous(({ backend: { id } }) => id)(list)
    }
    return Effect.forEach(
      [1, 2],
      (moveMaxWeight) =>
        StrategyLaws.check(StrategyLaws.fewKeysMove, { ...broken(make, { usesKey: true }), moveMaxWeight })
    )
  })
})

describe("a broken strategy that ranks", () => {
  /** The first that can be taken, from the one on that the key says. */
  const ranked = (list: ReadonlyArray<Load.Endpoint>, shift: number): Picker => {
    const { pick } = byKey(list)
    return {
      pick,
      pickWhere: (context, accepts) => {
        const first = list.findIndex((endpoint) => endpoint === pick(context))
        return list.map((_, i) => list[(first + shift + i) % list.length]!).find(accepts)
      }
    }
  }

  it.effect.each<readonly [does: string, Make, reason: RegExp, weights: ReadonlyArray<number>]>([
    [
      "gives up too soon",
      (list) => ({
        pick: () => list[0],
        pickWhere: (_, accepts) => list.slice(0, 2).find(accepts)
      }),
      /^For client-0 it found nobody, although a2 can be taken$/,
      [1, 1, 1]
    ],
    [
      "does not ask who can be taken",
      (list) => ({ ...byKey(list), pickWhere: byKey(list).pick }),
      /^For client-0 it found a0, which cannot be taken$/,
      [1]
    ],
    [
      "finds copies",
      (list) => ({
        ...byKey(list),
        pickWhere: (_, accepts) => {
          const found = list.find(accepts)
          return found === undefined ? undefined : { ...found }
        }
      }),
      /^For client-0 it found a0, which is not in its list of 1$/,
      [1]
    ],
    [
      "has two rankings",
      (list) => ranked(list, 1),
      /^For client-0 it found a\d when all can be taken, and it picks a\d$/,
      [1, 1]
    ],
    [
      "ranks the next ones anew with each picker",
      (() => {
        let made = 0
        return (list) => {
          const up = made++ % 2 === 0
          const { pick } = byKey(list)
          return {
            pick,
            pickWhere: (context, accepts) => {
              const first = pick(context)
              const rest = list.filter((endpoint) => endpoint !== first)
              if (first !== undefined && accepts(first)) return first
              return (up ? rest : rest.toReversed()).find(accepts)
            }
          }
        }
      })(),
      /^For client-0 it found a\d, and a\d when the picker was made anew$/,
      [1, 1, 1]
    ]
  ])("and %s breaks the law about it", ([, make, reason, weights]) =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.nextBest, broken(make, { usesKey: true }))
      assert.match(error.reason, reason)
      assert.deepStrictEqual(error.weights, weights)
      yield* StrategyLaws.check(StrategyLaws.nextBest, broken((list) => ranked(list, 0), { usesKey: true }))
    }))

  it.effect("is none that picks in turn and ranks by the list, if it does not go by keys", () => {
    const make: Make = (list) => ({ ...inTurn(list), pickWhere: (_, accepts) => list.find(accepts) })
    return StrategyLaws.check(StrategyLaws.nextBest, broken(make))
  })

  it.effect("and throws on an empty list breaks that law", () =>
    Effect.gen(function*() {
      const make: Make = (list) => ({
        ...byKey(list),
        pickWhere: () => list.at(-1)!.load.inFlight > 0 ? list[0] : undefined
      })
      assert.match((yield* breakOf(StrategyLaws.emptyList, broken(make))).reason, /^It threw TypeError/)
    }))
})
