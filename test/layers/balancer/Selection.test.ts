/** Where requests go when whom the strategy picks cannot be taken: full, tried, or warming. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as BalancerLayer from "../../../src/layers/Balancer.ts"
import * as EjectionLayer from "../../../src/layers/Ejection.ts"
import * as PoolLayer from "../../../src/layers/Pool.ts"
import { strategies, strategyOf } from "../../../src/layers/strategies/index.ts"
import * as Zones from "../../../src/layers/strategies/Zones.ts"
import * as Backend from "../../../src/services/Backend.ts"
import { Balancer, defaultOptions, type Options } from "../../../src/services/Balancer.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { anonymous, type PickContext, Strategy } from "../../../src/services/Strategy.ts"
import { idsOf } from "../../endpoints.ts"

const over = (strategy: Layer.Layer<Strategy>, options: Partial<Options> = {}) =>
  Effect.provide(
    BalancerLayer.layer({ ...defaultOptions, ...options }).pipe(
      Layer.provide([EjectionLayer.layerNone, strategy]),
      Layer.provideMerge(PoolLayer.layer())
    )
  )

const join = (...backends: ReadonlyArray<Backend.Backend>) => Effect.flatMap(Pool, (pool) => pool.reconcile(backends))

const named = (id: string, options: Parameters<typeof Backend.make>[1] = {}): Backend.Backend =>
  Backend.make(`http://${id}.test`, { id, ...options })

/** The ids of so many selections, each with this many tried before, of which none begins. */
const selections = (n: number, tries = 0, contextFor: (i: number) => PickContext = () => anonymous) =>
  Effect.map(Balancer, ({ select }) =>
    Array.from({ length: n }, (_, i) => {
      const tried: Array<Endpoint> = []
      for (let k = 0; k < tries; k++) tried.push(select(contextFor(i), tried)!)
      return select(contextFor(i), tried)?.backend.id
    }))

const keyed = (i: number): PickContext => ({ ...anonymous, key: () => `client ${i}` })

/** Fills this backend, of which one request is all that it may have. */
const fill = (id: string) =>
  Effect.map(Balancer, ({ begin, select }) => {
    for (const tried: Array<Endpoint> = [];;) {
      const endpoint = select(anonymous, tried)
      assert(endpoint !== undefined)
      if (endpoint.backend.id === id) return begin(endpoint)
      tried.push(endpoint)
    }
  })

const single = { maxInFlight: 1 }

const slowStart = { slowStart: { duration: Duration.seconds(30), from: 0.1, aggression: 1 } }

/** Takes a backend out and in again, so that it is warming. */
const comeBack = (id: string) =>
  Effect.gen(function*() {
    const pool = yield* Pool
    yield* pool.signal(id, { _tag: "ModeSet", mode: "Disabled", why: "a deploy" })
    yield* selections(1)
    yield* pool.signal(id, { _tag: "ModeSet", mode: "Ready", why: "deployed" })
  })

describe("the order of the configuration, with the strategy first,", () => {
  const four = ["a", "b", "c", "d"].map((id) => named(id))

  it.effect("decides who gets what is too much for the first one", () =>
    Effect.gen(function*() {
      yield* join(...four)
      yield* fill("a")
      assert.deepStrictEqual(new Set(yield* selections(20)), new Set(["b"]))
      yield* fill("b")
      assert.deepStrictEqual(new Set(yield* selections(20)), new Set(["c"]))
    }).pipe(over(strategies.first, single)))

  it.effect("decides who is tried next", () =>
    Effect.gen(function*() {
      yield* join(...four)
      assert.deepStrictEqual(new Set(yield* selections(20, 1)), new Set(["b"]))
      assert.deepStrictEqual(new Set(yield* selections(20, 2)), new Set(["c"]))
    }).pipe(over(strategies.first)))

  it.effect("decides who gets what the first one does not get while it is warming", () =>
    Effect.gen(function*() {
      yield* join(...four)
      yield* selections(1)
      yield* comeBack("a")
      assert.deepStrictEqual(new Set(yield* selections(100)), new Set(["a", "b"]))
    }).pipe(over(strategies.first, slowStart)))
})

