/**
 * A trial whose answer has no end, on real sockets and the test clock: each engine says when more of a body has come.
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
import * as Health from "../../src/services/Health.ts"
import { Pool } from "../../src/services/Pool.ts"
import { backend, silent } from "../contract/support/Backends.ts"
import { engines } from "./support/Engines.ts"
import { host, message, Peer } from "./support/Peer.ts"

const begin = message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")

const wait = <A>(evaluate: () => Promise<A>): Effect.Effect<A> => Effect.promise(evaluate)

describe.each(engines)("a trial on the $name engine", (engine) => {
  it.effect("is over when its answer still comes after some seconds, and not while that is silent", () =>
    Effect.gen(function*() {
      const streaming = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(`${begin}3\r\none\r\n`)
      })
      const other = yield* silent
      const settings = Configuration.make({
        listen: "127.0.0.1:0",
        to: [streaming.origin, other.origin],
        strategy: "first",
        health: { kind: "off" }
      })
      const lab = LoadBalancer.layer(settings).pipe(
        Layer.provide(AccessLog.layerNone),
        Layer.provideMerge(engine.layer(settings))
      )
      yield* Effect.gen(function*() {
        const { address } = yield* HttpServer.HttpServer
        const pool = yield* Pool
        const status = Effect.map(Ref.get(pool.state), ({ members }) => Health.status(members[0]!.health))
        yield* pool.signal(streaming.origin, { _tag: "Tripped", why: "too many failures" })
        yield* pool.signal(streaming.origin, { _tag: "ProbePassed", why: "status: 200" })

        assert(address._tag !== "UnixPathAddress")
        const client = yield* Effect.acquireRelease(
          wait(() => Peer.connect(address.port)),
          (client) => Effect.sync(() => client.destroy())
        )
        yield* wait(() => client.send(message("GET / HTTP/1.1", host)))
        yield* wait(() => client.untilText("one"))
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(yield* status, "Trial")
        const peer = yield* streaming.connected()
        yield* wait(() => peer.send("3\r\ntwo\r\n"))
        yield* wait(() => client.untilText("two"))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* status, "Up")
      }).pipe(Effect.scoped, Effect.provide(lab))
    }))
})
