/** What a pool of many backends costs: counted, and not measured, in looks at a backend by whomever it may be. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Static from "../../src/layers/discovery/Static.ts"
import * as HealthChecker from "../../src/layers/HealthChecker.ts"
import * as HealthLog from "../../src/layers/HealthLog.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import { strategies } from "../../src/layers/strategies/index.ts"
import type { Entry } from "../../src/services/AccessLog.ts"
import type { Backend } from "../../src/services/Backend.ts"
import { Balancer } from "../../src/services/Balancer.ts"
import { defaultPolicy as defaultEjection } from "../../src/services/Ejection.ts"
import * as Health from "../../src/services/Health.ts"
import { forEachChange, Pool } from "../../src/services/Pool.ts"
import { Probe, ProbeFailed } from "../../src/services/Probe.ts"
import { anonymous } from "../../src/services/Strategy.ts"
import { backend } from "../endpoints.ts"

/** Backends that count how often somebody looks at any of them. */
const counted = (n: number) => {
  let looks = 0
  const counting = (of: Backend): Backend =>
    new Proxy(of, {
      get: (target, key, receiver) => {
        looks++
        return Reflect.get(target, key, receiver)
      }
    })
  return { backends: Array.from({ length: n }, (_, i) => counting(backend(`b${i}`))), looks: () => looks }
}

const refused = ProbeFailed.make({ message: "Connection refused" })

/** A balancer whose every tenth backend is down, after the first checks of all, and some requests among them. */
const start = (n: number) => {
  const { backends, looks } = counted(n)
  const entries: Array<Entry> = []
  return Effect.gen(function*() {
    const { begin, end, select } = yield* Balancer
    for (let i = 0; i < 20; i++) {
      const endpoint = select(anonymous)!
      begin(endpoint)
      end(endpoint, "success", 1)
      yield* TestClock.adjust("10 millis")
    }
    yield* TestClock.adjust("2 seconds")
    const { members } = Ref.getUnsafe((yield* Pool).state)
    const down = members.filter(({ health }) => Health.status(health) === "Down").length
    const up = members.filter(({ health }) => Health.status(health) === "Up").length
    assert.deepStrictEqual([up, down, entries.length], [0.9 * n, 0.1 * n, n])
    return looks()
  }).pipe(Effect.provide(
    Layer.merge(HealthLog.layer, HealthChecker.layer()).pipe(
      Layer.provideMerge(LoadBalancer.layerBalancer({ ejection: defaultEjection })),
      Layer.provide([
        Static.layer(backends),
        strategies["round-robin"],
        AccessLog.layerMemory(entries),
        Layer.succeed(Probe, { check: ({ id }) => (id.endsWith("0") ? refused : Effect.succeed("status: 200")) })
      ])
    )
  ))
}

describe("a pool of many backends", () => {
  it.effect("costs twice as much at the start when it is twice as large", () =>
    Effect.gen(function*() {
      const small = yield* start(500)
      const large = yield* start(1_000)
      assert.isAtMost(large, 2.3 * small, `${small} looks for 500, ${large} for 1,000`)
    }))

  it.effect("looks at nobody else when the state of one changes", () => {
    const { backends, looks } = counted(1_000)
    return Effect.gen(function*() {
      const pool = yield* Pool
      yield* TestClock.adjust("1 second")
      const before = looks()
      for (const _tag of ["ProbePassed", "ProbeFailed", "ProbePassed", "ProbePassed"] as const) {
        yield* pool.signal("b500", { _tag, why: "a test" })
        yield* TestClock.adjust(0)
      }
      // Who has the place among the eligible is looked for in half of half of them, and so on.
      assert.isAtMost(looks() - before, 60)
    }).pipe(Effect.provide(
      HealthLog.layer.pipe(
        Layer.provideMerge(LoadBalancer.layerBalancer({ ejection: defaultEjection })),
        Layer.provide([Static.layer(backends), strategies["round-robin"], AccessLog.layerMemory([])])
      )
    ))
  })
})

describe("forEachChange", () => {
  it.effect("tells the same of two snapshots, however many there were between them", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      yield* pool.reconcile(["a", "b", "c"].map((id) => backend(id)))
      const before = Ref.getUnsafe(pool.state)
      yield* pool.signal("a", { _tag: "ProbePassed", why: "" })
      for (let i = 0; i < 2_500; i++) {
        for (const id of ["b", "b", "c"]) {
          yield* pool.signal(id, { _tag: i % 2 === 0 ? "ProbePassed" : "ProbeFailed", why: "" })
        }
        if (i % 100 !== 0) {
          continue
        }
        const after = Ref.getUnsafe(pool.state)
        const told: Array<string> = []
        forEachChange(before, after, (member, known) => {
          assert.strictEqual(known, before.members.find((one) => one.endpoint === member.endpoint))
          assert.include(after.members, member)
          told.push(member.endpoint.backend.id)
        })
        assert.sameMembers(told, ["a", "b", "c"], `after ${i} times`)
      }
    }).pipe(
      Effect.provide(LoadBalancer.layerBalancer()),
      Effect.provide([Static.layer([]), strategies["round-robin"]])
    ))
})
