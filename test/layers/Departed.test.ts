/** Backends that have left are forgotten, by everybody who follows the pool and whatever was under way to them. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as BalancerLayer from "../../src/layers/Balancer.ts"
import * as DrainLayer from "../../src/layers/Drain.ts"
import * as EjectionLayer from "../../src/layers/Ejection.ts"
import * as HealthChecker from "../../src/layers/HealthChecker.ts"
import * as HealthLog from "../../src/layers/HealthLog.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { strategies } from "../../src/layers/strategies/index.ts"
import { Balancer, defaultOptions } from "../../src/services/Balancer.ts"
import { Drain } from "../../src/services/Drain.ts"
import type { Load } from "../../src/services/Load.ts"
import { Pool } from "../../src/services/Pool.ts"
import { Probe, ProbeFailed } from "../../src/services/Probe.ts"
import { anonymous } from "../../src/services/Strategy.ts"
import { backend } from "../endpoints.ts"
import { left } from "../Garbage.ts"

const lab = Layer.merge(HealthChecker.layer(), HealthLog.layer).pipe(
  Layer.provideMerge(DrainLayer.layer()),
  Layer.provideMerge(BalancerLayer.layer({ ...defaultOptions, adaptive: true, maxInFlight: 2 })),
  Layer.provide([EjectionLayer.layer(), strategies["peak-ewma"], AccessLog.layerNone]),
  Layer.provideMerge(PoolLayer.layer()),
  Layer.provide(Layer.succeed(Probe, {
    check: ({ id }) => id.endsWith("0") ? Effect.fail(ProbeFailed.make({ message: "refused" })) : Effect.succeed("up")
  }))
)

it.effect("a backend that has left is not kept by anything that was under way to it", () =>
  Effect.gen(function*() {
    const { use } = yield* Balancer
    const { drain, tunnel } = yield* Drain
    const pool = yield* Pool
    const loads: Array<WeakRef<Load>> = []
    const generation = Effect.fnUntraced(function*(number: number) {
      const ids = Array.from({ length: 4 }, (_, i) => `${number}-${i}`)
      yield* pool.reconcile(ids.map((id) => backend(id)))
      yield* TestClock.adjust(10)
      for (const { endpoint } of (yield* Ref.get(pool.state)).members) loads.push(new WeakRef(endpoint.load))
      const tunneled = yield* Effect.forkChild(Effect.exit(use(anonymous, (endpoint) =>
        Effect.callback<void>((resume) => {
          const over = tunnel(endpoint, () => resume(Effect.sync(over)))
          return Effect.sync(over)
        }))))
      const work = [Effect.void, Effect.fail("broken"), Effect.fail("broken"), Effect.sleep("1 minute"), Effect.never]
      const users = []
      for (let i = 0; i < 40; i++) {
        users.push(
          yield* Effect.forkChild(Effect.exit(use(anonymous, () =>
            work[i % work.length]!)))
        )
      }
      yield* Effect.forkChild(Effect.exit(drain(ids[1]!, "a test")))
      yield* TestClock.adjust("3 seconds")
      return [...users, tunneled]
    })
    for (let number = 0; number < 20; number++) {
      const users = yield* generation(number)
      yield* pool.reconcile([])
      yield* TestClock.adjust("1 second")
      yield* Fiber.interruptAll(users)
    }
    // Whoever looks at the pool only when asked is asked once more.
    yield* pool.reconcile([backend("another")])
    yield* TestClock.adjust("10 minutes")
    yield* use(anonymous, () => Effect.void)
    assert.strictEqual(loads.length, 80)
    assert.strictEqual(yield* Effect.promise(() => left(loads)), 0)
  }).pipe(Effect.provide(lab)))
