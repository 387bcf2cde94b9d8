import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Balancer from "../../src/layers/Balancer.ts"
import * as Ejection from "../../src/layers/Ejection.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { strategies } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import * as BalancerService from "../../src/services/Balancer.ts"
import * as Health from "../../src/services/Health.ts"
import type { Endpoint } from "../../src/services/Load.ts"
import * as Monotonic from "../../src/services/Monotonic.ts"
import type { Outcome } from "../../src/services/Outcome.ts"
import { Pool } from "../../src/services/Pool.ts"
import { anonymous } from "../../src/services/Strategy.ts"
import { backend, idsOf } from "../endpoints.ts"

const labWith = (options: Partial<BalancerService.Options>) =>
  Effect.provide(
    Balancer.layer({ ...BalancerService.defaultOptions, ...options }).pipe(
      Layer.provide([Ejection.layer(), strategies["round-robin"]]),
      Layer.provideMerge(PoolLayer.layer())
    )
  )

const lab = labWith({})

/** A pool, and what it is told. */
const watching = () => {
  const told: Array<string> = []
  const watched = Layer.effect(
    Pool,
    Effect.map(Pool, (pool) =>
      Pool.of({
        ...pool,
        signal: (id, signal) => {
          told.push(`${id} ${signal._tag}`)
          return pool.signal(id, signal)
        }
      }))
  ).pipe(Layer.provide(PoolLayer.layer()))
  return { told, watched }
}

const over = (pool: Layer.Layer<Pool>) =>
  Effect.provide(
    Balancer.layer().pipe(Layer.provide([Ejection.layer(), strategies["round-robin"]]), Layer.provideMerge(pool))
  )

/** Three backends that have passed their checks. */
const three = Effect.gen(function*() {
  const pool = yield* Pool
  yield* pool.reconcile(["a", "b", "c"].map((id) => backend(id)))
  for (const id of ["a", "b", "c"]) yield* pool.signal(id, { _tag: "ProbePassed", why: "status: 200" })
  return (yield* Ref.get(pool.state)).eligible
})

/** Lets the fibers between the balancer and the pool do what they have to do. */
const settle = Effect.repeat(Effect.yieldNow, { times: 19 })

/** So many tries on an endpoint, one after the other, with the same end. */
const tries = (endpoint: Endpoint, outcome: Outcome, n = 1, why?: string) =>
  Effect.gen(function*() {
    const balancer = yield* BalancerService.Balancer
    for (let i = 0; i < n; i++) {
      balancer.begin(endpoint)
      balancer.end(endpoint, outcome, 10, why)
    }
    yield* settle
  })

/** Nine tries that begin and have no end yet, on whom the balancer selects. */
const nine = Effect.map(BalancerService.Balancer, ({ begin, select }) =>
  Array.from({ length: 9 }, () => {
    const endpoint = select(anonymous)!
    begin(endpoint)
    return endpoint
  }))

const healthOf = (id: string) =>
  Effect.gen(function*() {
    const { members } = yield* Ref.get((yield* Pool).state)
    return members.find(({ endpoint }) => endpoint.backend.id === id)!.health
  })

const statusOf = (id: string) => Effect.map(healthOf(id), Health.status)

/** The first of three, whose one trial is under way beside three requests from before its ejection. */
const onTrial = Effect.gen(function*() {
  const [a] = yield* three
  const { begin } = yield* BalancerService.Balancer
  for (let i = 0; i < 3; i++) begin(a!)
  yield* tries(a!, "failure", 5)
  yield* TestClock.adjust("13 seconds")
  assert.strictEqual(yield* statusOf("a"), "Trial")
  assert.strictEqual(idsOf(yield* nine).filter((id) => id === "a").length, 1)
  return a!
})

