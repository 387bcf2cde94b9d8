/** In-flight counts return to zero, whatever becomes of the tries and of the backends meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Struct from "effect/Struct"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as BalancerLayer from "../../src/layers/Balancer.ts"
import * as EjectionLayer from "../../src/layers/Ejection.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { strategies, type StrategyName } from "../../src/layers/strategies/index.ts"
import { Balancer, NoBackend, type Options } from "../../src/services/Balancer.ts"
import type { Load } from "../../src/services/Load.ts"
import type { Outcome } from "../../src/services/Outcome.ts"
import { Pool } from "../../src/services/Pool.ts"
import * as SlowStart from "../../src/services/SlowStart.ts"
import { anonymous } from "../../src/services/Strategy.ts"
import { backend } from "../endpoints.ts"

// -----------------------------------------------------------------------------
// What can happen, as data
// -----------------------------------------------------------------------------

type Ending = "success" | "failure" | "defect" | "throw" | "interrupted" | "never"

type Event =
  /** An exchange that goes through `use`. */
  | { readonly _tag: "Use"; readonly ending: Ending; readonly after: number }
  /** An exchange that goes through the three steps, with up to `tries` endpoints. */
  | { readonly _tag: "Steps"; readonly outcomes: ReadonlyArray<Outcome>; readonly after: number }
  /** The client of an exchange leaves. */
  | { readonly _tag: "Abort"; readonly which: number }
  | { readonly _tag: "Reconcile"; readonly members: ReadonlyArray<readonly [id: number, weight: number]> }
  | { readonly _tag: "Probe"; readonly id: number; readonly passed: boolean }
  | { readonly _tag: "Wait"; readonly millis: number }

const millis = fc.integer({ min: 0, max: 100 })
const id = fc.integer({ min: 0, max: 4 })

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("Use" as const),
      ending: fc.constantFrom<Array<Ending>>("success", "failure", "defect", "throw", "interrupted", "never"),
      after: millis
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("Steps" as const),
      outcomes: fc.array(fc.constantFrom<Array<Outcome>>("success", "failure", "aborted"), {
        minLength: 1,
        maxLength: 3
      }),
      after: millis
    })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Abort" as const), which: fc.nat(20) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      _tag: fc.constant("Reconcile" as const),
      members: fc.array(fc.tuple(id, fc.integer({ min: 1, max: 9 })), { maxLength: 6 })
    })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Probe" as const), id, passed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Wait" as const), millis }) }
)

const end: Readonly<Record<Ending, Effect.Effect<unknown, string>>> = {
  success: Effect.void,
  failure: Effect.fail("broken"),
  defect: Effect.die(new Error("a bug")),
  throw: Effect.void,
  interrupted: Effect.interrupt,
  never: Effect.never
}

// -----------------------------------------------------------------------------
// The story
// -----------------------------------------------------------------------------

const story = (events: ReadonlyArray<Event>) =>
  Effect.gen(function*() {
    const balancer = yield* Balancer
    const pool = yield* Pool
    // Every load there ever was, also of backends that have left.
    const loads = new Set<Load>()
    const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
    let began = 0

    const use = ({ after, ending }: Extract<Event, { _tag: "Use" }>) =>
      balancer.use(anonymous, ({ load }) => {
        began++
        assert.isAbove(load.inFlight, 0)
        if (ending === "throw") throw new Error("a bug")
        return Effect.andThen(Effect.sleep(after), end[ending])
      })

    const steps = ({ after, outcomes }: Extract<Event, { _tag: "Steps" }>) =>
      Effect.forEach(outcomes, (outcome) =>
        Effect.suspend(() => {
          const endpoint = balancer.select(anonymous)
          if (endpoint === undefined) return Effect.fail(NoBackend.make({}))
          balancer.begin(endpoint)
          began++
          return Effect.onExit(
            Effect.sleep(after),
            (exit) => Effect.sync(() => balancer.end(endpoint, exit._tag === "Success" ? outcome : "aborted", after))
          )
        }))

    for (const event of events) {
      switch (event._tag) {
        case "Use":
          fibers.push(yield* Effect.forkChild(use(event), { startImmediately: true }))
          break
        case "Steps":
          fibers.push(yield* Effect.forkChild(steps(event), { startImmediately: true }))
          break
        case "Abort":
          if (fibers.length > 0) yield* Fiber.interrupt(fibers[event.which % fibers.length]!)
          break
        case "Reconcile":
          yield* pool.reconcile(event.members.map(([id, weight]) => backend(`b${id}`, weight)))
          break
        case "Probe":
          yield* pool.signal(`b${event.id}`, { _tag: event.passed ? "ProbePassed" : "ProbeFailed", why: "" })
          break
        case "Wait":
          yield* TestClock.adjust(event.millis)
          break
      }
      for (const { endpoint } of (yield* Ref.get(pool.state)).members) loads.add(endpoint.load)
      for (const { inFlight } of loads) assert.isAtLeast(inFlight, 0)
    }

    yield* TestClock.adjust(1_000)
    yield* Fiber.interruptAll(fibers)
    let total = 0
    for (const load of loads) {
      assert.strictEqual(load.inFlight, 0)
      assert.isAtMost(load.failed, load.total)
      total += load.total
    }
    // Who leaves the line just when there is room for him has begun, and nothing else.
    assert.isAtLeast(total, began)
    return began
  })

/** Small limits, so that some wait and some are turned away. */
const options: Options = {
  adaptive: false,
  maxInFlight: 3,
  maxTotalInFlight: 8,
  queue: { size: 2, timeout: Duration.millis(20), order: "newest" },
  slowStart: { ...SlowStart.off, duration: Duration.millis(100) }
}

const run = (name: StrategyName, seed: number, events: ReadonlyArray<Event>): Promise<number> =>
  story(events).pipe(
    Effect.provide(Layer.mergeAll(
      BalancerLayer.layer(options).pipe(
        Layer.provide(EjectionLayer.layer()),
        Layer.provideMerge(PoolLayer.layer()),
        Layer.provide(strategies[name])
      ),
      TestClock.layer()
    )),
    Random.withSeed(seed),
    Effect.runPromise
  )

const names = fc.constantFrom(...Struct.keys(strategies))

describe("in-flight counts", () => {
  it("return to zero after any mix of success, failure, defect, interruption and change of the pool", async () => {
    let began = 0
    await fc.assert(
      fc.asyncProperty(
        names,
        fc.integer(),
        fc.array(event, { maxLength: 40, size: "max" }),
        async (name, seed, events) => {
          const start: Event = { _tag: "Reconcile", members: [[0, 1], [1, 2], [2, 3]] }
          began += await run(name, seed, [start, ...events])
        }
      ),
      { numRuns: 300 }
    )
    // Otherwise nothing was tested.
    assert.isAbove(began, 1_000)
  })
})
