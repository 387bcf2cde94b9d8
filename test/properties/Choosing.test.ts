/** Who is chosen, with any strategy and whatever is around it: the rules of the balancer, in a line or two for each. */
import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Struct from "effect/Struct"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as BalancerLayer from "../../src/layers/Balancer.ts"
import * as EjectionLayer from "../../src/layers/Ejection.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { strategies, strategyOf } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import { Balancer, defaultOptions } from "../../src/services/Balancer.ts"
import * as Health from "../../src/services/Health.ts"
import type { Endpoint } from "../../src/services/Load.ts"
import { memberOf, Pool } from "../../src/services/Pool.ts"
import * as SlowStart from "../../src/services/SlowStart.ts"
import { anonymous, type PickContext, Strategy } from "../../src/services/Strategy.ts"
import * as PoolEvents from "./PoolEvents.ts"

const settings = fc.record({
  strategy: fc.constantFrom(...Struct.keys(strategies)),
  hash: fc.record({ balanceFactor: fc.constantFrom(undefined, 1.1, 2) }),
  subset: fc.record({ id: fc.constant("lb"), size: fc.constantFrom(undefined, 1, 3) }),
  zone: fc.constantFrom(undefined, "here"),
  slowStart: fc.constantFrom(SlowStart.off, { ...SlowStart.off, duration: Duration.seconds(1) }),
  maxInFlight: fc.constantFrom(1, 2, 1_024),
  maxTotalInFlight: fc.constantFrom(5, Infinity)
})

/** An exchange begins, a try of one fails and is followed by another or is over well, or time passes. */
const traffic = fc.record({
  _tag: fc.constantFrom("Begin", "Begin", "Begin", "Fail", "End", "Wait"),
  key: fc.constantFrom(undefined, "a key", "another").map((key) => () => key),
  pinned: fc.constantFrom(undefined, undefined, "0", "1", "2"),
  nth: fc.nat(1_000)
})
const ids = fc.nat(4)
const event = fc.oneof({ weight: 9, arbitrary: traffic }, PoolEvents.reconcile(ids, 7), PoolEvents.signalled(ids))
const events = fc.array(event, { maxLength: 80, size: "max" })

/** Who moves to another tier moves to another place as well. */
const backendOf = ([id, weight, tier]: PoolEvents.Wanted): Backend.Backend =>
  Backend.make(`http://${id}-${tier}`, { id: `${id}`, weight, tier, zone: ["here", "there", undefined][id % 3] })

type Events = typeof events extends fc.Arbitrary<infer A> ? A : never

/** Plays them, and gives the number of tries. */
const story = (events: Events, maxTotal: number) =>
  Effect.gen(function*() {
    const pool = yield* Pool
    const { begin, end, select } = yield* Balancer
    const { usesKey } = yield* Strategy
    /** The exchanges that are in flight, each on the last one that it has tried. */
    const exchanges: Array<readonly [PickContext, ReadonlyArray<Endpoint>]> = []
    let begun = 0

    const choose = (context: PickContext, tried: ReadonlyArray<Endpoint> = []): void => {
      const state = Ref.getUnsafe(pool.state)
      const isTried = ({ backend: { id, origin } }: Endpoint) =>
        tried.some(({ backend }) => backend.id === id && backend.origin === origin)
      const hasRoom = ({ load }: Endpoint) => load.inFlight < load.limit
      const isFree = (one: Endpoint) => hasRoom(one) && !isTried(one)
      const owner = memberOf(state, context.pinned ?? "nobody")
      const isOpen = owner !== undefined && !isTried(owner.endpoint) &&
        (Health.isOpenToPinned(owner.health) || state.eligible.includes(owner.endpoint))
      const areOthersLeft = state.eligible.some((one) => !one.load.isOnTrial && !isTried(one))
      const chosen = select(context, tried)
      if (exchanges.length >= maxTotal) return assert.isUndefined(chosen, "the limit of all")
      const waits = isOpen && tried.length === 0 && !owner.endpoint.load.isOnTrial
      if (chosen === undefined) return assert.isTrue(waits || !state.eligible.some(isFree), "nobody, but one is free")
      const { endpoint, health } = memberOf(state, chosen.backend.id)!
      assert.strictEqual(chosen, endpoint, "no member as it is now")
      assert.isFalse(isTried(chosen), "twice")
      assert.isTrue(hasRoom(chosen) || (chosen.load.isOnTrial && !areOthersLeft), "no room")
      if (waits || (isOpen && hasRoom(owner.endpoint))) assert.strictEqual(chosen, owner?.endpoint, "pinned to another")
      else if (!state.eligible.includes(chosen)) {
        assert.isTrue(Health.isOnlyEjected(health) && state.eligible.every(isTried), "too ill")
      } else if (areOthersLeft) {
        const earlier = state.eligible.filter(({ backend }) => backend.tier < chosen.backend.tier)
        assert.isFalse(earlier.some(isFree), "too late a tier")
        if (usesKey && context.key() !== undefined) assert.strictEqual(select(context, tried), chosen, "a key moves")
      }
      begin(chosen)
      begun++
      exchanges.push([context, [...tried, chosen]])
    }
    yield* pool.reconcile([0, 1, 2, 3].map((id) => backendOf([id, id + 1, id === 3 ? 1 : 0])))
    for (const event of events) {
      if (event._tag === "Reconcile") yield* pool.reconcile(event.members.map(backendOf))
      else if (event._tag === "Signal") yield* pool.signal(`${event.id}`, event.signal)
      else if (event._tag === "Wait") yield* TestClock.adjust(event.nth)
      else if (event._tag === "Begin") choose({ ...anonymous, ...event })
      else {
        for (const [context, tried] of exchanges.splice(event.nth % (exchanges.length || 1), 1)) {
          end(tried.at(-1)!, event._tag === "Fail" ? "failure" : "success", 10)
          if (event._tag === "Fail") choose(context, tried)
        }
      }
    }
    return begun
  })

it("a choice is within all rules, whatever the strategy, what is around it, and what becomes of the backends", async () => {
  let begun = 0
  const property = fc.asyncProperty(settings, events, fc.nat(), async (settings, events, seed) => {
    begun += await story(events, settings.maxTotalInFlight).pipe(
      Effect.provide(BalancerLayer.layer({ ...defaultOptions, ...settings })),
      Effect.provide([EjectionLayer.layerNone, Logger.layer([]), TestClock.layer(), strategyOf(settings)]),
      Effect.provide(PoolLayer.layer()),
      Random.withSeed(seed),
      Effect.runPromise
    )
  })
  await fc.assert(property, { numRuns: 300 })
  assert.isAbove(begun, 2_000, "nothing was tested")
})
