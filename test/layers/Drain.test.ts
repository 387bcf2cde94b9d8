import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import { queryObjects } from "node:v8"
import * as BalancerLayer from "../../src/layers/Balancer.ts"
import * as DrainLayer from "../../src/layers/Drain.ts"
import * as Ejection from "../../src/layers/Ejection.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { strategies } from "../../src/layers/strategies/index.ts"
import type { Backend } from "../../src/services/Backend.ts"
import { Balancer, defaultOptions, type Options } from "../../src/services/Balancer.ts"
import { Drain, TakenBack } from "../../src/services/Drain.ts"
import { Pool } from "../../src/services/Pool.ts"
import { anonymous } from "../../src/services/Strategy.ts"
import { backend, endpoint, moved } from "../endpoints.ts"

const labWith = (options: Options) =>
  Effect.provide(
    DrainLayer.layer().pipe(
      Layer.provideMerge(BalancerLayer.layer(options)),
      Layer.provide([Ejection.layerNone, strategies["round-robin"]]),
      Layer.provideMerge(PoolLayer.layer())
    )
  )

const lab = labWith(defaultOptions)

const reconcile = (...backends: ReadonlyArray<Backend>) => Effect.flatMap(Pool, (pool) => pool.reconcile(backends))

/** The endpoint of the first member. */
const member = Effect.flatMap(Pool, ({ state }) => Effect.map(Ref.get(state), ({ members }) => members[0]!.endpoint))

/** The endpoint of `a`, the only member, to which something is in flight. */
const busy = Effect.gen(function*() {
  yield* reconcile(backend("a"))
  const endpoint = yield* member
  ;(yield* Balancer).begin(endpoint)
  return endpoint
})

/** Begins to drain `a`. */
const beginDrain = (options?: { readonly tunnels: Duration.Duration }) =>
  Effect.flatMap(Drain, ({ drain }) => Effect.forkChild(drain("a", "deploy", options), { startImmediately: true }))

const takeBack = Effect.flatMap(
  Pool,
  (pool) => pool.signal("a", { _tag: "ModeSet", mode: "Ready", why: "the deploy is off" })
)

