import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Layer from "effect/Layer"
import { strategies, type StrategyName, strategyOf } from "../../../src/layers/strategies/index.ts"
import * as Zones from "../../../src/layers/strategies/Zones.ts"
import * as Backend from "../../../src/services/Backend.ts"
import * as Load from "../../../src/services/Load.ts"
import { anonymous, type Picker, Strategy } from "../../../src/services/Strategy.ts"

const zoned = (...zones: ReadonlyArray<string | readonly [zone: string, weight: number]>) =>
  zones.map((it, i): Load.Endpoint => {
    const [zone, weight] = typeof it === "string" ? [it, 1] : it
    const options = zone === "" ? { weight } : { weight, zone }
    return { backend: Backend.make(`http://a${i}`, options), load: Load.make() }
  })

const inZone = (zone: string | undefined, strategy: Layer.Layer<Strategy> = strategies["weighted-round-robin"]) =>
  Effect.provide(Strategy, Layer.provide(Zones.layer(zone), strategy))

const n = 12_000

/** The shares of the zones in many picks. */
const shares = (picker: Picker): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (let i = 0; i < n; i++) {
    const zone = picker.pick(anonymous)?.backend.zone ?? ""
    counts[zone] = (counts[zone] ?? 0) + 1
  }
  return Object.fromEntries(Object.entries(counts).map(([zone, count]) => [zone, count / n]))
}

