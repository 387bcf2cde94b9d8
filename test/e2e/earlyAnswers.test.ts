/** An answer that comes while a part of its request, and not all of it, waits for the end of the turn. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import { Pool } from "../../src/services/Pool.ts"
import { backend } from "../contract/support/Backends.ts"
import { engines } from "./support/Engines.ts"
import { host, message, Peer } from "./support/Peer.ts"

const wait = <A>(evaluate: () => Promise<A>): Effect.Effect<A> => Effect.promise(evaluate)

describe.each(engines)("an early answer on the $name engine", (engine) => {
  /** A client of a balancer over one backend, which answers when it is told to. */
  const connect = Effect.gen(function*() {
    const slow = yield* backend(() => new Promise(() => {}))
    const settings = Configuration.make({ listen: "127.0.0.1:0", to: [slow.origin], health: { kind: "off" } })
    const layer = LoadBalancer.layer(settings).pipe(
      Layer.provide(AccessLog.layerNone),
      Layer.provideMerge(engine.layer(settings))
    )
    const context = yield* Layer.build(layer)
    const { address } = Context.get(context, HttpServer.HttpServer)
    assert(address._tag !== "UnixPathAddress")
    const client = yield* Effect.acquireRelease(
      wait(() => Peer.connect(address.port)),
      (client) => Effect.sync(() => client.destroy())
    )
    return { client, pool: Context.get(context, Pool), slow }
  })

  for (
    const [name, answer] of [
      ["a 401", message("HTTP/1.1 401 Unauthorized", "Content-Length: 0")],
      ["a 401 that closes", message("HTTP/1.1 401 Unauthorized", "Content-Length: 0", "Connection: close")],
      ["a 100 and then a 200", message("HTTP/1.1 100 Continue")]
    ] as const
  ) {
    // undici wants no 100 that it has not asked for.
    if (engine.name === "node" && name.startsWith("a 100")) continue
    for (const method of ["POST", "PUT"]) {
      it.live(`is ${name} for a ${method} of which a part waits to leave`, () =>
        Effect.gen(function*() {
          const { client, pool, slow } = yield* connect
          yield* wait(() => client.send(`${message(`${method} / HTTP/1.1`, host, "Content-Length: 6")}ab`))
          const peer = yield* slow.connected()
          yield* wait(() => peer.untilText("\r\n\r\nab"))
          yield* Effect.sleep(20)
          // Both are there before either is read.
          client.socket.write("cd")
          peer.socket.write(answer)
          if (name.startsWith("a 100")) {
            yield* Effect.sleep(20)
            client.socket.write("ef")
            yield* Effect.sleep(20)
            peer.socket.write(message("HTTP/1.1 200 OK", "Content-Length: 0"))
          }
          const { line } = yield* wait(() => client.response())
          const { failed, inFlight } = Ref.getUnsafe(pool.state).members[0]!.endpoint.load
          assert.deepStrictEqual({ line: line.slice(9, 12), failed, inFlight }, {
            line: name.startsWith("a 100") ? "200" : "401",
            failed: 0,
            inFlight: 0
          })
        }), 8_000)
    }
  }

  it.live(
    "says whether the connection goes on, which it does when little of the request is left",
    () =>
      Effect.gen(function*() {
        for (const [length, connection] of [[1_000, undefined], [1_000_000, "close"]] as const) {
          const { client, slow } = yield* connect
          yield* wait(() => client.send(`${message("POST / HTTP/1.1", host, `Content-Length: ${length}`)}ab`))
          const peer = yield* slow.connected()
          yield* wait(() => peer.untilText("\r\n\r\nab"))
          peer.socket.write(message("HTTP/1.1 413 Content Too Large", "Content-Length: 0"))
          const { fields } = yield* wait(() => client.response())
          const said = fields.find(([name, value]) => name.toLowerCase() === "connection" && value !== "keep-alive")
          assert.strictEqual(said?.[1], connection)
        }
      }),
    8_000
  )
})
