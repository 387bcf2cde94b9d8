/** What becomes of an answer that was looked at again for a retry which did not happen. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as AccessLog from "../../../src/layers/AccessLog.ts"
import * as Configuration from "../../../src/layers/Configuration.ts"
import * as LoadBalancer from "../../../src/layers/LoadBalancer.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { answering } from "../../contract/support/Backends.ts"
import { engines } from "../../e2e/support/Engines.ts"
import { message, Peer } from "../../e2e/support/Peer.ts"

const wait = <A>(evaluate: () => Promise<A>): Effect.Effect<A> => Effect.promise(evaluate)

describe("a 429 that the client gets", () => {
  for (
    const [name, fields, more] of [
      ["without a Retry-After", [], {}],
      ["with one beyond the deadline", ["Retry-After: 60"], { timeout: { exchange: "2s" } }],
      ["with a short one, and no budget", ["Retry-After: 0"], { retry: { budget: "0%", minPerSecond: 0 } }]
    ] as const
  ) {
    it.live(`${name} is no failure of its backend`, () =>
      Effect.gen(function*() {
        const busy = yield* answering(message("HTTP/1.1 429 Too Many", "Content-Length: 0", ...fields))
        const settings = Configuration.make({
          listen: "127.0.0.1:0",
          to: [busy.origin],
          health: { kind: "off" },
          ...more,
          retry: { ...("retry" in more ? more.retry : {}), statuses: [429] }
        })
        const layer = LoadBalancer.layer(settings).pipe(
          Layer.provide(AccessLog.layerNone),
          Layer.provideMerge(engines[0]!.layer(settings))
        )
        yield* Effect.gen(function*() {
          const { address } = yield* HttpServer.HttpServer
          const pool = yield* Pool
          assert(address._tag !== "UnixPathAddress")
          const client = yield* Effect.acquireRelease(
            wait(() => Peer.connect(address.port)),
            (client) => Effect.sync(() => client.destroy())
          )
          for (let i = 0; i < 3; i++) {
            yield* wait(() => client.send(message("GET / HTTP/1.1", "Host: example.com")))
            assert.include((yield* wait(() => client.response())).line, "429")
          }
          yield* Effect.sleep(20)
          const { consecutiveFailures, failed, inFlight } = Ref.getUnsafe(pool.state).members[0]!.endpoint.load
          assert.deepStrictEqual({ consecutiveFailures, failed, inFlight }, {
            consecutiveFailures: 0,
            failed: 0,
            inFlight: 0
          })
        }).pipe(Effect.scoped, Effect.provide(layer))
      }))
  }
})
