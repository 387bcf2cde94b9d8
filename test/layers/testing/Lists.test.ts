/** For each way of a law about lists to see something there is a strategy that only this way finds. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as StrategyLaws from "../../../src/layers/testing/StrategyLaws.ts"
import type { Endpoint, Load } from "../../../src/services/Load.ts"
import { Strategy } from "../../../src/services/Strategy.ts"
import { endpoint } from "../../endpoints.ts"
import { breakOf, broken, inTurn, type Make } from "./Broken.ts"

/** Those that have been told of less than twice, or not as slow: per picker. */
const withoutBad = (list: ReadonlyArray<Endpoint>) => {
  const marks = new Map<Load, number>()
  return {
    pick: () => list.find(({ load }) => (marks.get(load) ?? 0) < 2),
    mark: ({ load }: Endpoint) => void marks.set(load, (marks.get(load) ?? 0) + 1)
  }
}

/** Picks from the far end of the first list that had this one here. */
const keeping = (at: 0 | -1): Make => {
  const lists = new WeakMap<Load, ReadonlyArray<Endpoint>>()
  return (list) => {
    const kept = list.at(at)
    if (kept === undefined) return { pick: () => undefined }
    const known = lists.get(kept.load) ?? list
    lists.set(kept.load, known)
    return { pick: () => known.at(-1 - at) }
  }
}

describe("a broken strategy", () => {
  it.effect("that has somebody for an empty list breaks the law about it", () =>
    Effect.gen(function*() {
      const stranger = endpoint("stranger")
      const error = yield* breakOf(StrategyLaws.emptyList, broken((list) => ({ pick: () => list[0] ?? stranger })))
      assert.strictEqual(error.reason, "It picked somebody from an empty list")
    }))

  it.effect.each<readonly [does: string, () => Make, reason: RegExp, weights: ReadonlyArray<number>]>([
    [
      "keeps somebody for a list that has become empty",
      () => {
        let last: Endpoint | undefined
        return (list) => ({ pick: () => (list.length === 0 ? last : last = list[0]) })
      },
      /^It picked somebody from a list that had become empty$/,
      [1]
    ],
    [
      "has one list for all its pickers",
      () => {
        let current: ReadonlyArray<Endpoint> = []
        return (list) => {
          current = list
          return { pick: () => current[0] }
        }
      },
      /^It picked a0, which is not in its list of 1$/,
      [1]
    ],
    ["keeps a list as long as the first of it is there", () => keeping(0), /^It picked a1, which is not in its/, [
      1,
      1
    ]],
    ["keeps a list as long as the last of it is there", () => keeping(-1), /^It picked a0, which is not in its/, [
      1,
      1
    ]],
    [
      "does not recover from an empty list",
      () => {
        let isOver = false
        return (list) => {
          const wasOver = isOver
          isOver ||= list.length === 0
          return { pick: () => wasOver ? undefined : list[0] }
        }
      },
      /^It picked nobody$/,
      [1]
    ],
    [
      "has nobody for an empty key",
      () => (list) => ({ pick: ({ key }) => key() === "" ? undefined : list[0] }),
      /^It picked nobody$/,
      [1]
    ],
    [
      "has nobody for the eighth try",
      () => (list) => ({ pick: ({ attempt }) => attempt > 6 ? undefined : list[0] }),
      /^It picked nobody$/,
      [1]
    ],
    [
      "takes out for good who was slow twice",
      () => (list) => {
        const { mark, pick } = withoutBad(list)
        return { pick, observe: (endpoint, _, latencyMs) => latencyMs > 13 && mark(endpoint) }
      },
      /^It picked nobody$/,
      [1]
    ],
    [
      "takes out for good who has ended twice",
      () => (list) => {
        const { mark, pick } = withoutBad(list)
        return { pick, ended: mark }
      },
      /^It picked nobody$/,
      [1]
    ]
  ])("that %s breaks the law about its own list", ([, make, reason, weights]) =>
    Effect.gen(function*() {
      const layer = Layer.sync(Strategy, () => ({ name: "broken", make: make() }))
      const error = yield* breakOf(StrategyLaws.ownList, { layer })
      assert.match(error.reason, reason)
      assert.deepStrictEqual(error.weights, weights)
    }))

  it.effect("that has nobody after a while breaks it, without any wait", () =>
    Effect.gen(function*() {
      const forAWhile = Effect.map(Clock.Clock, (clock): Strategy["Service"] => ({
        name: "tired",
        make: (list) => {
          const until = clock.currentTimeMillisUnsafe() + 25
          return { pick: () => clock.currentTimeMillisUnsafe() > until ? undefined : list[0] }
        }
      }))
      const error = yield* breakOf(StrategyLaws.ownList, { layer: Layer.effect(Strategy, forAWhile) })
      assert.strictEqual(error.reason, "It picked nobody")
      yield* StrategyLaws.check(StrategyLaws.ownList, broken(inTurn))
    }))

  it.effect.each<readonly [when: string, Make]>([
    ["a try has ended", (list) => ({ ...inTurn(list), ended: ({ load }) => void load.inFlight-- })],
    [
      "it is asked for the next one",
      (list) => ({
        ...inTurn(list),
        pickWhere: (_, accepts) => {
          const found = list.find(accepts)
          if (found !== undefined) found.load.inFlight++
          return found
        }
      })
    ]
  ])("that counts for itself when %s breaks the law that it only reads", ([, make]) =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.onlyReads, broken(make))
      assert.match(error.reason, /^It changed a load/)
    }))

  it.effect("that takes its chance elsewhere later on breaks the law that it is repeatable", () =>
    Effect.gen(function*() {
      const make: Make = (list) => {
        let picks = 0
        return { pick: () => list[picks++ < 10 ? 0 : Math.floor(Math.random() * list.length)] }
      }
      const error = yield* breakOf(StrategyLaws.repeatable, broken(make))
      assert.match(error.reason, /as if chance were not from Random$/)
    }))
})
