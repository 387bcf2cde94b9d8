/**
 * A law that nothing can break proves nothing: for each there is a strategy that breaks it, and only a
 * small pool is to blame.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { strategies } from "../../../src/layers/strategies/index.ts"
import * as StrategyLaws from "../../../src/layers/testing/StrategyLaws.ts"
import * as Load from "../../../src/services/Load.ts"
import type { Outcome } from "../../../src/services/Outcome.ts"
import { Strategy } from "../../../src/services/Strategy.ts"
import { beginsAnew, breakOf, broken, byKey, inTurn, type Make, whenBusy } from "./Broken.ts"

describe("a broken strategy", () => {
  it.effect("that throws on an empty list breaks that law", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => ({ pick: () => ({ ...endpoints[0]!, backend: endpoints[0]!.backend }) })
      const error = yield* breakOf(StrategyLaws.emptyList, broken(make))
      assert.match(error.reason, /^It threw TypeError/)
      assert.deepStrictEqual(error.weights, [])
    }))

  it.effect("that remembers an endpoint from another list breaks that law, with a pool of one", () =>
    Effect.gen(function*() {
      let first: Load.Endpoint | undefined
      const error = yield* breakOf(
        StrategyLaws.ownList,
        broken((endpoints) => ({ pick: () => first ??= endpoints[0] }))
      )
      assert.match(error.reason, /^It picked a0, which is not in its list/)
      // Of a pool that was drawn busy and heavy.
      assert.strictEqual(error.pool, "a0 with weight 1")
    }))

  it.effect("that picks nobody when all are busy breaks that law, with the pool that is busy", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => ({ pick: () => endpoints.find(({ load }) => load.inFlight < 5_000) })
      const error = yield* breakOf(StrategyLaws.ownList, broken(make))
      assert.strictEqual(error.reason, "It picked nobody")
      assert.match(error.pool, /^a0 with weight 1 and \d{4,5} in flight$/)
    }))

  it.effect("that counts for itself breaks the law that it only reads", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => ({
        pick: () => {
          Load.begin(endpoints[0]!.load)
          return endpoints[0]
        }
      })
      const error = yield* breakOf(StrategyLaws.onlyReads, broken(make))
      assert.match(error.reason, /^It changed a load/)
      assert.deepStrictEqual(error.weights, [1])
    }))

  it.effect.each(["observe", "ended"] as const)(
    "that knows nobody who has left breaks the law about its own list, with a pool of one (%s)",
    (told) =>
      Effect.gen(function*() {
        const make: Make = (endpoints) => {
          const ends = new Map(endpoints.map(({ backend }) => [backend.id, { count: 0 }]))
          return { ...inTurn(endpoints), [told]: ({ backend }: Load.Endpoint) => ends.get(backend.id)!.count++ }
        }
        const error = yield* breakOf(StrategyLaws.ownList, broken(make))
        assert.match(error.reason, /^It threw TypeError/)
        assert.deepStrictEqual(error.weights, [1])
      })
  )

  it.effect("that punishes failures in the load breaks the law that it only reads", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => ({
        ...inTurn(endpoints),
        observe: ({ load }, outcome) => {
          if (outcome === "failure") load.latency += 1_000
        }
      })
      const error = yield* breakOf(StrategyLaws.onlyReads, broken(make))
      assert.match(error.reason, /^It changed a load/)
      assert.deepStrictEqual(error.weights, [1])
    }))

  it.effect("that sorts the list in place breaks the law that it only reads", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => {
        Array.prototype.sort.call(endpoints)
        return inTurn(endpoints)
      }
      assert.match((yield* breakOf(StrategyLaws.onlyReads, broken(make))).reason, /^It threw TypeError/)
    }))

  it.effect("that takes its chance elsewhere breaks the law that it is repeatable", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => ({ pick: () => endpoints[Math.floor(Math.random() * endpoints.length)] })
      const error = yield* breakOf(StrategyLaws.repeatable, broken(make))
      assert.match(error.reason, /as if chance were not from Random$/)
      assert.deepStrictEqual(error.weights, [1, 1])
    }))

  it.effect("that promises to honour weights and does not breaks the law about shares, with weights 1 and 2", () =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.fairShares, broken(inTurn))
      assert.deepStrictEqual(error.weights.toSorted(), [1, 2])
      assert.match(error.reason, /^In an idle pool a\d got 50\.0 % instead of (33|66)\.[37] %$/)
      yield* StrategyLaws.check(StrategyLaws.fairShares, broken(inTurn, { ignoresWeights: true }))
    }))

  it.effect("that prefers the first a little breaks the law about equal shares", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => {
        let n = 0
        return { pick: () => n++ % 10 === 0 ? endpoints[0] : endpoints[n % endpoints.length] }
      }
      const error = yield* breakOf(StrategyLaws.fairShares, broken(make, { ignoresWeights: true }))
      assert.include(error.reason, "a0 got")
      yield* StrategyLaws.check(StrategyLaws.fairShares, {
        ...broken(make, { ignoresWeights: true }),
        shareTolerance: 0.2
      })
    }))

  it.effect("that prefers the first a little when there is more to do breaks that law, where a busy pool shows it", () =>
    Effect.gen(function*() {
      const oneIn = (often: number) => {
        const make = whenBusy((endpoints, n) =>
          endpoints[n % often === 0 ? 0 : Math.floor(n / often) % endpoints.length]
        )
        return broken(make, { ignoresWeights: true })
      }
      assert.match((yield* breakOf(StrategyLaws.fairShares, oneIn(20))).reason, /^In a busy pool a0 got/)
      // Up to 3 % is allowed there.
      yield* StrategyLaws.check(StrategyLaws.fairShares, oneIn(36))
    }))

  it.effect("that takes heavy weights for less than they are breaks that law, with a pool that is hardly ever drawn", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => {
        const turns = endpoints.flatMap((one) => Array<Load.Endpoint>(Math.min(one.backend.weight, 100)).fill(one))
        return inTurn(turns)
      }
      const error = yield* breakOf(StrategyLaws.fairShares, broken(make))
      assert.match(error.reason, /^In an idle pool a0 got/)
      assert.isAbove(error.weights[0] ?? 0, 100)
    }))

  it.effect("that takes middling weights for more than they are breaks that law, with a pool of such weights", () =>
    Effect.gen(function*() {
      const turnsOf = ({ backend: { weight } }: Load.Endpoint) => weight > 50 ? Math.round(weight * 1.3) : weight
      const make: Make = (endpoints) => {
        const turns = endpoints.flatMap((one) => Array<Load.Endpoint>(turnsOf(one)).fill(one))
        let n = 0
        // Not those of one backend after each other.
        return { pick: () => turns[(n += 733) % turns.length] }
      }
      const error = yield* breakOf(StrategyLaws.fairShares, broken(make))
      assert.match(error.reason, /^In an idle pool a\d got/)
    }))

  it.effect("that forgets the last one of a large pool breaks the law that nobody starves, with a large pool", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => inTurn(endpoints.length > 50 ? endpoints.slice(0, -1) : endpoints)
      const error = yield* breakOf(StrategyLaws.nobodyStarves, broken(make))
      assert.match(error.reason, /^With 1 in flight a\d+ got none/)
      assert.isAbove(error.weights.length, 50)
    }))

  it.effect("that follows the crowd breaks the law that nobody starves, where several are in flight", () =>
    Effect.gen(function*() {
      const make = whenBusy((all) => all.reduce((most, it) => it.load.inFlight > most.load.inFlight ? it : most))
      const error = yield* breakOf(StrategyLaws.nobodyStarves, broken(make))
      assert.match(error.reason, /^With 50 in flight a\d got none of 2000 requests$/)
      assert.deepStrictEqual(error.weights, [1, 1])
    }))

  it.effect("that goes to whoever is done last breaks that law: it is told of each end", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => {
        let free: Load.Endpoint | undefined
        const { pick } = inTurn(endpoints)
        return { pick: (context) => free ?? pick(context), ended: (endpoint) => free = endpoint }
      }
      const error = yield* breakOf(StrategyLaws.nobodyStarves, broken(make))
      assert.match(error.reason, /^With 1 in flight a1 got none/)
      assert.deepStrictEqual(error.weights, [1, 1])
    }))

  it.effect("that never forgets who was slow breaks the law that nobody starves, with a pool of two", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => ({
        pick: () => endpoints.reduce((best, it) => it.load.latency < best.load.latency ? it : best)
      })
      const error = yield* breakOf(StrategyLaws.nobodyStarves, broken(make))
      assert.match(error.reason, /^With 1 in flight a\d got none of 2000 requests$/)
      assert.deepStrictEqual(error.weights, [1, 1])
    }))

  it.effect.each<readonly [does: string, words: string, (outcome: Outcome, latencyMs: number) => boolean]>([
    ["was slow", "was slow at first", (outcome, latencyMs) => outcome === "success" && latencyMs >= 1_000],
    ["has failed", "failed at first", (outcome) => outcome === "failure"]
  ])(
    "that never forgives one that %s, while others never did, breaks it as well",
    ([, words, isBad]) =>
      Effect.gen(function*() {
        const bad = new WeakSet<Load.Load>()
        const make: Make = (endpoints) => {
          let turn = 0
          return {
            pick: () => {
              const rest = endpoints.filter(({ load }) => !bad.has(load))
              const some = rest.length > 0 ? rest : endpoints
              return some[turn++ % some.length]
            },
            observe: ({ load }, outcome, latencyMs) => {
              if (isBad(outcome, latencyMs)) bad.add(load)
            }
          }
        }
        const error = yield* breakOf(StrategyLaws.nobodyStarves, broken(make))
        assert.strictEqual(error.reason, `With 1 in flight a0 got none of 2000 requests, when only a0 ${words}`)
        assert.deepStrictEqual(error.weights, [1, 1])
      })
  )

  it.effect("is none that forgives one who was slow or has failed after three quarters of a minute", () => {
    const slowToForgive = Effect.map(Clock.Clock, (clock): Strategy["Service"] => ({
      name: "slow to forgive",
      make: (endpoints) => {
        let turn = 0
        const badUntil = new Map<Load.Load, number>()
        return {
          pick: () => {
            const now = clock.currentTimeMillisUnsafe()
            const rest = endpoints.filter(({ load }) => !(badUntil.get(load)! > now))
            const some = rest.length > 0 ? rest : endpoints
            return some[turn++ % some.length]
          },
          observe: ({ load }, _, latencyMs) => {
            if (latencyMs >= 1_000) badUntil.set(load, clock.currentTimeMillisUnsafe() + 45_000)
          }
        }
      }
    }))
    return StrategyLaws.check(StrategyLaws.nobodyStarves, { layer: Layer.effect(Strategy, slowToForgive) })
  })

  it.effect("that begins anew with each list breaks the law that nobody starves in change, with a pool of three", () =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.nobodyStarvesInChange, broken(inTurn))
      assert.strictEqual(
        error.reason,
        "With a picker made anew every pick, because a0 comes and goes, a2 got none of 600 requests"
      )
      assert.deepStrictEqual(error.weights, [1, 1, 1])
      // It keeps every other law, and who goes by keys or leaves somebody out on purpose is not asked for this one.
      yield* StrategyLaws.check(StrategyLaws.nobodyStarves, broken(inTurn))
      yield* StrategyLaws.check(StrategyLaws.nobodyStarvesInChange, broken(byKey, { usesKey: true }))
      yield* StrategyLaws.check(StrategyLaws.nobodyStarvesInChange, { layer: strategies.first, shares: "other" })
    }))

  it.effect("that goes on at the position of the last turn breaks it as well: positions move when somebody goes", () =>
    Effect.gen(function*() {
      let lastTurn = 0
      const make: Make = (endpoints) => ({
        pick: () => {
          const endpoint = endpoints[lastTurn %= endpoints.length]
          lastTurn++
          return endpoint
        }
      })
      const error = yield* breakOf(StrategyLaws.nobodyStarvesInChange, broken(make))
      assert.match(error.reason, /because a0 comes and goes, a\d got none/)
      assert.deepStrictEqual(error.weights, [1, 1, 1])
    }))

  it.effect("that begins anew when the last one is another breaks it, where it is the last that comes and goes", () =>
    Effect.gen(function*() {
      let last: Load.Endpoint | undefined
      const make = beginsAnew((list) => last !== (last = list.at(-1)))
      const error = yield* breakOf(StrategyLaws.nobodyStarvesInChange, broken(make))
      assert.match(error.reason, /made anew every pick, because a2 comes and goes, a1 got none/)
      assert.deepStrictEqual(error.weights, [1, 1, 1])
    }))

  it.effect("that begins anew after a list of which it has picked several breaks it, with several picks of each", () =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.nobodyStarvesInChange, broken(beginsAnew((_, picks) => picks > 1)))
      assert.match(error.reason, /made anew every 2 picks, because a0 comes and goes, a3 got none of 1200 requests$/)
      assert.deepStrictEqual(error.weights, [1, 1, 1, 1])
    }))
})

describe("the check", () => {
  it.effect("fails with everything that is needed to see it again", () =>
    Effect.gen(function*() {
      const error = yield* breakOf(StrategyLaws.nobodyStarves, { layer: strategies.first })
      assert.strictEqual(
        error.message,
        "first breaks a law: it starves nobody who is well, not even who was slow or has failed once. With 1 in flight a1 got none " +
          `of 2000 requests. The pool: a0 with weight 1, a1 with weight 1 (seed ${error.seed}).`
      )
      assert.deepStrictEqual(yield* breakOf(StrategyLaws.nobodyStarves, { layer: strategies.first }), error)
    }))

  it.effect("finds the smallest pool also where a half of one that breaks the law does not", () =>
    Effect.gen(function*() {
      const make: Make = (endpoints) => endpoints.length % 4 === 0 ? { pick: () => endpoints[0] } : inTurn(endpoints)
      const seeds = Array.from({ length: 5 }, (_, i) => i + 1)
      const sizes = yield* Effect.forEach(seeds, (seed) =>
        Effect.map(
          breakOf(StrategyLaws.nobodyStarves, { ...broken(make), seed }),
          ({ weights }) => weights.length
        ))
      assert.deepStrictEqual(sizes, [4, 4, 4, 4, 4])
    }))

  it.effect("does not search for the smallest pool for long, so that a slow strategy is told in time", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* breakOf(StrategyLaws.fairShares, broken(inTurn))).weights.toSorted(), [1, 2])
      let now = 0
      yield* Effect.acquireRelease(
        // Each look at the time takes a second.
        Effect.sync(() => vi.spyOn(performance, "now").mockImplementation(() => now += 1_000)),
        (spy) => Effect.sync(() => spy.mockRestore())
      )
      const { reason, weights } = yield* breakOf(StrategyLaws.fairShares, broken(inTurn))
      assert.match(reason, /^In an idle pool/)
      assert.isAbove(Math.max(...weights), 2)
    }))

  it.effect("draws other pools with another seed", () =>
    Effect.gen(function*() {
      const drawn = (seed: number) => {
        const sizes: Array<number> = []
        const layer = Layer.succeed(Strategy, {
          name: "watching",
          make: (list) => {
            sizes.push(list.length)
            return { pick: () => list[0] }
          }
        })
        return Effect.as(StrategyLaws.check(StrategyLaws.onlyReads, { layer, seed }), sizes)
      }
      assert.deepStrictEqual(yield* drawn(1), yield* drawn(1))
      assert.notDeepEqual(yield* drawn(1), yield* drawn(2))
    }))

  it.effect("builds the strategy anew for every pool, with the layer's own errors", () => {
    const failing = Layer.effect(Strategy, Effect.fail("no key"))
    return Effect.gen(function*() {
      assert.strictEqual(yield* Effect.flip(StrategyLaws.check(StrategyLaws.emptyList, { layer: failing })), "no key")
      let built = 0
      const layer = Layer.effect(
        Strategy,
        Effect.map(Random.Random, () => {
          built++
          return { name: "counted", make: inTurn }
        })
      )
      // Within a layer, as in a test with one of its own.
      yield* StrategyLaws.check(StrategyLaws.onlyReads, { layer }).pipe(Effect.provide(layer))
      assert.strictEqual(built, 1 + 2 * StrategyLaws.onlyReads.runs)
    })
  })

  it.effect("can be all of them at once", () =>
    Effect.gen(function*() {
      yield* StrategyLaws.checkAll({ layer: strategies["round-robin"] })
      assert.strictEqual(
        (yield* Effect.flip(StrategyLaws.checkAll(broken(byKey, { usesKey: true })))).strategy,
        "broken"
      )
    }))
})