describe("a zone", () => {
  it.effect("keeps all of its traffic when it has its share of the backends", () =>
    Effect.gen(function*() {
      const strategy = yield* inZone("a")
      assert.deepStrictEqual(shares(strategy.make(zoned("a", "b"))), { a: 1 })
      assert.deepStrictEqual(shares(strategy.make(zoned("a", "a", "b", "c"))), { a: 1 })
      assert.deepStrictEqual(shares(strategy.make(zoned(["a", 2], "b", "b"))), { a: 1 })
      assert.deepStrictEqual(shares(strategy.make(zoned("a", "a"))), { a: 1 })
    }))

  it.effect("gives to the others what it cannot bear", () =>
    Effect.gen(function*() {
      const strategy = yield* inZone("a")
      const oneOfFour = shares(strategy.make(zoned("a", "b", "b", "b")))
      assert.closeTo(oneOfFour["a"]!, 1 / 2, 1e-3)
      assert.closeTo(oneOfFour["b"]!, 1 / 2, 1e-3)
      const oneOfSix = shares(strategy.make(zoned("a", "b", "b", "b", "c", "c")))
      assert.closeTo(oneOfSix["a"]!, 1 / 2, 1e-3)
      // The other one has no more than its share, and has traffic of its own.
      assert.closeTo(oneOfSix["b"]!, 1 / 2, 1e-3)
      assert.notProperty(oneOfSix, "c")
      const poor = shares(strategy.make(zoned("a", "b", "c", "c", "c", "c")))
      assert.closeTo(poor["a"]!, 1 / 2, 1e-3)
      assert.closeTo(poor["c"]!, 1 / 2, 1e-3)
      assert.notProperty(poor, "b")
    }))

  it.effect("makes all backends equally busy, if each zone has as many balancers", () =>
    Effect.gen(function*() {
      for (
        const zones of [["a", "b", "c", "c", "c", "c"], ["a", "a", "a", "b", "c", "c"], ["a", "b", "b", "b", "c", "c"]]
      ) {
        const endpoints = zoned(...zones)
        const busy = new Map<Load.Endpoint, number>()
        for (const zone of ["a", "b", "c"]) {
          const picker = (yield* inZone(zone)).make(endpoints)
          for (let i = 0; i < n; i++) {
            const endpoint = picker.pick(anonymous)!
            busy.set(endpoint, (busy.get(endpoint) ?? 0) + 1)
          }
        }
        for (const endpoint of endpoints) assert.closeTo(busy.get(endpoint)! / n, 3 / 6, 1e-3)
      }
    }))

  it.effect("keeps its share of the backends with a strategy that ignores weights", () =>
    Effect.gen(function*() {
      const strategy = yield* inZone("a", strategies["round-robin"])
      assert.closeTo(shares(strategy.make(zoned(["a", 1000], "b", "b", "b")))["a"]!, 1 / 2, 1e-3)
    }))

  for (const name of ["round-robin", "weighted-round-robin"] as const) {
    it.effect(`has each backend of a zone take its turn, with ${name}`, () =>
      Effect.gen(function*() {
        // A third of the backends for a zone of two keeps two of three requests: a, a, b.
        const picker = (yield* inZone("a", strategies[name])).make(zoned("a", "b", "b"))
        const counts: Record<string, number> = {}
        for (let i = 0; i < 600; i++) {
          const id = picker.pick(anonymous)?.backend.id ?? ""
          counts[id] = (counts[id] ?? 0) + 1
        }
        for (const id of ["http://a1", "http://a2"]) assert.closeTo(counts[id] ?? 0, 100, 2, id)
      }))
  }

  for (const name of ["round-robin", "weighted-round-robin"] as const) {
    it.effect.each([1, 40])(
      `starves nobody where the pool changes every %i picks, with ${name}`,
      (picksEach) =>
        Effect.gen(function*() {
          const strategy = yield* inZone("a", strategies[name])
          const all = zoned("a", "a", "a", ...Array<string>(96).fill("b"), "b")
          const stays = all.slice(0, -1)
          const found = new Map<Load.Endpoint, number>()
          const picks = 8_000
          for (let change = 0; change < picks / picksEach; change++) {
            const picker = strategy.make(change % 2 === 0 ? all : stays)
            for (let i = 0; i < picksEach; i++) {
              const endpoint = picker.pick(anonymous)!
              found.set(endpoint, (found.get(endpoint) ?? 0) + 1)
            }
          }
          // Three of a hundred keep 6 % for a zone of two, whose balancers get half of the traffic.
          stays.forEach((endpoint, i) => {
            assert.approximately(found.get(endpoint) ?? 0, i < 3 ? 160 : 77.5, 4, endpoint.backend.id)
          })
        })
    )
  }

  it.effect("takes backends without a zone for another zone", () =>
    Effect.gen(function*() {
      const strategy = yield* inZone("a")
      assert.deepStrictEqual(shares(strategy.make(zoned("a", ""))), { a: 1 })
    }))

  it.effect("is no matter where nobody is in it, or none is set, or nobody is there", () =>
    Effect.gen(function*() {
      assert.closeTo(shares((yield* inZone("c")).make(zoned("a", "b")))["a"]!, 1 / 2, 1e-3)
      assert.closeTo(shares((yield* inZone(undefined)).make(zoned("a", "", "")))["a"]!, 1 / 3, 1e-3)
      assert.isUndefined((yield* inZone("a")).make([]).pick(anonymous))
    }))

  it.effect("sends the same key to the same backend, also where only a part of the traffic stays", () => {
    const byKey = Layer.succeed(Strategy, {
      name: "by-key",
      usesKey: true,
      make: (list) => ({
        pick: (context) => list[Math.abs(Hash.string(context.key() ?? "")) % list.length]
      })
    })
    return Effect.gen(function*() {
      const picker = (yield* inZone("a", byKey)).make(zoned("a", "b", "b", "b"))
      let kept = 0
      for (let i = 0; i < 2_000; i++) {
        const context = { ...anonymous, key: () => `10.0.${i >> 8}.${i & 255}` }
        const first = picker.pick(context)
        assert.strictEqual(picker.pick(context), first)
        if (first?.backend.zone === "a") kept++
      }
      assert.closeTo(kept / 2_000, 1 / 2, 0.05)
    })
  })

  it.effect("divides the requests of one client as any others, with a strategy that goes by no key", () =>
    Effect.gen(function*() {
      const picker = (yield* inZone("a")).make(zoned("a", "b", "b", "b"))
      const context = { ...anonymous, key: () => "10.0.0.1" }
      const zones = Array.from({ length: 100 }, () => picker.pick(context)?.backend.zone)
      assert.strictEqual(zones.filter((zone) => zone === "a").length, 50)
    }))

  it.effect("goes on with the other half when nobody of the first can be taken", () =>
    Effect.gen(function*() {
      const list = zoned("a", "b", "b", "b")
      const picker = (yield* inZone("a", strategies.rendezvous)).make(list)
      for (let i = 0; i < 50; i++) {
        const context = { ...anonymous, key: () => `key ${i}` }
        const first = picker.pick(context)!
        assert.strictEqual(picker.pickWhere?.(context, () => true), first)
        const isOther = ({ backend }: Load.Endpoint) => backend.zone !== first.backend.zone
        const next = picker.pickWhere?.(context, isOther)
        assert.isTrue(next !== undefined && isOther(next))
        assert.isUndefined(picker.pickWhere?.(context, () => false))
      }
      // Without a key, whoever is in the zone comes first.
      const keyless = (yield* inZone("a")).make(list)
      assert.strictEqual(keyless.pickWhere?.(anonymous, () => true)?.backend.zone, "a")
    }))

  it.effect("tells each half of what it has picked", () => {
    const told: Array<string> = []
    const watching = Layer.succeed(Strategy, {
      name: "watching",
      make: (list) => ({
        pick: () => list[0],
        observe: ({ backend }) => told.push(`${list.length}: ${backend.zone}`),
        ended: ({ backend }) => told.push(`${list.length}: ${backend.zone} has ended`)
      })
    })
    return Effect.gen(function*() {
      const list = zoned("a", "b", "b", "b")
      const picker = (yield* inZone("a", watching)).make(list)
      picker.observe?.(list[0]!, "success", 1)
      picker.observe?.(list[1]!, "success", 1)
      for (const endpoint of list.slice(0, 2)) picker.ended?.(endpoint)
      assert.deepStrictEqual(told, ["1: a", "3: b", "1: a has ended", "3: b has ended"])
    })
  })
})

