/**
 * Requests that come slowly, on real sockets and the test clock: each engine says when they are complete, and whom it
 * waits for until then.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import { Pool } from "../../src/services/Pool.ts"
import { type Backend, backend } from "../contract/support/Backends.ts"
import { engines } from "./support/Engines.ts"
import { host, message, ok, Peer, value } from "./support/Peer.ts"

const wait = <A>(evaluate: () => Promise<A>): Effect.Effect<A> => Effect.promise(evaluate)

describe.each(engines)("an upload on the $name engine", (engine) => {
  /** A client and the load of the backend that it talks to. */
  const lab = Effect.fnUntraced(function*(
    { origin }: Backend,
    test: (client: Peer, load: () => Record<string, unknown>) => Effect.Effect<void>,
    limit?: string
  ) {
    const settings = Configuration.make({
      listen: "127.0.0.1:0",
      to: [origin],
      health: { kind: "off" },
      ...(limit === undefined ? {} : { timeout: { try: limit } })
    })
    const layer = LoadBalancer.layer(settings).pipe(
      Layer.provide(AccessLog.layerNone),
      Layer.provideMerge(engine.layer(settings))
    )
    yield* Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const pool = yield* Pool
      assert(address._tag !== "UnixPathAddress")
      const client = yield* Effect.acquireRelease(
        wait(() => Peer.connect(address.port)),
        (client) => Effect.sync(() => client.destroy())
      )
      yield* test(client, () => {
        const { failed, inFlight, latency } = Ref.getUnsafe(pool.state).members[0]!.endpoint.load
        return { failed, inFlight, latency }
      })
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
  const head = (length: number, method = "POST") => message(`${method} / HTTP/1.1`, host, `Content-Length: ${length}`)

  for (const method of ["POST", "PUT"]) {
    it.effect(`is timed from its end on, with ${method}`, () =>
      Effect.gen(function*() {
        const slow = yield* backend(() => new Promise(() => {}))
        yield* lab(slow, (client, load) =>
          Effect.gen(function*() {
            yield* wait(() => client.send(`${head(4, method)}ab`))
            const peer = yield* slow.connected()
            yield* wait(() => peer.untilText("\r\n\r\nab"))
            yield* TestClock.adjust("5 seconds")
            yield* wait(() => client.send("cd"))
            yield* wait(() => peer.untilText("cd"))
            yield* TestClock.adjust(30)
            yield* wait(() => peer.send(ok))
            assert.include((yield* wait(() => client.response())).line, "200")
            assert.deepInclude(load(), { failed: 0, latency: 30 })
          }))
      }))
  }

  it.effect("is timed from the begin of its try, if it is complete then", () =>
    Effect.gen(function*() {
      const slow = yield* backend(() => new Promise(() => {}))
      yield* lab(slow, (client, load) =>
        Effect.gen(function*() {
          yield* wait(() => client.send(`${head(4)}abcd`))
          const peer = yield* slow.connected()
          yield* wait(() => peer.untilText("\r\n\r\nabcd"))
          yield* TestClock.adjust(30)
          yield* wait(() => peer.send(ok))
          assert.include((yield* wait(() => client.response())).line, "200")
          assert.deepInclude(load(), { failed: 0, latency: 30 })
        }))
    }))

  it.effect("is its client's to answer for when timeout.try is over before its end", () =>
    Effect.gen(function*() {
      const slow = yield* backend(() => new Promise(() => {}))
      yield* lab(slow, (client, load) =>
        Effect.gen(function*() {
          yield* wait(() => client.send(`${head(4, "PUT")}ab`))
          const peer = yield* slow.connected()
          yield* wait(() => peer.untilText("\r\n\r\nab"))
          yield* TestClock.adjust("2 seconds")
          const answer = yield* wait(() => client.response())
          assert.include(answer.line, "408")
          assert.strictEqual(value(answer, "connection"), "close")
          assert.deepStrictEqual(load(), { failed: 0, inFlight: 0, latency: 0 })
          yield* wait(() => client.untilOver())
          yield* wait(() => peer.untilOver())
        }), "2s")
    }))

  it.effect("is the backend's to answer for when that does not read it", () =>
    Effect.gen(function*() {
      const stuck = yield* backend((peer) => {
        peer.socket.pause()
        return new Promise(() => {})
      })
      yield* lab(stuck, (client, load) =>
        Effect.gen(function*() {
          const size = 32 * 1024 * 1024
          yield* wait(() => client.send(head(size)))
          yield* stuck.connected()
          const sending = client.send(Buffer.alloc(size))
          // Until nothing moves any more, which no event says.
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 300)))
          yield* TestClock.adjust("2 seconds")
          assert.include((yield* wait(() => client.response())).line, "504")
          assert.deepInclude(load(), { failed: 1, inFlight: 0 })
          client.destroy()
          yield* wait(() => sending)
        }), "2s")
    }))
})
