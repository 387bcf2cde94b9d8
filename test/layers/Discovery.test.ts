import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as DiscoveryLayer from "../../src/layers/Discovery.ts"
import * as Static from "../../src/layers/discovery/Static.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import type { Backend } from "../../src/services/Backend.ts"
import { Discovery } from "../../src/services/Discovery.ts"
import { Pool } from "../../src/services/Pool.ts"
import { backend } from "../endpoints.ts"

const following = (discovery: Layer.Layer<Discovery>) =>
  DiscoveryLayer.layer.pipe(Layer.provide(discovery), Layer.provideMerge(PoolLayer.layer()))

const members = Effect.gen(function*() {
  const { state } = yield* Pool
  return (yield* Ref.get(state)).members.map(({ endpoint }) => endpoint.backend.id)
})

const settle = TestClock.adjust(0)

/** A layer that keeps what is logged. */
const logging = (lines: Array<unknown>) =>
  Layer.provideMerge(Logger.layer([Logger.make(({ message }) => lines.push(message))]))

describe("Discovery", () => {
  it.effect("makes the members what the source says, each time that it speaks", () =>
    Effect.gen(function*() {
      const said = yield* Queue.unbounded<ReadonlyArray<Backend>>()
      const source = Layer.succeed(Discovery, { name: "queue", backends: Stream.fromQueue(said) })
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(yield* members, [])
        yield* Queue.offer(said, [backend("a"), backend("b")])
        yield* settle
        assert.deepStrictEqual(yield* members, ["a", "b"])
        yield* Queue.offer(said, [backend("b"), backend("c")])
        yield* settle
        assert.deepStrictEqual(yield* members, ["b", "c"])
      }).pipe(Effect.provide(following(source)))
    }))

  it.effect("keeps the last known members when the source has nothing more to say", () =>
    Effect.gen(function*() {
      yield* settle
      assert.deepStrictEqual(yield* members, ["a"])
    }).pipe(
      Effect.provide(following(Layer.succeed(Discovery, { name: "once", backends: Stream.make([backend("a")]) })))
    ))
})

describe("what is no backend", () => {
  const about = (found: string) => [
    "The source of backends (loose) has delivered what is no backend, and it is left out: " +
    `expected a URL without a path, such as http://localhost:3001, or unix:/path/of/a.sock, got "${found}"`
  ]

  it.effect("is left out, and in the log for as long as it is delivered", () => {
    const lines: Array<unknown> = []
    const [a, wrong, other] = [backend("a"), { ...backend("b"), origin: "not a url" }, {
      ...backend("c"),
      origin: "c d"
    }]
    return Effect.gen(function*() {
      const said = yield* Queue.unbounded<ReadonlyArray<Backend>>()
      const source = Layer.succeed(Discovery, { name: "loose", backends: Stream.fromQueue(said) })
      yield* Effect.gen(function*() {
        for (const set of [[a, wrong], [wrong, a], [a, wrong, other], [a], [a, wrong]]) {
          yield* Queue.offer(said, set)
          yield* settle
          assert.deepStrictEqual(yield* members, ["a"])
        }
        assert.deepStrictEqual(lines, [about("not a url"), about("c d"), about("not a url")])
      }).pipe(Effect.provide(following(source).pipe(logging(lines))))
    })
  })

  it.effect("is read as a backend that others have written, where it can be", () => {
    const plain = { ...backend("a"), origin: "HTTP://A.test:80/" }
    return Effect.gen(function*() {
      yield* settle
      const { state } = yield* Pool
      const [member] = (yield* Ref.get(state)).members
      assert.deepStrictEqual(member?.endpoint.backend, backend("a"))
    }).pipe(Effect.provide(following(Layer.succeed(Discovery, { name: "loose", backends: Stream.make([plain]) }))))
  })

  it.effect("is left out also where it is nothing", () => {
    const nothing: Backend = JSON.parse("null")
    const source = Layer.succeed(Discovery, { name: "loose", backends: Stream.make([backend("a"), nothing]) })
    return Effect.gen(function*() {
      yield* settle
      assert.deepStrictEqual(yield* members, ["a"])
    }).pipe(Effect.provide(following(source).pipe(logging([]))))
  })

  it.effect("is no reason to give up a source that delivers no list at all", () => {
    const lines: Array<unknown> = []
    const nothing: ReadonlyArray<Backend> = JSON.parse("null")
    return Effect.gen(function*() {
      yield* settle
      assert.deepStrictEqual(yield* members, ["a"])
      assert.strictEqual(lines.length, 1)
    }).pipe(Effect.provide(
      following(Layer.succeed(Discovery, { name: "loose", backends: Stream.make([backend("a")], nothing) }))
        .pipe(logging(lines))
    ))
  })
})