describe("a subset in a zone", () => {
  const chosenOf = (
    list: ReadonlyArray<Load.Endpoint>,
    settings: { readonly size: number; readonly id?: string; readonly strategy?: StrategyName }
  ) =>
    Effect.map(
      Effect.provide(
        Strategy,
        strategyOf({
          strategy: settings.strategy ?? "round-robin",
          hash: {},
          subset: { id: settings.id ?? "lb-1", size: settings.size },
          zone: "a"
        })
      ),
      (strategy) => {
        const picker = strategy.make(list)
        const found = new Map<string, number>()
        for (let i = 0; i < n; i++) {
          const { id } = picker.pick(anonymous)!.backend
          found.set(id, (found.get(id) ?? 0) + 1)
        }
        const isLocal = (id: string) => list.find(({ backend }) => backend.id === id)?.backend.zone === "a"
        const ids = [...found.keys()]
        return { found, size: ids.length, local: ids.filter(isLocal).length }
      }
    )

  const pool = (local: number, others: number) =>
    zoned(...Array<string>(local).fill("a"), ...Array<string>(others).fill("b"))

  it.effect.each<readonly [what: string, local: number, others: number, size: number, chosen: number, mine: number]>([
    ["is of the zone alone where that has its share", 50, 50, 10, 10, 10],
    ["is smaller where the zone, which keeps everything, has fewer", 6, 6, 10, 6, 6],
    ["has the zone's share of it where the zone has less than its share", 20, 80, 10, 10, 4],
    ["has one of the zone at least", 1, 99, 10, 10, 1],
    ["takes more of the others where the zone has not so many", 2, 6, 7, 7, 2],
    ["takes all of the zone where hardly anybody is left out", 45, 46, 90, 90, 45],
    ["is one of the zone where it is one", 1, 99, 1, 1, 1],
    ["is everybody where there are fewer", 1, 3, 10, 4, 1],
    ["is of the others where the zone has nobody", 0, 30, 10, 10, 0],
    ["is of the zone where there are no others", 30, 0, 10, 10, 10]
  ])("%s", ([, local, others, size, chosen, mine]) =>
    Effect.gen(function*() {
      const found = yield* chosenOf(pool(local, others), { size })
      assert.deepStrictEqual({ size: found.size, local: found.local }, { size: chosen, local: mine })
    }))

  it.effect("is of the zone alone where that has its share, whatever other zones have", () =>
    Effect.gen(function*() {
      const zones = [...Array<string>(5).fill("a"), ...Array<string>(6).fill("b"), "c"]
      const { local, size } = yield* chosenOf(zoned(...zones), { size: 3 })
      assert.deepStrictEqual({ local, size }, { local: 3, size: 3 })
    }))

  it.effect("has all its backends equally busy", () =>
    Effect.gen(function*() {
      const { found } = yield* chosenOf(pool(20, 80), { size: 10 })
      for (const count of found.values()) assert.approximately(count, n / 10, 2)
    }))

  it.effect("never has more than it says, whatever the strategy and the pool", () =>
    Effect.gen(function*() {
      for (const strategy of ["round-robin", "weighted-round-robin"] as const) {
        for (let local = 0; local <= 9; local++) {
          for (let size = 1; size <= 12; size++) {
            assert.isAtMost((yield* chosenOf(pool(local, 10), { size, strategy })).size, size)
          }
        }
      }
    }))

  it.effect("takes more of the zone where there are not so many others, however heavy", () =>
    Effect.gen(function*() {
      const list = zoned(...Array<string>(6).fill("a"), ["b", 100], ["b", 100])
      assert.strictEqual((yield* chosenOf(list, { size: 7, strategy: "weighted-round-robin" })).size, 7)
      assert.strictEqual((yield* chosenOf(list, { size: 20, strategy: "weighted-round-robin" })).size, 8)
    }))

  it.effect("is another for another balancer", () =>
    Effect.gen(function*() {
      const [one, same, other] = [
        yield* chosenOf(pool(20, 80), { size: 10 }),
        yield* chosenOf(pool(20, 80).toReversed(), { size: 10 }),
        yield* chosenOf(pool(20, 80), { size: 10, id: "lb-2" })
      ].map(({ found }) => Array.from(found.keys()))
      assert.notDeepEqual(one?.toSorted(), other?.toSorted())
      assert.sameMembers(same ?? [], one ?? [])
    }))
})