describe("those that are warming", () => {
  it.effect.each(["round-robin", "weighted-round-robin"] as const)(
    "have their turns as ever, where all are, with %s",
    (name) =>
      Effect.forEach([2, 3, 4, 5], (n) =>
        Effect.gen(function*() {
          const ids = Array.from({ length: n }, (_, i) => `a${i}`)
          yield* join(...ids.map((id) => named(id)))
          yield* selections(1)
          for (const id of ids) yield* comeBack(id)
          const got = yield* selections(20)
          assert.strictEqual(new Set(got.slice(0, n)).size, n, got.join(" "))
          assert.deepStrictEqual(got.slice(n), got.slice(0, -n))
        }).pipe(over(strategies[name], slowStart)), { discard: true })
  )

  it.effect("are tried next where nobody else is left, but none twice and none beyond its limit", () =>
    Effect.gen(function*() {
      yield* join(...["a", "b", "c"].map((id) => named(id)))
      yield* selections(1)
      for (const id of ["b", "c"]) yield* comeBack(id)
      assert.deepStrictEqual(new Set(yield* selections(20, 1)), new Set(["b"]))
      yield* fill("b")
      assert.deepStrictEqual(new Set(yield* selections(20, 1)), new Set(["c"]))
    }).pipe(over(strategies.first, { ...slowStart, ...single })))
})

describe("those on trial", () => {
  it.effect.each(["round-robin", "weighted-round-robin"] as const)(
    "have their turns as ever, where nobody else is left, with %s",
    (name) =>
      Effect.forEach([2, 3, 4, 5], (n) =>
        Effect.gen(function*() {
          const pool = yield* Pool
          const { begin, select } = yield* Balancer
          const ids = Array.from({ length: n }, (_, i) => `a${i}`)
          // Half of all may be ejected.
          const dead = ids.map((id) => `dead-${id}`)
          yield* join(...[...ids, ...dead].map((id) => named(id)))
          for (const id of ids) {
            yield* pool.signal(id, { _tag: "Tripped", why: "too many failures" })
            yield* pool.signal(id, { _tag: "ProbePassed", why: "status: 200" })
          }
          for (const id of dead) yield* pool.signal(id, { _tag: "ProbeFailed", why: "Connection refused" })
          const got = Array.from({ length: 4 * n }, () => {
            const endpoint = select(anonymous)!
            begin(endpoint)
            return endpoint.backend.id
          })
          for (const id of ids) assert.strictEqual(got.filter((one) => one === id).length, 4, got.join(" "))
        }).pipe(over(strategies[name])), { discard: true })
  )

  it.effect("get a second one only when each has its first, and none that an exchange has tried", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      const { begin, select } = yield* Balancer
      yield* join(...["a", "b", "c", "d"].map((id) => named(id)))
      for (const id of ["a", "b"]) {
        yield* pool.signal(id, { _tag: "Tripped", why: "too many failures" })
        yield* pool.signal(id, { _tag: "ProbePassed", why: "status: 200" })
      }
      for (const id of ["c", "d"]) yield* pool.signal(id, { _tag: "ProbeFailed", why: "Connection refused" })
      const got = Array.from({ length: 3 }, () => {
        const endpoint = select(anonymous)!
        begin(endpoint)
        return endpoint
      })
      assert.deepStrictEqual(idsOf(got), ["a", "b", "a"])
      assert.isUndefined(select(anonymous, got))
    }).pipe(over(strategies.first)))
})

describe("those who are only ejected", () => {
  it.effect("are spared as long as somebody else is only full, and asked where everybody else was tried", () =>
    Effect.gen(function*() {
      yield* join(...["a", "b"].map((id) => named(id)))
      yield* Effect.flatMap(Pool, (pool) => pool.signal("b", { _tag: "Tripped", why: "too many failures" }))
      assert.deepStrictEqual(yield* selections(1, 1), ["b"])
      yield* fill("a")
      assert.deepStrictEqual(yield* selections(1), [undefined])
    }).pipe(over(strategies.first, single)))

  it.effect("are waited for where they are full and nobody else is left", () =>
    Effect.gen(function*() {
      const { begin, end, wait } = yield* Balancer
      const pool = yield* Pool
      yield* join(...["a", "b"].map((id) => named(id)))
      yield* pool.signal("a", { _tag: "Tripped", why: "too many failures" })
      yield* pool.signal("b", { _tag: "ModeSet", mode: "Disabled", why: "a deploy" })
      yield* fill("a")
      const waiting = yield* Effect.forkChild(wait(anonymous, [], begin), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe())
      const { endpoint } = (yield* Ref.get(pool.state)).members[0]!
      end(endpoint, "success", 1)
      assert.strictEqual((yield* Fiber.join(waiting)).backend.id, "a")
    }).pipe(over(strategies.first, single)))
})

