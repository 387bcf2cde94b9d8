/**
 * Those who follow the pool by its changes against those who look at all members, for random stories and followers that
 * miss any number of snapshots.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as PoolLayer from "../../src/layers/Pool.ts"
import * as Backend from "../../src/services/Backend.ts"
import type { Endpoint } from "../../src/services/Load.ts"
import { defaultPolicy, empty, forEachChange, type Member, Pool, type PoolState } from "../../src/services/Pool.ts"
import { type PoolEvent, reconcile, signalled, type Wanted } from "./PoolEvents.ts"

type Event =
  | PoolEvent
  /** So many changes of one member, which fills the journal. */
  | { readonly _tag: "Flap"; readonly id: number; readonly times: number }
  /** A follower looks at the pool. The others miss it. */
  | { readonly _tag: "Look"; readonly follower: number }

const id = fc.nat({ max: 5 })

const event: fc.Arbitrary<Event> = fc.oneof(
  reconcile(id, 8),
  { weight: 8, arbitrary: signalled(id) },
  fc.record({ _tag: fc.constant("Flap" as const), id, times: fc.constantFrom(1, 2, 997, 1_000, 1_001) }),
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Look" as const), follower: fc.nat({ max: 2 }) }) }
)

const byId = ({ members }: PoolState): Map<string, Member> =>
  new Map(members.map((member) => [member.endpoint.backend.id, member]))

/** All that has changed, looked for in the plainest way. */
const changesBetween = (before: PoolState, after: PoolState) => {
  const earlier = byId(before)
  return after.members
    .filter((member) => earlier.get(member.endpoint.backend.id) !== member)
    .map((member) => [member, earlier.get(member.endpoint.backend.id)] as const)
}

const assertChanges = (before: PoolState, after: PoolState): void => {
  const told: Array<readonly [Member, Member | undefined]> = []
  forEachChange(before, after, (member, known) => told.push([member, known]))
  const expected = changesBetween(before, after)
  assert.strictEqual(told.length, expected.length)
  const toldOf = new Map(told.map(([member, known]) => [member, known]))
  for (const [member, known] of expected) {
    assert.isTrue(toldOf.has(member))
    assert.strictEqual(toldOf.get(member), known)
  }
  const ids = (endpoints: ReadonlyArray<Endpoint>) => endpoints.map(({ backend }) => backend.id)
  assert.deepStrictEqual(
    [...after.positions],
    ids(after.members.map(({ endpoint }) => endpoint)).map((one, i) => [one, i])
  )
  assert.deepStrictEqual(
    ids(after.eligible),
    ids(after.members.map(({ endpoint }) => endpoint).filter((one) => after.eligible.includes(one)))
  )
}

const backend = ([id, weight, tier]: Wanted): Backend.Backend =>
  Backend.make(`http://b${id}.test`, { id: `b${id}`, weight, tier })

const policies = fc.record({ maxEjected: fc.constantFrom(0.5, 1), panicThreshold: fc.constantFrom(0, 0.5, 1) })

describe("changes of the pool", () => {
  it("tell everybody who misses snapshots of what a look at all would find", async () => {
    await fc.assert(
      fc.asyncProperty(policies, fc.array(event, { maxLength: 60, size: "max" }), (policy, events) =>
        Effect.runPromise(
          Effect.gen(function*() {
            const pool = yield* Pool
            const known: Array<PoolState> = [empty, empty, empty]
            const last = known.map((_, follower): Event => ({ _tag: "Look", follower }))
            for (const event of [...events, ...last]) {
              if (event._tag === "Reconcile") yield* pool.reconcile(event.members.map(backend))
              else if (event._tag === "Signal") yield* pool.signal(`b${event.id}`, event.signal)
              else if (event._tag === "Flap") {
                for (let i = 0; i < event.times; i++) {
                  const mode = i % 2 === 0 ? "Draining" : "Ready"
                  yield* pool.signal(`b${event.id}`, { _tag: "ModeSet", mode, why: "flap" })
                }
              } else {
                const state = yield* Ref.get(pool.state)
                assert.strictEqual(state.positions.size, state.members.length)
                assertChanges(known[event.follower]!, state)
                known[event.follower] = state
              }
            }
          }).pipe(Effect.provide(Layer.merge(PoolLayer.layer({ ...defaultPolicy, ...policy }), TestClock.layer())))
        )),
      { numRuns: 150 }
    )
  })
})
