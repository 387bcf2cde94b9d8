import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import { Balancer } from "../../../src/services/Balancer.ts"
import { anonymous, type Picker, Strategy } from "../../../src/services/Strategy.ts"
import { over, reconcile } from "./Lab.ts"

describe("a strategy that throws", () => {
  /** Throws in everything that it is asked and told. */
  const broken = (parts: ReadonlyArray<keyof Picker | "make">) => {
    const fail = (part: keyof Picker | "make"): void => {
      if (parts.includes(part)) throw new Error(`a bug in ${part}`)
    }
    return Layer.succeed(Strategy, {
      name: "broken",
      make: (endpoints): Picker => {
        fail("make")
        return {
          pick: () => {
            fail("pick")
            return endpoints.at(-1)
          },
          pickWhere: (_, accepts) => {
            fail("pickWhere")
            return endpoints.find(accepts)
          },
          observe: () => fail("observe"),
          ended: () => fail("ended")
        }
      }
    })
  }
  const lines: Array<unknown> = []
  const logger = Logger.layer([Logger.make(({ message }) => lines.push(message))])

  it.effect.each<readonly [string, ReadonlyArray<keyof Picker | "make">]>([
    ["when it is made", ["make"]],
    ["when it picks", ["pick", "pickWhere"]],
    ["when it is told of tries", ["observe", "ended"]]
  ])("%s keeps nobody from a backend, and nothing from its end, and is in the log once", ([, parts]) => {
    lines.length = 0
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { begin, canTake, end, select, untilIdle, wait } = yield* Balancer
      const first = select(anonymous)!
      begin(first)
      const second = select(anonymous)!
      begin(second)
      assert.notStrictEqual(first, second)
      const waiting = yield* Effect.forkChild(wait(anonymous, [], begin), { startImmediately: true })
      end(second, "success", 1)
      assert.strictEqual(yield* Fiber.join(waiting), second)
      end(second, "failure", 1)
      assert.isTrue(canTake(second))
      end(first, "success", 1)
      yield* untilIdle(first.backend.id)
      assert.deepStrictEqual(lines, [[
        "The strategy or its key has a bug, so that anybody is taken",
        new Error(`a bug in ${parts[0]}`)
      ]])
    }).pipe(over(broken(parts), { maxInFlight: 1 }), Effect.provide(logger))
  })

  it.effect("that makes no picker at all keeps nobody from a backend, and is in the log once", () => {
    lines.length = 0
    const unready = Layer.succeed(Strategy, { name: "unready", make: (): Picker => Reflect.get({}, "picker") })
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      const { select } = yield* Balancer
      for (let i = 0; i < 3; i++) {
        assert.isDefined(select(anonymous))
        yield* TestClock.adjust("1 minute")
      }
      assert.deepStrictEqual(lines, [[
        "The strategy or its key has a bug, so that anybody is taken",
        new TypeError("the strategy unready has made no picker")
      ]])
    }).pipe(over(unready), Effect.provide(logger))
  })
})