describe("a thousand of whom most cannot be taken", () => {
  it.effect.each(["round-robin", "random", "maglev"] as const)(
    "are not asked anew for each request, with %s",
    (name) =>
      Effect.gen(function*() {
        yield* join(...Array.from({ length: 1_000 }, (_, i) => named(`a${i}`)))
        yield* selections(1)
        let looks = 0
        for (const { endpoint: { load } } of (yield* Ref.get((yield* Pool).state)).members.slice(0, 800)) {
          const full = () => {
            looks++
            return 0
          }
          Object.defineProperty(load, "limit", { get: full })
        }
        yield* selections(1_000, 0, keyed)
        assert.isBelow(looks, 30_000)
      }).pipe(over(strategies[name]))
  )
})

describe("one that came back long ago", () => {
  it.effect("is as warm as any, also if the strategy has not proposed it since", () =>
    Effect.gen(function*() {
      yield* join(...["a", "b", "c"].map((id) => named(id)))
      yield* selections(1)
      yield* comeBack("b")
      yield* fill("a")
      assert.deepStrictEqual(new Set(yield* selections(20)), new Set(["c"]))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(new Set(yield* selections(20)), new Set(["b"]))
    }).pipe(over(strategies.first, { ...slowStart, ...single })))
})

describe("a subset", () => {
  const six = ["a", "b", "c", "d", "e", "f"].map((id) => named(id))

  it.effect.each(["random", "round-robin", "maglev", "least-requests"] as const)(
    "of %s is left by nobody who finds room in it, and then goes on to all others",
    (name) => {
      const strategy = Layer.provide(Zones.layer(undefined, { id: "here", size: 3 }), strategies[name])
      return Effect.gen(function*() {
        yield* join(...six)
        const subset = new Set(yield* selections(100, 0, keyed))
        assert.strictEqual(subset.size, 3)
        for (const tries of [1, 2]) {
          for (const id of yield* selections(100, tries, keyed)) assert.isTrue(subset.has(id), `${tries}: ${id}`)
        }
        for (const id of yield* selections(100, 3, keyed)) assert.isFalse(subset.has(id))
        const [one, two, three] = [...subset]
        yield* fill(one!)
        yield* fill(two!)
        assert.deepStrictEqual(new Set(yield* selections(100, 0, keyed)), new Set([three]))
        yield* fill(three!)
        const rest = new Set(yield* selections(100, 0, keyed))
        assert.deepStrictEqual([...rest].sort(), six.map(({ id }) => id).filter((id) => !subset.has(id)))
      }).pipe(over(strategy, single))
    }
  )
})

describe("a zone", () => {
  const two = [named("a", { zone: "here" }), named("b", { zone: "here" }), named("c", { zone: "there" })]

  describe.each(["random", "least-requests", "weighted-round-robin", "rendezvous"] as const)("of %s", (name) => {
    const strategy = Layer.provide(Zones.layer("here"), strategies[name])

    it.effect("is left by nobody who finds room in it", () =>
      Effect.gen(function*() {
        yield* join(...two)
        assert.notInclude(yield* selections(100, 1, keyed), "c")
        yield* fill("b")
        assert.deepStrictEqual(new Set(yield* selections(100, 0, keyed)), new Set(["a"]))
        yield* fill("a")
        assert.deepStrictEqual(new Set(yield* selections(10, 0, keyed)), new Set(["c"]))
      }).pipe(over(strategy, single)))

    it.effect("is not left for the sake of one that is warming, where another one has room", () =>
      Effect.gen(function*() {
        yield* join(...two)
        yield* selections(1)
        yield* comeBack("a")
        assert.deepStrictEqual(new Set(yield* selections(300, 0, keyed)), new Set(["a", "b"]))
      }).pipe(over(strategy, slowStart)))
  })
})

describe.each([["a zone", "here", undefined], ["a subset", undefined, 1]] as const)(
  "those beyond %s that has no room",
  (_, zone, size) => {
    const within = (strategy: Parameters<typeof strategyOf>[0]["strategy"]) =>
      over(strategyOf({ strategy, hash: {}, subset: { id: "lb", size }, zone }), single)
    // The zone is big enough for everything, and the first one of the subset as well.
    const join3 = Effect.gen(function*() {
      const ids = ["w", "x", "y", "z"]
      yield* join(...ids.map((id) => named(id)))
      const first = size === undefined ? "w" : (yield* selections(1))[0]
      const others = ids.filter((id) => id !== first)
      const weights = [8, 1, 1]
      yield* join(
        named(first!, { weight: 10, zone: "here" }),
        ...others.map((id, i) => named(id, { weight: weights[i]!, zone: "there" }))
      )
      yield* fill(first!)
      return others
    })

    it.effect("get it by weight", () =>
      Effect.gen(function*() {
        const others = yield* join3
        const got = yield* selections(20)
        assert.deepStrictEqual(others.map((id) => got.filter((one) => one === id).length), [16, 2, 2])
      }).pipe(within("weighted-round-robin")))

    it.effect.each(["ring-hash", "maglev", "rendezvous"] as const)(
      "get it by key, with %s",
      (name) =>
        Effect.gen(function*() {
          const others = yield* join3
          const [first, again] = [yield* selections(200, 0, keyed), yield* selections(200, 0, keyed)]
          assert.deepStrictEqual(first, again)
          assert.sameMembers([...new Set(first)], others)
        }).pipe(within(name))
    )
  }
)