describe("a source that breaks down", () => {
  const bug = new Error("a bug")
  const told = ["The source of backends (broken) has broken down; it is asked again, the last ones it knew stay", bug]

  it.effect("leaves the last known members, and a line in the log", () => {
    const lines: Array<unknown> = []
    const backends = Stream.concat(Stream.make([backend("a")]), Stream.die(bug))
    return Effect.gen(function*() {
      yield* settle
      assert.deepStrictEqual(yield* members, ["a"])
      assert.deepStrictEqual(lines, [told])
    }).pipe(Effect.provide(
      following(Layer.succeed(Discovery, { name: "broken", backends })).pipe(logging(lines))
    ))
  })

  it.effect("is asked again after a second, and goes on where it is well", () => {
    const lines: Array<unknown> = []
    const answers = [Stream.die(bug), Stream.make([backend("a")]), Stream.never]
    const backends = Stream.suspend(() => answers.shift()!)
    return Effect.gen(function*() {
      yield* settle
      assert.deepStrictEqual(yield* members, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* members, ["a"])
      assert.deepStrictEqual(lines, [told])
    }).pipe(Effect.provide(
      following(Layer.succeed(Discovery, { name: "broken", backends })).pipe(logging(lines))
    ))
  })

  it.effect("is asked again also where it was interrupted from within", () => {
    const lines: Array<unknown> = []
    const interrupted = Effect.flatMap(Effect.forkChild(Effect.interrupt), Fiber.join)
    const answers = [Stream.fromEffect(interrupted), Stream.make([backend("a")]), Stream.never]
    const backends = Stream.suspend(() => answers.shift()!)
    return Effect.gen(function*() {
      yield* settle
      assert.lengthOf(lines, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* members, ["a"])
    }).pipe(Effect.provide(
      following(Layer.succeed(Discovery, { name: "broken", backends })).pipe(logging(lines))
    ))
  })

  it.effect("is none that is given up with the layer", () => {
    const lines: Array<unknown> = []
    const backends = Stream.concat(Stream.make([backend("a")]), Stream.never)
    return Effect.gen(function*() {
      yield* Effect.provide(settle, following(Layer.succeed(Discovery, { name: "well", backends })))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(logging(lines)(Layer.empty)))
  })

  it.effect("is asked less and less often, but every half a minute, and after an answer soon again", () => {
    const lines: Array<unknown> = []
    let isWell = false
    const backends = Stream.suspend(() =>
      isWell ? Stream.concat(Stream.make([backend("a")]), Stream.die(bug)) : Stream.die(bug)
    )
    return Effect.gen(function*() {
      // At 0, 1, 3, 7, 15 and 31 s, and then every 30 s.
      yield* TestClock.adjust("100 seconds")
      assert.strictEqual(lines.length, 8)
      isWell = true
      yield* TestClock.adjust("21 seconds")
      assert.deepStrictEqual(yield* members, ["a"])
      assert.strictEqual(lines.length, 9)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(lines.length, 10)
    }).pipe(Effect.provide(
      following(Layer.succeed(Discovery, { name: "broken", backends })).pipe(logging(lines))
    ))
  })
})

describe("the static source", () => {
  it.effect("knows all backends at once and goes on for ever", () => {
    const backends = [backend("a"), backend("b")]
    return Effect.gen(function*() {
      const discovery = yield* Discovery
      assert.strictEqual(discovery.name, "static")
      const said: Array<ReadonlyArray<Backend>> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(discovery.backends, (set) => Effect.sync(() => said.push(set))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(said, [backends])
      assert.isUndefined(fiber.pollUnsafe())
    }).pipe(Effect.provide(Static.layer(backends)))
  })
})