describe("a backend that drains", () => {
  it.effect("is done although a tunnel was opened after the time of tunnels", () =>
    Effect.gen(function*() {
      const endpoint = yield* busy
      const { begin, end } = yield* Balancer
      const { tunnel } = yield* Drain
      const draining = yield* beginDrain()
      yield* TestClock.adjust("31 seconds")
      // A tunnel opens late, while a long request still goes on.
      begin(endpoint)
      const over = tunnel(endpoint, () => {
        over()
        end(endpoint, "success", 1)
      })
      end(endpoint, "success", 1)
      yield* TestClock.adjust("1 second")
      assert.isDefined(draining.pollUnsafe())
      assert.strictEqual(endpoint.load.inFlight, 0)
    }).pipe(lab))

  it.effect("cuts the tunnels that are left when their time is over, and none that is over already", () =>
    Effect.gen(function*() {
      yield* reconcile(backend("a"))
      const endpoint = yield* member
      const { begin, end } = yield* Balancer
      const { tunnel } = yield* Drain
      const cut: Array<string> = []
      const open = (name: string) => {
        begin(endpoint)
        const over = tunnel(endpoint, () => {
          cut.push(name)
          over()
          end(endpoint, "success", 1)
        })
        return () => {
          over()
          end(endpoint, "success", 1)
        }
      }
      // The last one of a backend, and one beside others.
      open("alone")()
      const isOver = open("over")
      open("left")
      open("left too")
      isOver()
      const draining = yield* beginDrain()
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(cut, [])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(cut, ["left", "left too"])
      assert.isDefined(draining.pollUnsafe())
      assert.strictEqual(endpoint.load.inFlight, 0)
    }).pipe(lab))

  describe("and is still busy", () => {
    /** How often a tunnel is cut that is opened when what happens has happened, a minute after the drain began. */
    const cutsAfter = (event: Effect.Effect<unknown, never, Drain | Pool>) =>
      Effect.gen(function*() {
        yield* busy
        yield* beginDrain()
        yield* TestClock.adjust("1 minute")
        yield* event
        let cuts = 0
        const endpoint = yield* member
        ;(yield* Balancer).begin(endpoint)
        ;(yield* Drain).tunnel(endpoint, () => cuts++)
        yield* TestClock.adjust("10 seconds")
        return cuts
      }).pipe(lab)

    it.effect("has its tunnels cut", () => Effect.map(cutsAfter(Effect.void), (cuts) => assert.isAbove(cuts, 0)))

    it.effect("keeps its tunnels when it is taken back", () =>
      Effect.map(cutsAfter(takeBack), (cuts) => assert.strictEqual(cuts, 0)))

    it.effect("is not drained when it is taken back, and whoever waits is told at once", () =>
      Effect.gen(function*() {
        yield* busy
        const draining = yield* beginDrain()
        yield* TestClock.adjust("1 second")
        assert.isUndefined(draining.pollUnsafe())
        yield* takeBack
        const error = yield* Effect.flip(Fiber.join(draining))
        assert.instanceOf(error, TakenBack)
        assert.strictEqual(error.message, "a was taken back before it was drained: the deploy is off")
      }).pipe(lab))

    it.effect("keeps its tunnels for their time when it is taken back and drained once more", () =>
      Effect.map(cutsAfter(Effect.andThen(takeBack, beginDrain())), (cuts) => assert.strictEqual(cuts, 0)))

    /** A backend with a tunnel, and how often that was cut. */
    const standing = Effect.gen(function*() {
      const endpoint = yield* busy
      let cuts = 0
      ;(yield* Drain).tunnel(endpoint, () => cuts++)
      return () => cuts
    })

    it.effect("has its tunnels cut although one of two that drain it gives up", () =>
      Effect.gen(function*() {
        const cuts = yield* standing
        const first = yield* beginDrain()
        yield* beginDrain()
        yield* Fiber.interrupt(first)
        yield* TestClock.adjust("1 minute")
        assert.isAbove(cuts(), 0)
      }).pipe(lab))

    it.effect("has its tunnels cut in the time of the drain that goes on, when a later one gives up", () =>
      Effect.gen(function*() {
        const cuts = yield* standing
        yield* beginDrain()
        const later = yield* beginDrain({ tunnels: Duration.minutes(10) })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(cuts(), 0)
        yield* Fiber.interrupt(later)
        yield* TestClock.adjust("2 seconds")
        assert.isAbove(cuts(), 0)
      }).pipe(lab))

    it.effect("has the tunnels cut that it had, when another one has come in its place", () =>
      Effect.gen(function*() {
        const cuts = yield* standing
        yield* beginDrain()
        yield* reconcile()
        yield* reconcile(backend("a"))
        yield* TestClock.adjust("31 seconds")
        assert.isAbove(cuts(), 0)
      }).pipe(lab))

    it.effect("leaves the tunnels alone of another one that comes in its place", () =>
      Effect.map(
        cutsAfter(Effect.andThen(reconcile(), reconcile(backend("a")))),
        (cuts) => assert.strictEqual(cuts, 0)
      ))
  })

  it.effect("is done at once where there is none with its id", () =>
    Effect.flatMap(Drain, ({ drain }) => drain("gone", "deploy")).pipe(lab))

  it.effect("leaves nothing behind when its tunnels are over", () =>
    Effect.gen(function*() {
      const { tunnel } = yield* Drain
      const before = Number(queryObjects(Set))
      for (let i = 0; i < 1_000; i++) tunnel(endpoint(`a${i}`), () => {})()
      // What each backend has is a set of its own; other sets may come and go meanwhile.
      assert.isBelow(Number(queryObjects(Set)) - before, 100)
    }).pipe(lab))

  it.effect("is not done because another one with its id, which was taken in after it had left, is idle", () =>
    Effect.gen(function*() {
      const before = yield* busy
      const { begin, end } = yield* Balancer
      const draining = yield* beginDrain()
      yield* reconcile()
      yield* reconcile(backend("a"))
      const after = yield* member
      begin(after)
      end(after, "success", 1)
      yield* TestClock.adjust("1 second")
      assert.isUndefined(draining.pollUnsafe())
      end(before, "success", 1)
      yield* TestClock.adjust(1)
      assert.isDefined(draining.pollUnsafe())
    }).pipe(lab))

  it.effect("is not done before those who wait for its last place have had it", () =>
    Effect.gen(function*() {
      yield* reconcile(backend("a"), backend("b"))
      const endpoint = yield* member
      const { beforeOthers, begin, end, wait } = yield* Balancer
      begin(endpoint)
      const pinned = { ...anonymous, pinned: "a" }
      yield* Effect.forkChild(wait(pinned, [], begin), { startImmediately: true })
      const draining = yield* beginDrain()
      beforeOthers(() => end(endpoint, "failure", 1))
      yield* TestClock.adjust(1)
      assert.strictEqual(endpoint.load.inFlight, 1)
      assert.isUndefined(draining.pollUnsafe())
      end(endpoint, "success", 1)
      yield* TestClock.adjust(1)
      assert.isDefined(draining.pollUnsafe())
    }).pipe(labWith({ ...defaultOptions, maxInFlight: 1 })))

  it.effect("is done when nothing is in flight, also if its weight has changed meanwhile", () =>
    Effect.gen(function*() {
      const before = yield* busy
      const { begin, end } = yield* Balancer
      const draining = yield* beginDrain()
      yield* reconcile(backend("a", 7))
      const after = yield* member
      begin(after)
      end(before, "success", 1)
      yield* TestClock.adjust(1)
      assert.isUndefined(draining.pollUnsafe())
      end(after, "success", 1)
      yield* TestClock.adjust(1)
      assert.isDefined(draining.pollUnsafe())
    }).pipe(lab))
})

