/**
 * The pool against a model of a few lines, for random policies and stories of discovery and health,
 * with up to three tiers.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as PoolLayer from "../../src/layers/Pool.ts"
import * as Backend from "../../src/services/Backend.ts"
import * as Health from "../../src/services/Health.ts"
import type { Load } from "../../src/services/Load.ts"
import { defaultPolicy, type Policy, Pool, type PoolState } from "../../src/services/Pool.ts"
import { type PoolEvent, reconcile, signalled } from "./PoolEvents.ts"

const id = fc.nat({ max: 3 })

const event = fc.oneof(reconcile(id, 6), { weight: 9, arbitrary: signalled(id) })

const share = fc.constantFrom(0, 0.5, 1)

const policyWith = (changes: Pick<Policy, "maxEjected" | "panicThreshold" | "initial">): Policy => ({
  ...defaultPolicy,
  ...changes
})

const policies = fc.record({
  maxEjected: share,
  panicThreshold: share,
  initial: fc.constantFrom("up", "checking", "down")
}).map(policyWith)

interface Member {
  readonly tier: number
  readonly weight: number
  health: Health.Health
  load: Load | undefined
}

const isWell = ({ health }: Member): boolean => Health.isEligible(health)
const isReady = ({ health }: Member): boolean => health.mode === "Ready"
const isFailing = ({ health }: Member): boolean => health.probe.state === "Failing"
const isUnknown = (member: Member): boolean => isWell(member) && member.health.probe.state === "Unknown"
const isProven = ({ health: { circuit, mode, probe } }: Member): boolean =>
  mode === "Ready" && probe.state === "Passing" && circuit._tag === "Closed"
const isOnTrial = (member: Member): boolean => isWell(member) && member.health.circuit._tag === "Trial"
const isEjected = ({ health }: Member): boolean => health.circuit._tag === "Open"

/** What the pool should hold, kept in the plainest way. */
class Model {
  members = new Map<string, Member>()
  private readonly policy: Policy

  constructor(policy: Policy) {
    this.policy = policy
  }

  private get all(): ReadonlyArray<Member> {
    return [...this.members.values()]
  }

  /** The tier that has the traffic; none when nobody is well. */
  get tier(): number | undefined {
    return this.all.filter(isWell).map(({ tier }) => tier).toSorted((a, b) => a - b)[0]
  }

  /** Those that the operator wants, of the tier that has the traffic; of all tiers when nobody is well. */
  private get wanted(): ReadonlyArray<Member> {
    const { tier } = this
    return this.all.filter((member) => isReady(member) && (tier === undefined || member.tier === tier))
  }

  /** Nobody answers, and there are others whose checks got no answer. */
  private get isLastResort(): boolean {
    const { wanted } = this
    return this.policy.panicThreshold > 0 && !wanted.some(({ health }) => Health.isWorthTrying(health)) &&
      wanted.some(({ health }) => Health.isSilent(health))
  }

  /** A smaller share of those than wanted is well, and there are others that answer, or else might. */
  get panics(): boolean {
    const { wanted } = this
    if (this.isLastResort) return true
    return wanted.filter(isWell).length < this.policy.panicThreshold * wanted.length &&
      wanted.some((member) => !isWell(member) && Health.isWorthTrying(member.health))
  }

  /** So many have passed their checks that the others can wait for theirs. */
  private get canWait(): boolean {
    const { panics, policy, wanted } = this
    return policy.initial === "checking" && !panics &&
      wanted.filter(isUnknown).length <= wanted.filter(isProven).length
  }

  isOffered(member: Member): boolean {
    if (isUnknown(member) && this.wanted.includes(member) && this.canWait) return false
    const isTried = this.isLastResort ? Health.isSilent : Health.isWorthTrying
    return isWell(member) || (this.panics && this.wanted.includes(member) && isTried(member.health))
  }

