/** One try: that the balancer hears once of its end. What a try teaches is in the tests of uploads and retries. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Try } from "../../../src/layers/forwarder/Try.ts"
import type { Balancer } from "../../../src/services/Balancer.ts"
import { endpoint } from "../../endpoints.ts"

/** A try that has begun, and what the balancer was told since. */
const setup = Effect.gen(function*() {
  const told: Array<string> = []
  const balancer: Balancer["Service"] = {
    use: () => Effect.never,
    select: () => undefined,
    wait: () => Effect.never,
    canTake: () => true,
    begin: (_endpoint, isAgain) => void told.push(isAgain === true ? "begun again" : "begun"),
    answered: () => {},
    proven: () => {},
    bypass: () => {},
    untilIdle: () => Effect.void,
    swap: () => Effect.void,
    end: (_endpoint, outcome) => void told.push(outcome)
  }
  const one = new Try({ balancer, clock: yield* Clock.Clock }, endpoint("a"), 0, undefined)
  return { told, one }
})

describe("a try", () => {
  it.effect("ends once, in the first way that it ends", () =>
    Effect.gen(function*() {
      const { one, told } = yield* setup
      one.failed("reset_before_headers", 0)
      one.failed("headers_timeout", 0)
      one.end("success")
      assert.deepStrictEqual(told, ["begun", "failure"])
    }))

  it.effect("goes on only after its end, and then ends once more", () =>
    Effect.gen(function*() {
      const { one, told } = yield* setup
      one.resume()
      assert.deepStrictEqual(told, ["begun"])
      one.failed(503, 0)
      one.resume()
      one.resume()
      one.end("success")
      one.end("success")
      assert.deepStrictEqual(told, ["begun", "failure", "begun again", "aborted"])
    }))
})
