/** What may happen to a pool: who is wanted, and every kind of signal. */
import * as fc from "fast-check"
import type * as Health from "../../src/services/Health.ts"

/** A backend as an event has it. */
export type Wanted = readonly [id: number, weight: number, tier: number]

export type PoolEvent =
  | { readonly _tag: "Reconcile"; readonly members: ReadonlyArray<Wanted> }
  | { readonly _tag: "Signal"; readonly id: number; readonly signal: Health.Signal }

const signal = fc.constantFrom<Array<Health.Signal>>(
  { _tag: "ProbePassed", why: "status: 200" },
  { _tag: "ProbeFailed", why: "Connection refused" },
  { _tag: "ProbeFailed", why: "status: 500", answered: true },
  { _tag: "ProbeFailed", why: "no answer within 2s", silent: true },
  { _tag: "Tripped", why: "failures" },
  { _tag: "Recovered", why: "success" },
  { _tag: "Elapsed" },
  { _tag: "ModeSet", mode: "Draining", why: "deploy" },
  { _tag: "ModeSet", mode: "Disabled", why: "maintenance" },
  { _tag: "ModeSet", mode: "Ready", why: "done" }
)

/** Backends with these ids, some of them twice, and some of later tiers. */
export const reconcile = (id: fc.Arbitrary<number>, maxLength: number): fc.Arbitrary<PoolEvent> =>
  fc.record({
    _tag: fc.constant("Reconcile" as const),
    members: fc.array(fc.tuple(id, fc.integer({ min: 1, max: 3 }), fc.constantFrom(0, 0, 1, 2)), { maxLength })
  })

export const signalled = (id: fc.Arbitrary<number>): fc.Arbitrary<PoolEvent> =>
  fc.record({ _tag: fc.constant("Signal" as const), id, signal })
