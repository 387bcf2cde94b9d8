/** The pool against a model of a few lines, for random stories of discovery and health. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as PoolLayer from "../../src/layers/Pool.ts"
import * as Health from "../../src/services/Health.ts"
import type { Load } from "../../src/services/Load.ts"
import { Pool, type PoolState } from "../../src/services/Pool.ts"
import { backend } from "../endpoints.ts"

type Event =
  | { readonly _tag: "Reconcile"; readonly members: ReadonlyArray<readonly [id: number, weight: number]> }
  | { readonly _tag: "Signal"; readonly id: number; readonly signal: Health.Signal }

const id = fc.integer({ min: 0, max: 5 })

const signal = fc.constantFrom<Array<Health.Signal>>(
  { _tag: "ProbePassed", why: "status: 200" },
  { _tag: "ProbeFailed", why: "Connection refused" },
  { _tag: "ProbeFailed", why: "status: 500", answered: true },
  { _tag: "Tripped", why: "failures" },
  { _tag: "Recovered", why: "success" },
  { _tag: "Elapsed" },
  { _tag: "ModeSet", mode: "Draining", why: "deploy" },
  { _tag: "ModeSet", mode: "Disabled", why: "maintenance" },
  { _tag: "ModeSet", mode: "Ready", why: "done" }
)

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    _tag: fc.constant("Reconcile"),
    members: fc.array(fc.tuple(id, fc.integer({ min: 1, max: 3 })), { maxLength: 8 })
  }),
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Signal"), id, signal }) }
)

/** What the pool should hold, kept in the plainest way. */
class Model {
  members = new Map<string, { weight: number; health: Health.Health; load: Load | undefined }>()

  /** At most half of those that the operator wants are ejected, and one of them is left. */
  private mayEject(member: { readonly health: Health.Health }): boolean {
    const ready = [...this.members.values()].filter(({ health }) => health.mode === "Ready")
    const others = ready.filter((other) => other !== member)
    const open = others.filter(({ health }) => health.circuit._tag === "Open")
    const isAllowed = member.health.probe.state === "Failing" || 2 * (open.length + 1) <= ready.length
    return isAllowed && others.some(({ health }) => Health.isEligible(health))
  }

  /** Less than half of those that the operator wants are well, and there are others that answer. */
  get panics(): boolean {
    const ready = [...this.members.values()].map(({ health }) => health).filter(({ mode }) => mode === "Ready")
    return 2 * ready.filter(Health.isEligible).length < ready.length &&
      ready.some((health) => Health.isWorthTrying(health) && !Health.isEligible(health))
  }

  apply(event: Event): void {
    if (event._tag === "Signal") {
      const member = this.members.get(`b${event.id}`)
      if (member === undefined || (event.signal._tag === "Tripped" && !this.mayEject(member))) return
      member.health = Health.transition(member.health, event.signal, 0, Health.defaultPolicy)
      return
    }
    const before = this.members
    this.members = new Map()
    for (const [id, weight] of event.members) {
      const known = before.get(`b${id}`)
      this.members.set(`b${id}`, { weight, health: known?.health ?? Health.initial, load: known?.load })
    }
  }

  /** Compares, and remembers the loads, which must be the same objects from now on. */
  check(state: PoolState, before: PoolState): void {
    assert.deepStrictEqual(state.members.map(({ endpoint }) => endpoint.backend.id), [...this.members.keys()])
    const eligible = []
    for (const { endpoint, health } of state.members) {
      const expected = this.members.get(endpoint.backend.id)!
      assert.strictEqual(endpoint.backend.weight, expected.weight)
      assert.deepStrictEqual(health, expected.health)
      expected.load ??= endpoint.load
      assert.strictEqual(endpoint.load, expected.load)
      if (this.panics ? Health.isWorthTrying(health) : Health.isEligible(health)) eligible.push(endpoint)
    }
    assert.strictEqual(state.panic, this.panics)
    assert.isTrue(eligible.length === state.eligible.length && eligible.every((one, i) => one === state.eligible[i]))
    const same = before.eligible.length === eligible.length && eligible.every((one, i) => one === before.eligible[i])
    assert.strictEqual(state.eligible === before.eligible, same)
    assert.strictEqual(new Set(state.members.map(({ endpoint }) => endpoint.load)).size, state.members.length)
  }
}

describe("the pool", () => {
  it("is what the model says after every event", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 30, size: "max" }), (events) =>
        Effect.runPromise(
          Effect.gen(function*() {
            const pool = yield* Pool
            const model = new Model()
            assert.strictEqual((yield* Ref.get(pool.state)).members.length, 0)
            for (const event of events) {
              const before = yield* Ref.get(pool.state)
              if (event._tag === "Reconcile") {
                yield* pool.reconcile(event.members.map(([id, weight]) => backend(`b${id}`, weight)))
              } else {
                yield* pool.signal(`b${event.id}`, event.signal)
              }
              model.apply(event)
              model.check(yield* Ref.get(pool.state), before)
            }
          }).pipe(Effect.provide(Layer.merge(PoolLayer.layer(), TestClock.layer())))
        )),
      { numRuns: 200 }
    )
  })
})
