/** Checks of a large pool that changes all the time: nobody is forgotten, nobody is checked twice at a time. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as HealthChecker from "../../src/layers/HealthChecker.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { defaultTimetable, smallPool } from "../../src/services/HealthChecker.ts"
import { Pool } from "../../src/services/Pool.ts"
import { Probe } from "../../src/services/Probe.ts"
import { backend } from "../endpoints.ts"

type Event =
  | { readonly _tag: "Reconcile"; readonly from: number; readonly count: number }
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "Yield"; readonly times: number }

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    _tag: fc.constant("Reconcile" as const),
    from: fc.nat({ max: 150 }),
    count: fc.constantFrom(0, 5, smallPool, smallPool + 1, 150, 300)
  }),
  fc.record({ _tag: fc.constant("Wait" as const), millis: fc.constantFrom(0, 1, 40, 900, 5_000) }),
  fc.record({ _tag: fc.constant("Yield" as const), times: fc.nat({ max: 12 }) })
)

describe("the checks of a large pool", () => {
  it("forget nobody and overlap nowhere, whatever comes and goes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 14, size: "max" }),
        fc.constantFrom(0, 30),
        (events, takes) =>
          Effect.runPromise(
            Effect.gen(function*() {
              const running = new Map<string, number>()
              const checked = new Map<string, number>()
              const probe = Layer.succeed(Probe, {
                check: ({ id }: { readonly id: string }) =>
                  Effect.acquireUseRelease(
                    Effect.sync(() => {
                      running.set(id, (running.get(id) ?? 0) + 1)
                      checked.set(id, (checked.get(id) ?? 0) + 1)
                      assert.strictEqual(running.get(id), 1)
                    }),
                    () => Effect.as(takes === 0 ? Effect.void : Effect.sleep(takes), "status: 200"),
                    () => Effect.sync(() => running.set(id, 0))
                  )
              })
              yield* Effect.gen(function*() {
                const pool = yield* Pool
                let wanted: ReadonlyArray<string> = []
                for (const event of events) {
                  if (event._tag === "Reconcile") {
                    wanted = Array.from({ length: event.count }, (_, i) => `b${event.from + i}`)
                    yield* pool.reconcile(wanted.map((id) => backend(id)))
                  } else if (event._tag === "Wait") yield* TestClock.adjust(event.millis)
                  else for (let i = 0; i < event.times; i++) yield* Effect.yieldNow
                }
                yield* TestClock.adjust("7 seconds")
                checked.clear()
                yield* TestClock.adjust(Duration.times(Duration.fromInputUnsafe(defaultTimetable.interval), 1.5))
                for (let i = 0; i < 60; i++) yield* Effect.yieldNow
                assert.deepStrictEqual([...checked.keys()].toSorted(), [...wanted].toSorted())
                for (const count of checked.values()) assert.isAtMost(count, 3)
              }).pipe(
                Effect.provide(HealthChecker.layer().pipe(Layer.provide(probe), Layer.provideMerge(PoolLayer.layer())))
              )
            }).pipe(Effect.provide(TestClock.layer()))
          )
      ),
      { numRuns: 60 }
    )
  })
})