describe("a backend that has left", () => {
  /** A pool of `a`, to which something is in flight; `leave` takes it out and, if it is to come, another one in. */
  const leaving = Effect.gen(function*() {
    const endpoint = yield* busy
    const { end } = yield* Balancer
    const { tunnel } = yield* Drain
    let cuts = 0
    const open = () => tunnel(endpoint, () => cuts++)
    const leave = (...then: ReadonlyArray<Backend>) => Effect.andThen(reconcile(), reconcile(...then))
    return { open, leave, cuts: () => cuts, end: () => end(endpoint, "success", 1) }
  })

  it.effect("has its tunnels cut when their time is over", () =>
    Effect.gen(function*() {
      const { open, leave, cuts } = yield* leaving
      open()
      yield* leave()
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(cuts(), 0)
      yield* TestClock.adjust("2 seconds")
      assert.isAbove(cuts(), 0)
    }).pipe(lab))

  it.effect("has those cut, too, that were asked for before and open only when the time is over", () =>
    Effect.gen(function*() {
      const { open, leave, cuts } = yield* leaving
      yield* leave()
      yield* TestClock.adjust("1 minute")
      open()
      yield* TestClock.adjust("2 seconds")
      assert.isAbove(cuts(), 0)
    }).pipe(lab))

  it.effect("is left alone when nothing is in flight to it any more", () =>
    Effect.gen(function*() {
      const { open, leave, cuts, end } = yield* leaving
      yield* leave()
      end()
      yield* TestClock.adjust("1 minute")
      open()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(cuts(), 0)
    }).pipe(lab))

  it.effect("keeps its tunnels for as long as a drain that goes on has given them", () =>
    Effect.gen(function*() {
      const { open, leave, cuts } = yield* leaving
      open()
      yield* beginDrain({ tunnels: Duration.minutes(10) })
      yield* leave()
      yield* TestClock.adjust("9 minutes")
      assert.strictEqual(cuts(), 0)
      yield* TestClock.adjust("2 minutes")
      assert.isAbove(cuts(), 0)
    }).pipe(lab))

  it.effect("has its tunnels cut in its own time when a drain that gave them more was given up", () =>
    Effect.gen(function*() {
      const { open, leave, cuts } = yield* leaving
      open()
      const draining = yield* beginDrain({ tunnels: Duration.minutes(10) })
      yield* leave()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(cuts(), 0)
      yield* Fiber.interrupt(draining)
      yield* TestClock.adjust("2 seconds")
      assert.isAbove(cuts(), 0)
    }).pipe(lab))

  it.effect("has its own tunnels cut and not those of another one in its place", () =>
    Effect.gen(function*() {
      const { open, leave, cuts } = yield* leaving
      open()
      yield* leave(backend("a"))
      let others = 0
      const another = yield* member
      ;(yield* Balancer).begin(another)
      ;(yield* Drain).tunnel(another, () => others++)
      yield* TestClock.adjust("1 minute")
      assert.isAbove(cuts(), 0)
      assert.strictEqual(others, 0)
    }).pipe(lab))

  it.effect("and is in another place now has those of its old one cut", () =>
    Effect.gen(function*() {
      const { open, cuts } = yield* leaving
      open()
      yield* (yield* Pool).reconcile([moved("a")])
      yield* TestClock.adjust("1 minute")
      assert.isAbove(cuts(), 0)
    }).pipe(lab))

  it.effect("keeps its tunnels where it has only changed, or moved in the list", () =>
    Effect.gen(function*() {
      const { open, cuts } = yield* leaving
      open()
      yield* reconcile(backend("b"), backend("a", 7))
      yield* (yield* Pool).signal("a", { _tag: "ModeSet", mode: "Disabled", why: "a look at it" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(cuts(), 0)
    }).pipe(lab))
})