describe("a bound of the load", () => {
  const four = ["a", "b", "c", "d"].map((id) => named(id, { zone: id < "c" ? "here" : "there" }))

  it.effect.each([["a zone", "here", undefined], ["a subset", undefined, 2]] as const)(
    "does not lead out of %s",
    ([, zone, size]) =>
      Effect.gen(function*() {
        yield* join(...four)
        const { begin, select } = yield* Balancer
        const first = select(anonymous)!
        const second = select(anonymous, [first])!
        for (let i = 0; i < 10; i++) begin(second)
        // The first one alone is within the bound, and was tried.
        for (let i = 0; i < 6; i++) assert.strictEqual(select(anonymous, [first]), second)
      }).pipe(over(strategyOf({
        strategy: "round-robin",
        hash: { balanceFactor: 1.25 },
        subset: { id: "lb", size },
        zone
      })))
  )

  it.effect("is passed by as little as can be, where only those can be taken who are beyond it", () =>
    Effect.gen(function*() {
      yield* join(...four)
      const { begin, select } = yield* Balancer
      const tried: Array<Endpoint> = []
      for (const _ of four) tried.push(select(keyed(1), tried)!)
      const [first, second, third, fourth] = tried
      for (let i = 0; i < 30; i++) begin(first!)
      for (let i = 0; i < 25; i++) begin(second!)
      for (let i = 0; i < 5; i++) begin(third!)
      // Those are full or were tried.
      assert.strictEqual(select(keyed(1), [third!, fourth!]), second)
    }).pipe(over(strategyOf({
      strategy: "maglev",
      hash: { balanceFactor: 1.25 },
      subset: { id: "lb" },
      zone: undefined
    }))))
})

describe("backups that take what is too much for the primaries", () => {
  const backup = (id: string, weight: number) => named(id, { weight, tier: 1 })

  it.effect("get it by weight", () =>
    Effect.gen(function*() {
      yield* join(named("a"), backup("x", 8), backup("y", 1), backup("z", 1))
      yield* fill("a")
      const got = yield* selections(20)
      assert.deepStrictEqual(["x", "y", "z"].map((id) => got.filter((one) => one === id).length), [16, 2, 2])
    }).pipe(over(strategies["weighted-round-robin"], single)))

  it.effect("get it by key", () =>
    Effect.gen(function*() {
      yield* join(named("a"), backup("x", 1), backup("y", 1), backup("z", 1))
      yield* fill("a")
      const [first, again] = [yield* selections(50, 0, keyed), yield* selections(50, 0, keyed)]
      assert.deepStrictEqual(first, again)
      assert.strictEqual(new Set(first).size, 3)
      // The same as those get it for whom the primary was tried.
      yield* Effect.flatMap(Pool, (pool) => pool.signal("a", { _tag: "ProbeFailed", why: "refused" }))
      assert.deepStrictEqual(yield* selections(50, 0, keyed), first)
    }).pipe(over(strategies.maglev, single)))

  it.effect("have a picker of their own, which is told of what becomes of its picks and of no others", () => {
    const told: Array<string> = []
    const watching = Layer.succeed(Strategy, {
      name: "watching",
      make: (list: ReadonlyArray<Endpoint>) => ({
        pick: () => list[0],
        observe: ({ backend }: Endpoint) => void told.push(`${idsOf(list)}: ${backend.id} answers`),
        ended: ({ backend }: Endpoint) => void told.push(`${idsOf(list)}: ${backend.id} ends`)
      })
    })
    return Effect.gen(function*() {
      yield* join(named("a"), backup("x", 1))
      const { begin, end, select } = yield* Balancer
      const picked = [select(anonymous)!]
      begin(picked[0]!)
      picked.push(select(anonymous)!)
      begin(picked[1]!)
      assert.deepStrictEqual(idsOf(picked), ["a", "x"])
      for (const endpoint of picked) end(endpoint, "success", 5)
      assert.deepStrictEqual(told, ["a: a answers", "a: a ends", "x: x answers", "x: x ends"])
    }).pipe(over(watching, single))
  })
})
