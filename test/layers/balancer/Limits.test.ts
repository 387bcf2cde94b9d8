import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { strategies } from "../../../src/layers/strategies/index.ts"
import { Balancer } from "../../../src/services/Balancer.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { anonymous } from "../../../src/services/Strategy.ts"
import { idsOf, moved } from "../../endpoints.ts"
import { Journal, over, reconcile, stubborn } from "./Lab.ts"

describe("limits", () => {
  const takes = (n: number) =>
    Effect.map(Balancer, ({ begin, select }) =>
      Array.from({ length: n }, () => {
        const endpoint = select(anonymous)
        if (endpoint !== undefined) begin(endpoint)
        return endpoint
      }))

  it.effect("keep an endpoint from more tries than it may have, whatever the strategy says", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      assert.deepStrictEqual(idsOf(yield* takes(5)), ["a", "a", "b", "b", undefined])
    }).pipe(over(stubborn(new Journal()), { maxInFlight: 2 })))

  it.effect("keep all endpoints together from more than that", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { end } = yield* Balancer
      const [first, , third] = yield* takes(3)
      assert.isUndefined(third)
      end(first!, "success", 1)
      assert.isDefined((yield* takes(1))[0])
    }).pipe(over(strategies["round-robin"], { maxTotalInFlight: 2 })))

  it.effect("keep one that has waited for another try from more than that, too", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { canTake, end, select } = yield* Balancer
      const b = select(anonymous, [select(anonymous)!])!
      assert.isTrue(canTake(b))
      const [first] = yield* takes(1)
      assert.strictEqual(b.load.inFlight, 0)
      assert.isFalse(canTake(b))
      end(first!, "success", 1)
      assert.isTrue(canTake(b))
    }).pipe(over(stubborn(new Journal()), { maxTotalInFlight: 1 })))

  it.effect("leave out what still hangs in the place where a backend was before", () =>
    Effect.gen(function*() {
      yield* reconcile("a")
      yield* takes(2)
      yield* (yield* Pool).reconcile([moved("a")])
      const [first, second, third] = yield* takes(3)
      assert.strictEqual(first?.backend.origin, moved("a").origin)
      assert.deepStrictEqual(idsOf([second, third]), ["a", undefined])
    }).pipe(over(strategies["round-robin"], { maxInFlight: 2 })))

  it.effect("spread what overflows over the others", () =>
    Effect.gen(function*() {
      yield* reconcile("a", "b", "c", "d")
      const taken = idsOf(yield* takes(40))
      for (const id of ["b", "c", "d"]) assert.isAbove(taken.filter((other) => other === id).length, 5, id)
    }).pipe(over(stubborn(new Journal()), { maxInFlight: 16 })))
})