describe("a backend that fails real traffic", () => {
  it.effect("is ejected after five failures in a row, and the pool knows why", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      yield* tries(a!, "failure", 4, "reset_before_headers")
      assert.strictEqual(yield* statusOf("a"), "Up")
      yield* tries(a!, "failure", 1, "reset_before_headers")
      assert.deepInclude(yield* healthOf("a"), { why: "5 failures in a row, the last failure reset_before_headers" })
      assert.strictEqual(yield* statusOf("a"), "Ejected")
      assert.deepStrictEqual(idsOf((yield* Ref.get((yield* Pool).state)).eligible), ["b", "c"])
    }).pipe(lab))

  it.effect("is not ejected for clients that leave", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      yield* tries(a!, "aborted", 50)
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("gets one request at a time when its time is over, and is back after one that goes well", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { end } = yield* BalancerService.Balancer
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("12.5 seconds")
      assert.strictEqual(yield* statusOf("a"), "Trial")
      const picked = yield* nine
      assert.strictEqual(idsOf(picked).filter((id) => id === "a").length, 1)
      for (const endpoint of picked) end(endpoint, "success", 0)
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Up")
      // What it did before does not count against it.
      yield* tries(a!, "failure", 4)
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("is ejected for twice as long when the trial fails", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      yield* tries(a!, "failure", 5)
      assert.strictEqual((yield* healthOf("a")).why, "5 failures in a row")
      yield* TestClock.adjust("13 seconds")
      yield* tries(a!, "failure", 1, "connect_failed")
      assert.strictEqual((yield* healthOf("a")).why, "the trial failed, connect_failed")
      yield* TestClock.adjust("19.9 seconds")
      assert.strictEqual(yield* statusOf("a"), "Ejected")
      yield* TestClock.adjust("5.1 seconds")
      assert.strictEqual(yield* statusOf("a"), "Trial")
    }).pipe(lab))

  it.effect("is ejected for up to a quarter longer, by chance, so that not all come back together", () => {
    /** How long an ejection lasts, for what chance says. */
    const length = (chance: number) =>
      Effect.gen(function*() {
        const [a] = yield* three
        yield* tries(a!, "failure", 5)
        const { changed, circuit } = yield* healthOf("a")
        assert(circuit._tag === "Open")
        return circuit.until - changed.circuit.at
      }).pipe(
        lab,
        Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => chance })
      )
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.forEach([0, 0.5, 0.75], length), [10_000, 11_250, 11_875])
    })
  })

  it.effect("has its trial although requests from before have no end, such as tunnels", () =>
    Effect.gen(function*() {
      const a = yield* onTrial
      const { end } = yield* BalancerService.Balancer
      // The client of the trial leaves, then a tunnel ends: there is one trial at a time.
      yield* TestClock.adjust(10)
      end(a, "aborted", 10)
      end(a, "aborted", 12_510)
      assert.strictEqual(idsOf(yield* nine).filter((id) => id === "a").length, 1)
      end(a, "success", 0)
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("has one trial at a time also when requests from before end during it", () =>
    Effect.gen(function*() {
      const a = yield* onTrial
      const { end } = yield* BalancerService.Balancer
      let more = 0
      for (let i = 0; i < 3; i++) {
        // It began before the ejection: it says nothing, and leaves no room for a second trial.
        end(a, "failure", 12_500, "headers_timeout")
        more += idsOf(yield* nine).filter((id) => id === "a").length
      }
      assert.strictEqual(more, 0)
    }).pipe(lab))

  it.effect("has its trial as soon as there is room, where it was full when that was due", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { begin, end, select } = yield* BalancerService.Balancer
      for (let i = 0; i < 3; i++) begin(a!)
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("12.5 seconds")
      assert.strictEqual(yield* statusOf("a"), "Trial")
      const isChosen = () => idsOf(Array.from({ length: 9 }, () => select(anonymous))).includes("a")
      assert.isFalse(isChosen())
      for (let i = 0; i < 3; i++) {
        end(a!, "failure", 12_500, "headers_timeout")
        assert.isTrue(isChosen(), `${i + 1} have ended`)
      }
    }).pipe(labWith({ maxInFlight: 3 })))

  it.effect("is not ejected for failures between which it has answered streams well, which end by their clients", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { answered, begin, end } = yield* BalancerService.Balancer
      for (let failure = 0; failure < 5; failure++) {
        // Streams of events, which their clients end: nothing else ever ends one.
        for (let i = 0; i < 100; i++) {
          begin(a!)
          answered(a!, 10, yield* Monotonic.millis, "answered")
          yield* TestClock.adjust("1 second")
          end(a!, "aborted", 1_000, undefined, "answered")
        }
        yield* tries(a!, "failure", 1, "reset_before_headers")
      }
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("is not ejected again for a request from before its trial, and be it over as the trial begins", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { begin, end } = yield* BalancerService.Balancer
      begin(a!)
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("5 seconds")
      yield* Effect.flatMap(Pool, (pool) => pool.signal("a", { _tag: "ProbePassed", why: "status: 200" }))
      end(a!, "failure", 5_000, "headers_timeout")
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Trial")
      yield* TestClock.adjust(10)
      yield* tries(a!, "failure", 1)
      assert.strictEqual(yield* statusOf("a"), "Ejected")
    }).pipe(lab))

  it.effect("is not ejected again for requests from before it is back", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { begin, end } = yield* BalancerService.Balancer
      for (let i = 0; i < 20; i++) begin(a!)
      yield* TestClock.adjust("2 seconds")
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust(10)
      // It is asked while it is ejected, too, where nobody else is left, and beside its trial, if that waits for its client.
      for (let i = 0; i < 5; i++) begin(a!)
      yield* Effect.flatMap(Pool, (pool) => pool.signal("a", { _tag: "ProbePassed", why: "status: 200" }))
      yield* TestClock.adjust(10)
      for (let i = 0; i < 5; i++) begin(a!)
      yield* TestClock.adjust(10)
      yield* tries(a!, "success")
      assert.strictEqual(yield* statusOf("a"), "Up")
      for (let i = 0; i < 20; i++) end(a!, "failure", 2_030, "headers_timeout")
      for (let i = 0; i < 5; i++) end(a!, "failure", 20, "headers_timeout")
      for (let i = 0; i < 5; i++) end(a!, "failure", 10, "headers_timeout")
      yield* TestClock.adjust("1 second")
      yield* tries(a!, "failure", 4)
      assert.strictEqual(yield* statusOf("a"), "Up")
      yield* tries(a!, "failure")
      assert.strictEqual(yield* statusOf("a"), "Ejected")
    }).pipe(lab))

  it.effect("begins anew when it is back, also where its trial was over before the balancer looked again", () => {
    // Only selections look.
    const quiet = Layer.effect(
      Pool,
      Effect.map(Pool, (pool) => Pool.of({ ...pool, changes: Stream.never }))
    ).pipe(Layer.provide(PoolLayer.layer()))
    return Effect.gen(function*() {
      const [a] = yield* three
      const { select } = yield* BalancerService.Balancer
      const pool = yield* Pool
      yield* tries(a!, "failure", 5)
      select(anonymous)
      yield* pool.signal("a", { _tag: "ProbePassed", why: "status: 200" })
      yield* pool.signal("a", { _tag: "Recovered", why: "the trial went well" })
      select(anonymous)
      yield* tries(a!, "failure", 4)
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(over(quiet))
  })

  it.effect("is not judged by the requests to one that has left, whose id it has", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { begin, end } = yield* BalancerService.Balancer
      const pool = yield* Pool
      for (let i = 0; i < 5; i++) begin(a!)
      yield* pool.reconcile([backend("b"), backend("c")])
      const [another] = yield* three
      for (let i = 0; i < 5; i++) end(a!, "failure", 10, "reset_before_headers")
      yield* tries(another!, "failure")
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("is not judged by one that has left, whose id it has, also where it joins as that is about to be ejected", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { begin, end } = yield* BalancerService.Balancer
      const pool = yield* Pool
      for (let i = 0; i < 5; i++) begin(a!)
      for (let i = 0; i < 5; i++) end(a!, "failure", 10, "reset_before_headers")
      yield* pool.reconcile([backend("b"), backend("c")])
      yield* three
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  /** The same backend in another place. */
  const moved = Effect.gen(function*() {
    const { reconcile, state } = yield* Pool
    yield* reconcile([Backend.make("http://elsewhere.test", { id: "a" }), backend("b"), backend("c")])
    yield* settle
    return (yield* Ref.get(state)).members[0]!.endpoint
  })

  it.effect("is not judged by the requests to the place from which it has moved", () =>
    Effect.gen(function*() {
      const [before] = yield* three
      const { begin, end } = yield* BalancerService.Balancer
      for (let i = 0; i < 5; i++) begin(before!)
      yield* tries(before!, "failure", 4)
      yield* TestClock.adjust("1 second")
      const after = yield* moved
      for (let i = 0; i < 5; i++) end(before!, "failure", 1_000, "reset_before_headers")
      yield* TestClock.adjust("1 second")
      yield* tries(after, "failure", 4)
      assert.strictEqual(yield* statusOf("a"), "Up")
      yield* tries(after, "failure")
      assert.strictEqual(yield* statusOf("a"), "Ejected")
    }).pipe(lab))

  it.effect.each<Outcome>(["success", "failure"])(
    "has a trial of its own where it has moved to: %s",
    (outcome) =>
      Effect.gen(function*() {
        const before = yield* onTrial
        const after = yield* moved
        yield* Effect.flatMap(BalancerService.Balancer, ({ end }) => Effect.sync(() => end(before, outcome, 0)))
        yield* settle
        assert.strictEqual(yield* statusOf("a"), "Trial")
        yield* tries(after, "success")
        assert.strictEqual(yield* statusOf("a"), "Up")
      }).pipe(lab)
  )

  it.effect("is on trial as soon as it has moved, whatever it was ejected for", () =>
    Effect.gen(function*() {
      const [before] = yield* three
      yield* tries(before!, "failure", 5)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* statusOf("a"), "Ejected")
      const after = yield* moved
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(yield* statusOf("a"), "Trial")
      yield* TestClock.adjust("1 second")
      yield* tries(after, "success")
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("has its trial where it has moved to at once, and one at a time, whatever goes on where it was", () =>
    Effect.gen(function*() {
      const before = yield* onTrial
      yield* TestClock.adjust("1 second")
      const after = yield* moved
      assert.strictEqual(idsOf(yield* nine).filter((id) => id === "a").length, 1)
      const { end } = yield* BalancerService.Balancer
      end(before, "failure", 1_000)
      assert.notInclude(idsOf(yield* nine), "a")
      end(after, "success", 0)
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("has its trial also where its adaptive limit is less than what is still open from before", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { begin } = yield* BalancerService.Balancer
      for (let i = 0; i < 10; i++) begin(a!)
      // Two windows in which all fail.
      yield* TestClock.adjust("1 second")
      yield* tries(a!, "failure", 20)
      yield* TestClock.adjust("1 second")
      yield* tries(a!, "failure", 20)
      assert.isBelow(a!.load.limit, 10)
      yield* TestClock.adjust("13 seconds")
      assert.strictEqual(yield* statusOf("a"), "Trial")
      assert.strictEqual(idsOf(yield* nine).filter((id) => id === "a").length, 1)
    }).pipe(labWith({ adaptive: true })))

  it.effect("has one trial at a time also when something else about it changes meanwhile", () =>
    Effect.gen(function*() {
      const a = yield* onTrial
      yield* Effect.flatMap(Pool, (pool) => pool.reconcile([backend("a", 9), backend("b"), backend("c")]))
      assert.notInclude(idsOf(yield* nine), "a")
      assert.strictEqual(a.load.inFlight, 4)
    }).pipe(lab))

  it.effect("has another trial beside one whose client takes its time, and is not limited by that when it is back", () =>
    Effect.gen(function*() {
      const a = yield* onTrial
      const { bypass } = yield* BalancerService.Balancer
      // It is one from before the trial whose client takes its time.
      bypass(a, 60_000)
      assert.notInclude(idsOf(yield* nine), "a")
      bypass(a, 0)
      assert.strictEqual(idsOf(yield* nine).filter((id) => id === "a").length, 1)
      yield* TestClock.adjust(10)
      yield* tries(a, "success")
      assert.strictEqual(yield* statusOf("a"), "Up")
      bypass(a, 0)
      assert.strictEqual(idsOf(yield* nine).filter((id) => id === "a").length, 3)
    }).pipe(lab))

  it.effect("has another trial beside work that goes on for 15 s, and not before", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { use } = yield* BalancerService.Balancer
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("13 seconds")
      const work = Effect.forkChild(use(anonymous, () => Effect.sleep("1 minute")), { startImmediately: true })
      for (let i = 0; i < 9; i++) yield* work
      assert.strictEqual(a!.load.inFlight, 1)
      yield* TestClock.adjust("14900 millis")
      for (let i = 0; i < 9; i++) yield* work
      assert.strictEqual(a!.load.inFlight, 1)
      yield* TestClock.adjust("100 millis")
      for (let i = 0; i < 9; i++) yield* work
      assert.strictEqual(a!.load.inFlight, 2)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* statusOf("a"), "Up")
      assert.strictEqual(a!.load.inFlight, 0)
    }).pipe(lab))

  it.effect("is back when one of two trials goes well, though the other one fails at that moment", () =>
    Effect.gen(function*() {
      const a = yield* onTrial
      const { begin, bypass, end } = yield* BalancerService.Balancer
      yield* TestClock.adjust("3 seconds")
      bypass(a, 3_000)
      begin(a)
      end(a, "success", 3_000)
      end(a, "failure", 0)
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("has that other trial at once where somebody waits for room", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* three
      const { begin, bypass, wait } = yield* BalancerService.Balancer
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("12.5 seconds")
      for (const one of [a!, b!, b!, c!, c!]) begin(one)
      const waiting = yield* Effect.forkChild(wait(anonymous, [], begin), { startImmediately: true })
      bypass(a!, 0)
      assert.strictEqual(yield* Fiber.join(waiting), a)
    }).pipe(labWith({ maxInFlight: 2 })))

  it.effect("is back as soon as its trial is a tunnel, which may never end", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { answered, begin } = yield* BalancerService.Balancer
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("12.5 seconds")
      begin(a!)
      answered(a!, 0, 12_500, "tunnel")
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("is back when the answer of its trial has been coming for long enough, and not for one from before", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const { answered, begin, end, proven } = yield* BalancerService.Balancer
      const settled = Effect.replicateEffect(Effect.yieldNow, 20)
      begin(a!)
      answered(a!, 10, yield* Monotonic.millis, "answered")
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("12.5 seconds")
      begin(a!)
      answered(a!, 10, yield* Monotonic.millis, "answered")
      yield* TestClock.adjust("5 seconds")
      // A download that was begun before the ejection is no trial, however it goes.
      proven(a!, 17_500)
      yield* settled
      assert.strictEqual(yield* statusOf("a"), "Trial")
      end(a!, "failure", 17_500, "reset_mid_body", "answered")
      yield* settled
      assert.strictEqual(yield* statusOf("a"), "Trial")
      begin(a!)
      end(a!, "success", 17_500, undefined, "tunnel")
      yield* settled
      assert.strictEqual(yield* statusOf("a"), "Trial")
      proven(a!, 5_000)
      yield* settled
      assert.strictEqual(yield* statusOf("a"), "Up")
      // What becomes of it after that is a try like any other.
      end(a!, "failure", 5_000, "reset_mid_body", "answered")
      yield* settled
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(lab))

  it.effect("is the only one of whom the pool is told when all goes well", () => {
    const { told, watched } = watching()
    return Effect.gen(function*() {
      const [a, b] = yield* three
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("1 minute")
      told.length = 0
      yield* tries(b!, "success", 5)
      yield* tries(a!, "success")
      assert.deepStrictEqual(told, ["a Recovered"])
    }).pipe(over(watched))
  })

  it.effect("may show itself as soon as it passes a check", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      yield* tries(a!, "failure", 5)
      yield* Effect.flatMap(Pool, (pool) => pool.signal("a", { _tag: "ProbePassed", why: "status: 200" }))
      assert.strictEqual(yield* statusOf("a"), "Trial")
    }).pipe(lab))

  it.effect("stays when the others are ejected already", () =>
    Effect.gen(function*() {
      const [a, b] = yield* three
      yield* tries(a!, "failure", 5)
      yield* tries(b!, "failure", 50)
      assert.strictEqual(yield* statusOf("b"), "Up")
    }).pipe(lab))

  it.effect("is told once that its ejection is over, and one that has left is not", () => {
    const { told, watched } = watching()
    return Effect.gen(function*() {
      const pool = yield* Pool
      const [a, b] = yield* three
      yield* tries(a!, "failure", 5)
      told.length = 0
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told, ["a Elapsed"])
      yield* pool.reconcile(["a", "b", "c", "d"].map((id) => backend(id)))
      yield* tries(a!, "failure", 1)
      yield* tries(b!, "failure", 5)
      yield* pool.reconcile(["b", "c", "d"].map((id) => backend(id)))
      told.length = 0
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told, ["b Elapsed"])
      yield* tries(b!, "failure", 1)
      yield* pool.reconcile(["c", "d"].map((id) => backend(id)))
      told.length = 0
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told, [])
    }).pipe(over(watched))
  })

  it.effect("comes back in its own time, also where others are ejected for longer", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      yield* pool.reconcile(["a", "b", "c", "d"].map((id) => backend(id)))
      const [a, b] = (yield* Ref.get(pool.state)).eligible
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("5 seconds")
      yield* tries(b!, "failure", 5)
      yield* TestClock.adjust("8 seconds")
      assert.deepStrictEqual([yield* statusOf("a"), yield* statusOf("b")], ["Trial", "Ejected"])
    }).pipe(lab))

  it.effect("is ejected in time although another one was just on trial when it began to fail, and nobody asks that", () =>
    Effect.gen(function*() {
      const [a, b] = yield* three
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("12.5 seconds")
      assert.strictEqual(yield* statusOf("a"), "Trial")
      yield* tries(b!, "failure", 5)
      assert.strictEqual(yield* statusOf("b"), "Up")
      yield* TestClock.adjust("5 seconds")
      yield* tries(b!, "failure", 1)
      assert.strictEqual(yield* statusOf("b"), "Ejected")
    }).pipe(lab))

  it.effect("is ejected in time although another one that nobody asks is on trial beside tunnels from before", () =>
    Effect.gen(function*() {
      const a = yield* onTrial
      const { end } = yield* BalancerService.Balancer
      const [, b] = (yield* Ref.get((yield* Pool).state)).eligible
      yield* TestClock.adjust("5 seconds")
      // Its trial is under way.
      yield* tries(b!, "failure", 5)
      assert.strictEqual(yield* statusOf("b"), "Up")
      // The client of that leaves, and nothing but the tunnels is left.
      end(a, "aborted", 5_000)
      yield* TestClock.adjust("1 second")
      yield* tries(b!, "failure", 1)
      assert.strictEqual(yield* statusOf("b"), "Ejected")
    }).pipe(lab))

  it.effect("is not ejected where all that is left is one on trial that is full of tunnels from before", () =>
    Effect.gen(function*() {
      const [a, b] = yield* three
      const { begin, select } = yield* BalancerService.Balancer
      yield* Effect.flatMap(Pool, (pool) => pool.signal("c", { _tag: "ModeSet", mode: "Disabled", why: "a deploy" }))
      for (let i = 0; i < 3; i++) begin(a!)
      yield* tries(a!, "failure", 5)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* statusOf("a"), "Trial")
      yield* tries(b!, "failure", 5)
      assert.strictEqual(yield* statusOf("b"), "Up")
      assert.strictEqual(select(anonymous)?.backend.id, "b")
    }).pipe(labWith({ maxInFlight: 3 })))

  it.effect("is reported once while the pool is as it was, and again when that has changed", () => {
    const { told, watched } = watching()
    return Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      const [a, b] = yield* three
      yield* tries(a!, "failure", 5)
      told.length = 0
      // The cap refuses it.
      yield* tries(b!, "failure", 50)
      assert.deepStrictEqual(told, ["b Tripped"])
      yield* Effect.flatMap(Pool, (pool) => pool.signal("c", { _tag: "ProbeFailed", why: "timeout" }))
      yield* tries(b!, "failure", 50)
      assert.deepStrictEqual(told, ["b Tripped", "c ProbeFailed", "b Tripped"])
      // a stands its trial, so that there is room for another ejection.
      yield* TestClock.adjust("13 seconds")
      yield* tries(a!, "success", 1)
      yield* tries(b!, "failure", 50)
      assert.strictEqual(yield* statusOf("b"), "Ejected")
    }).pipe(over(watched))
  })
})