describe("a bound of the load in a zone", () => {
  const inFlightOf = (key: (i: number) => string, size: number | undefined, list: ReadonlyArray<Load.Endpoint>) =>
    Effect.map(
      Effect.provide(
        Strategy,
        strategyOf({ strategy: "maglev", hash: { balanceFactor: 1.25 }, subset: { id: "lb-1", size }, zone: "a" })
      ),
      (strategy) => {
        const picker = strategy.make(list)
        for (let i = 0; i < 601; i++) Load.begin(picker.pick({ ...anonymous, key: () => key(i) })!.load)
        return list.map(({ load }) => load.inFlight)
      }
    )

  it.effect.each([undefined, 4])(
    "holds for a hot key, whichever half of a divided pool it belongs to, with a subset of %s",
    (size) =>
      Effect.gen(function*() {
        for (let k = 0; k < 20; k++) {
          // A third of the traffic stays in the zone, which has one backend.
          const [here, ...others] = yield* inFlightOf(() => `hot ${k}`, size, zoned("a", "b", "b", "b", "b", "b"))
          assert.isAtMost(here!, Math.ceil(1.25 * 601 / 3))
          for (const other of others) {
            assert.isAtMost(other, Math.ceil(1.25 * 601 * 2 / 3 / (size === undefined ? 5 : 3)))
          }
        }
      })
  )

  it.effect("leaves the zone what it can bear", () =>
    Effect.gen(function*() {
      const [here] = yield* inFlightOf((i) => `key ${i}`, undefined, zoned("a", "b", "b", "b", "b", "b"))
      assert.closeTo(here!, 200, 40)
    }))
})
