/**
 * One try: that the balancer hears once of its end, and who is to blame for it; and what is known of the body of its
 * request. What a try teaches is in the tests of uploads and retries.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Try } from "../../../src/layers/forwarder/Try.ts"
import { Upload } from "../../../src/layers/forwarder/Upload.ts"
import type { Balancer } from "../../../src/services/Balancer.ts"
import { endpoint } from "../../endpoints.ts"
import * as ManualUpload from "./ManualUpload.ts"

/** How tries begin, and what the balancer is told of them. */
const setup = Effect.gen(function*() {
  const told: Array<string> = []
  const balancer: Balancer["Service"] = {
    use: () => Effect.never,
    select: () => undefined,
    wait: () => Effect.never,
    canTake: () => true,
    begin: (_endpoint, isAgain) => void told.push(isAgain === true ? "begun again" : "begun"),
    answered: (_endpoint, latencyMs, _at, stage) => void told.push(`${stage} after ${latencyMs} ms`),
    proven: () => {},
    bypass: () => {},
    beforeOthers: (f) => f(),
    isHopeless: () => true,
    untilIdle: () => Effect.void,
    swap: () => Effect.void,
    end: (_endpoint, outcome) => void told.push(outcome)
  }
  const clock = yield* Clock.Clock
  const begin = (upload?: Upload) =>
    new Try({ balancer, clock }, endpoint("a"), clock.currentTimeMillisUnsafe(), upload)
  return { begin, clock, told }
})

describe("a try", () => {
  it.effect("ends once, in the first way that it ends", () =>
    Effect.gen(function*() {
      const { begin, told } = yield* setup
      const one = begin()
      one.failed("reset_before_headers", 0)
      one.failed("headers_timeout", 0)
      one.end("success")
      assert.deepStrictEqual(told, ["begun", "failure"])
    }))

  it.effect("goes on only after its end, and then ends once more", () =>
    Effect.gen(function*() {
      const { begin, told } = yield* setup
      const one = begin()
      one.resume()
      assert.deepStrictEqual(told, ["begun"])
      one.failed(503, 0)
      one.resume()
      one.resume()
      one.end("success")
      one.end("success")
      assert.deepStrictEqual(told, ["begun", "failure", "begun again", "aborted"])
    }))

  it.effect("has a latency as a tunnel, also where that is open before the end of its request", () =>
    Effect.gen(function*() {
      const { begin, clock, told } = yield* setup
      yield* TestClock.adjust(1_000)
      const one = begin(ManualUpload.make(clock).upload)
      yield* TestClock.adjust(20)
      one.answered({ status: 101, statusText: "", fields: [], body: undefined })
      one.accept()
      assert.deepStrictEqual(told, ["begun", "tunnel after 20 ms"])
    }))

  for (const completeAfter of [1_500, 2_000]) {
    it.effect(`is not excused by an upload that was late for another one before it, after ${completeAfter} ms of 2 s`, () =>
      Effect.gen(function*() {
        const { begin, clock, told } = yield* setup
        const { complete, upload } = ManualUpload.make(clock)
        const first = begin(upload)
        yield* TestClock.adjust(completeAfter)
        complete()
        yield* TestClock.adjust(2_000 - completeAfter)
        assert.isFalse(upload.expire(2_000))
        first.failed("headers_timeout", 0)
        // All of the request was there when it began.
        begin(upload).failed("reset_before_headers", 0)
        assert.deepStrictEqual(told, ["begun", "aborted", "begun", "failure"])
      }))
  }
})

describe("the body of a request", () => {
  it.effect("is awaited and whole as its engine says, until it is complete", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const { complete, upload } = ManualUpload.make(clock)
      assert.deepStrictEqual([upload.isAwaited, upload.isWhole, upload.expire(1_000)], [true, true, true])
      complete()
      assert.deepStrictEqual([upload.isAwaited, upload.isWhole, upload.expire(1_000)], [false, true, false])
      const { upload: held } = ManualUpload.make(clock, { isAwaited: false, isWhole: false })
      assert.deepStrictEqual([held.isAwaited, held.isWhole], [false, false])
    }))

  it.effect("of the platform is awaited while it is pulled, and whole until then", () =>
    Effect.gen(function*() {
      const upload = new Upload(yield* Clock.Clock, undefined)
      const pieces = yield* Queue.unbounded<Uint8Array, Cause.Done>()
      const isRead = yield* Latch.make()
      const seen = () => [upload.isAwaited, upload.isWhole, upload.isComplete]
      assert.deepStrictEqual(seen(), [false, true, false])
      yield* Effect.forkChild(Stream.runForEach(upload.watch(Stream.fromQueue(pieces)), () => isRead.await))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen(), [true, false, false])
      yield* Queue.offer(pieces, new Uint8Array(1))
      yield* TestClock.adjust(0)
      // It is the backend that does not read.
      assert.deepStrictEqual(seen(), [false, false, false])
      yield* isRead.open
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen(), [true, false, false])
      yield* Queue.end(pieces)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen(), [false, false, true])
    }))

  it.effect("was complete when its engine had the last byte, and not when that is read", () =>
    Effect.gen(function*() {
      const { complete, upload } = ManualUpload.make(yield* Clock.Clock)
      complete()
      yield* TestClock.adjust(1_000)
      yield* Stream.runDrain(upload.watch(Stream.empty))
      assert.strictEqual(upload.completeAt, 0)
    }))
})