  /** Who is well leaves somebody who is well, who is ill somebody who has traffic as well. */
  private mayEject(member: Member): boolean {
    const others = this.all.filter((other) => other !== member && isReady(other))
    const well = others.filter((other) => isWell(other) && !isOnTrial(other))
    const isOut = (other: Member) => isEjected(other) && (isFailing(member) || !isFailing(other))
    const out = others.filter((other) => isOut(other) || isOnTrial(other))
    const isOutOfUse = isFailing(member) || member.health.mode === "Draining"
    const isUncapped = (isOutOfUse && well.length > 0) || well.some(({ tier }) => tier > member.tier)
    const ready = isReady(member) ? others.length + 1 : others.length
    return this.policy.maxEjected > 0 &&
      (isFailing(member) ? others.some((other) => this.isOffered(other)) : well.length > 0) &&
      (isUncapped || out.length + 1 <= ready * this.policy.maxEjected)
  }

  apply(event: PoolEvent): void {
    if (event._tag === "Signal") {
      const member = this.members.get(`b${event.id}`)
      if (member === undefined || (event.signal._tag === "Tripped" && !this.mayEject(member))) return
      member.health = Health.transition(member.health, event.signal, 0, this.policy)
      return
    }
    const before = this.members
    this.members = new Map()
    for (const [id, weight, tier] of event.members) {
      const known = before.get(`b${id}`)
      const health = known?.health ?? Health.initialBy(this.policy)
      this.members.set(`b${id}`, { weight, tier, health, load: known?.load })
    }
  }

  /** Compares, and remembers the loads, which must be the same objects from now on. */
  check(state: PoolState, before: PoolState): void {
    assert.deepStrictEqual(state.members.map(({ endpoint }) => endpoint.backend.id), [...this.members.keys()])
    const eligible = []
    for (const { endpoint, health } of state.members) {
      const expected = this.members.get(endpoint.backend.id)!
      assert.deepInclude(endpoint.backend, { weight: expected.weight, tier: expected.tier })
      assert.deepStrictEqual(health, expected.health)
      expected.load ??= endpoint.load
      assert.strictEqual(endpoint.load, expected.load)
      if (this.isOffered(expected)) eligible.push(endpoint)
    }
    assert.strictEqual(state.panic, this.panics)
    assert.isTrue(eligible.length === state.eligible.length && eligible.every((one, i) => one === state.eligible[i]))
    const same = before.eligible.length === eligible.length && eligible.every((one, i) => one === before.eligible[i])
    assert.strictEqual(state.eligible === before.eligible, same)
    assert.strictEqual(new Set(state.members.map(({ endpoint }) => endpoint.load)).size, state.members.length)
  }
}

/** What must hold whatever the model says. */
const checkPromises = (event: PoolEvent, state: PoolState, before: PoolState): void => {
  const tiersOf = (members: ReadonlyArray<PoolState["members"][number]>) =>
    members.map(({ endpoint }) => endpoint.backend.tier)
  const well = state.members.filter(({ health }) => Health.isEligible(health))
  const offered = state.members.filter(({ endpoint }) => state.eligible.includes(endpoint))
  // A panic takes the traffic from no tier that has it.
  if (well.length > 0) assert.strictEqual(Math.min(...tiersOf(offered)), Math.min(...tiersOf(well)))
  const isEjection = event._tag === "Signal" && event.signal._tag === "Tripped"
  // Who can be used is left.
  if (isEjection && before.eligible.length > 0) assert.isNotEmpty(state.eligible)
}

describe("the pool", () => {
  it("is what the model says after every event", async () => {
    await fc.assert(
      fc.asyncProperty(policies, fc.array(event, { maxLength: 30, size: "max" }), (policy, events) =>
        Effect.runPromise(
          Effect.gen(function*() {
            const pool = yield* Pool
            const model = new Model(policy)
            assert.strictEqual((yield* Ref.get(pool.state)).members.length, 0)
            for (const event of events) {
              const before = yield* Ref.get(pool.state)
              if (event._tag === "Reconcile") {
                yield* pool.reconcile(
                  event.members.map(([id, weight, tier]) =>
                    Backend.make(`http://b${id}.test`, { id: `b${id}`, weight, tier })
                  )
                )
              } else {
                yield* pool.signal(`b${event.id}`, event.signal)
              }
              model.apply(event)
              const after = yield* Ref.get(pool.state)
              model.check(after, before)
              checkPromises(event, after, before)
            }
          }).pipe(Effect.provide(Layer.merge(PoolLayer.layer(policy), TestClock.layer())))
        )),
      { numRuns: 1_500 }
    )
  })
})
