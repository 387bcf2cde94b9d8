/** Whole load balancers on a machine whose time of day is set, as NTP or an operator does it. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../src/layers/testing/FakeServer.ts"
import type { Entry } from "../../src/services/AccessLog.ts"
import * as Health from "../../src/services/Health.ts"
import { memberOf, Pool } from "../../src/services/Pool.ts"

const { delayed, down, hangs, respond } = FakeBackends

type Input = NonNullable<Parameters<typeof Configuration.make>[0]>

/** Runs a test beside a balancer over these backends. With `set` it sets the time of day, by milliseconds. */
const on = <A, E>(
  scripts: Readonly<Record<string, FakeBackends.Behaviour>>,
  input: Input,
  test: (set: (by: number) => void, entries: Array<Entry>) => Effect.Effect<A, E, FakeServer.FakeServer | Pool>
) =>
  TestClock.testClockWith((clock) => {
    let offset = 0
    const now = () => clock.currentTimeMillisUnsafe() + offset
    const settable = { ...clock, currentTimeMillisUnsafe: now, currentTimeMillis: Effect.sync(now) }
    const entries: Array<Entry> = []
    const settings = Configuration.make({ to: Object.keys(scripts), strategy: "round-robin", ...input })
    const lab = LoadBalancer.layer(settings).pipe(
      Layer.provide(AccessLog.layerMemory(entries)),
      Layer.provideMerge([FakeBackends.layer(scripts), FakeServer.layer])
    )
    return test((by) => (offset += by), entries).pipe(
      Effect.provide(lab),
      Effect.provideService(Clock.Clock, settable)
    )
  })

/** The health of a backend. */
const healthOf = (id: string) =>
  Effect.flatMap(Pool, ({ state }) => Effect.map(Ref.get(state), (pool) => memberOf(pool, id)!.health))

/** The last line of the log about a request. */
const completed = (entries: ReadonlyArray<Entry>) => entries.findLast((entry) => entry._tag === "Completed")

const failing = respond("ill", { status: 503 })

const hour = 3_600_000

describe.each([["forward", hour], ["back", -hour]] as const)("a time of day that is set %s by an hour", (_, by) => {
  it.effect("leaves an exchange the time that it has, and says how long it took", () =>
    on(
      { "http://a": delayed(400, failing), "http://b": delayed(400, respond("b")) },
      { timeout: { exchange: "1 second" } },
      (set, entries) =>
        Effect.gen(function*() {
          const reply = yield* Effect.forkChild(FakeServer.request("/"))
          yield* TestClock.adjust(200)
          set(by)
          yield* TestClock.adjust(700)
          const exit = reply.pollUnsafe()
          assert(exit?._tag === "Success", "there is no answer")
          assert.strictEqual(exit.value.text, "b")
          assert.approximately(completed(entries)?.durationMs ?? NaN, 850, 50)
        })
    ))

  it.effect("ends an exchange no later than it may take", () =>
    on(
      { "http://a": delayed(400, failing), "http://b": hangs },
      { timeout: { exchange: "1 second" } },
      (set, entries) =>
        Effect.gen(function*() {
          const reply = yield* Effect.forkChild(FakeServer.request("/"))
          yield* TestClock.adjust(200)
          set(by)
          yield* TestClock.adjust(801)
          assert.isDefined(reply.pollUnsafe())
          assert.approximately(completed(entries)?.durationMs ?? NaN, 1_000, 1)
        })
    ))

  it.effect("leaves an ejection as long as it is", () =>
    on(
      { "http://a": failing, "http://b": respond("b") },
      { health: { kind: "off" } },
      (set) =>
        Effect.gen(function*() {
          for (let i = 0; i < 12; i++) {
            yield* Effect.forkChild(FakeServer.request("/"))
            yield* TestClock.adjust(100)
          }
          assert.isTrue(Health.isEjected(yield* healthOf("http://a")))
          set(by)
          // So that it is looked anew how long it takes.
          yield* Effect.flatMap(
            Pool,
            (pool) => pool.signal("http://a", { _tag: "ModeSet", mode: "Draining", why: "the test" })
          )
          yield* TestClock.adjust("8 seconds")
          assert.isTrue(Health.isEjected(yield* healthOf("http://a")))
          yield* TestClock.adjust("5 seconds")
          assert.isTrue(Health.isOnTrial(yield* healthOf("http://a")))
        })
    ))

  it.effect("takes a backend that dies out no later, and brings it back no later", () =>
    on(
      { "http://a": down({ from: "1 second", until: "7 seconds" }, respond("a")), "http://b": respond("b") },
      {},
      (set) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("2 seconds")
          set(by)
          yield* TestClock.adjust("4 seconds")
          assert.strictEqual(Health.status(yield* healthOf("http://a")), "Down")
          set(by)
          yield* TestClock.adjust("3500 millis")
          assert.strictEqual(Health.status(yield* healthOf("http://a")), "Up")
        })
    ))
})
