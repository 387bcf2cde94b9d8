/** BodyReader: what a program reads of a flow, with backpressure, to an end that is told once. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { BodyReader, BodyTooLarge } from "../../../src/layers/wire/BodyReader.ts"
import { Flow } from "../../../src/layers/wire/Flow.ts"
import { TransportFailure } from "../../../src/services/Failure.ts"

const failure = TransportFailure.make({ reason: "reset_mid_body", message: "gone" })

const setup = () => {
  const source: Array<string> = []
  const flow = new Flow({
    pause: () => void source.push("pause"),
    resume: () => void source.push("resume"),
    cancel: () => void source.push("cancel")
  })
  const push = (text: string) => {
    flow.push(Buffer.from(text))
    flow.flush()
  }
  const end = () => {
    flow.end([])
    flow.flush()
  }
  return { flow, source, push, end, reader: new BodyReader(flow) }
}

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })
const asText = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

describe("a reader", () => {
  it.effect("gets all of it, whenever it came", () =>
    Effect.gen(function*() {
      const { end, push, reader } = setup()
      push("a")
      const fiber = yield* fork(reader.whole(Infinity))
      push("b")
      yield* Effect.yieldNow
      push("c")
      end()
      assert.strictEqual(asText(yield* Fiber.join(fiber)), "abc")
    }))

  it.effect("waits on when nothing has come with a flush", () =>
    Effect.gen(function*() {
      const { end, flow, push, reader } = setup()
      push("a")
      const fiber = yield* fork(reader.whole(Infinity))
      flow.flush()
      flow.flush()
      yield* Effect.yieldNow
      assert.isUndefined(fiber.pollUnsafe())
      push("b")
      end()
      assert.strictEqual(asText(yield* Fiber.join(fiber)), "ab")
    }))

  it.effect("says why the body broke off, also when it was given up after that", () =>
    Effect.gen(function*() {
      const { flow, reader } = setup()
      const reading = yield* fork(reader.pull)
      flow.fail(failure)
      reader.cancel()
      yield* Fiber.await(reading)
      assert.strictEqual(yield* Effect.flip(reader.whole(Infinity)), failure)
    }))

  it.effect("loses nothing to somebody who no longer waits for it", () =>
    Effect.gen(function*() {
      const { end, push, reader } = setup()
      yield* Fiber.interrupt(yield* fork(reader.pull))
      push("a")
      end()
      assert.strictEqual(asText(yield* reader.whole(Infinity)), "a")
    }))

  it.effect("fails when the body does, after what had come", () =>
    Effect.gen(function*() {
      const { flow, push, reader } = setup()
      const pieces: Array<string> = []
      const fiber = yield* fork(
        Effect.flip(Stream.runForEach(reader.stream, (piece) => Effect.sync(() => pieces.push(asText(piece)))))
      )
      push("a")
      yield* Effect.yieldNow
      flow.fail(failure)
      assert.strictEqual(yield* Fiber.join(fiber), failure)
      assert.deepStrictEqual(pieces, ["a"])
    }))

  it.effect("fails when the body is longer than it wants", () =>
    Effect.gen(function*() {
      const { end, push, reader } = setup()
      push("abc")
      end()
      assert.instanceOf(yield* Effect.flip(reader.whole(2)), BodyTooLarge)
    }))

  it.effect("makes the sender wait while 64 KiB wait to be read, and goes on when they were", () =>
    Effect.gen(function*() {
      const { flow, push, reader, source } = setup()
      push("a")
      yield* reader.pull
      push("x".repeat(65_535))
      assert.deepStrictEqual(source, [])
      push("x")
      assert.deepStrictEqual(source, ["pause"])
      yield* reader.pull
      assert.deepStrictEqual(source, ["pause", "resume"])
      reader.cancel()
      assert.deepStrictEqual(source, ["pause", "resume", "cancel"])
      assert.isFalse(flow.isOver)
    }))

  it.effect("copies what is small, and says whether it refers to anything else of what came together", () =>
    Effect.gen(function*() {
      const { flow, push, reader } = setup()
      push("a")
      yield* reader.pull
      for (let i = 0; i < 2; i++) {
        const [large, small, alone] = [Buffer.alloc(10_000), Buffer.from("small"), Buffer.from("alone")]
        flow.push(large)
        flow.push(small)
        for (let i = 0; i < 2; i++) assert.strictEqual(flow.flush(), "kept")
        flow.push(alone)
        assert.strictEqual(flow.flush(), "released")
        small.fill("x")
        alone.fill("x")
        const pieces = yield* reader.pull
        assert.strictEqual(pieces[0], large)
        assert.deepStrictEqual(pieces.slice(1).map(asText), ["small", "alone"])
      }
    }))

  it.effect("owns what it has read", () =>
    Effect.gen(function*() {
      const { flow, reader } = setup()
      const shared = Buffer.from("first")
      flow.push(shared)
      const hold = flow.flush()
      if (hold === "released") shared.fill("x")
      const [piece] = yield* reader.pull
      assert.strictEqual(asText(piece), "first")
    }))
})
