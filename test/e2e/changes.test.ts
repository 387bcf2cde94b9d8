/** What the wire engine sends of a request that a program has changed, byte for byte. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as Static from "../../src/layers/discovery/Static.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import { strategyOf } from "../../src/layers/strategies/index.ts"
import * as Wire from "../../src/layers/Wire.ts"
import { Forwarder } from "../../src/services/Forwarder.ts"
import { silent } from "../contract/support/Backends.ts"
import { ask, head } from "../contract/support/Serving.ts"
import { type Asked, message, value } from "./support/Peer.ts"

type Changes = Parameters<HttpServerRequest["modify"]>[0]

/** Sends a request through a program that changes it, and gives the answer and what has come of it. */
const send = (change: (request: HttpServerRequest) => Changes, request: string) =>
  Effect.gen(function*() {
    const { origin, requests } = yield* silent
    const settings = Configuration.make({ listen: "127.0.0.1:0", to: [origin], health: { kind: "off" } })
    const balancer = LoadBalancer.layerForwarder(settings).pipe(
      Layer.provide([strategyOf(settings), Static.layer(settings.to), AccessLog.layerNone]),
      Layer.provideMerge(Wire.layer(settings))
    )
    const { status } = yield* Effect.flatMap(Forwarder, ({ handle }) =>
      ask(Effect.updateService(handle, HttpServerRequest, (it) => it.modify(change(it))), request)).pipe(
        Effect.scoped,
        Effect.provide(balancer)
      )
    return { status, requests }
  })

/** What has come of a request that was sent once. */
const sent = (change: (request: HttpServerRequest) => Changes, request: string) =>
  Effect.map(send(change, request), ({ requests }): Asked => {
    assert.lengthOf(requests, 1)
    return requests[0]!
  })

const withUser = ({ headers }: HttpServerRequest): Changes => ({ headers: Headers.set(headers, "x-user", "ann") })

describe("a request that a program has changed", () => {
  it.live("has the length of its body, in whatever case the program says another one", () =>
    Effect.gen(function*() {
      const other = { headers: Headers.fromRecordUnsafe({ host: "a.test", "Content-Length": "5" }) }
      assert.isUndefined(value(yield* sent(() => other, head("GET /")), "content-length"))
      const put = yield* sent(() => other, `${head("PUT /", "Content-Length: 2")}ab`)
      assert.deepStrictEqual([value(put, "content-length"), put.body.toString()], ["2", "ab"])
    }))

  it.live("has the host that the program says, also where its target has named another one", () =>
    Effect.gen(function*() {
      const absolute = message("GET http://b.test/x?y HTTP/1.1", "Host: c.test")
      const named = yield* sent(({ headers }) => ({ headers: Headers.set(headers, "host", "a.test") }), absolute)
      assert.deepStrictEqual([named.line, value(named, "host")], ["GET /x?y HTTP/1.1", "a.test"])
      const kept = yield* sent(withUser, absolute)
      assert.deepStrictEqual([kept.line, value(kept, "host")], ["GET /x?y HTTP/1.1", "b.test"])
    }))

  it.live("has what the program has set, whatever its client says of that in Connection", () =>
    Effect.gen(function*() {
      const asked = yield* sent(withUser, head("GET /", "Connection: x-user, x-forwarded-for", "X-User: ann"))
      assert.deepStrictEqual([value(asked, "x-user"), value(asked, "x-forwarded-for")], ["ann", "127.0.0.1"])
      assert.isUndefined(value(asked, "connection"))
    }))

  it.live("asks for no upgrade and no trailers that the program has taken out, and for what it has left", () =>
    Effect.gen(function*() {
      const request = head("GET /", "Connection: upgrade, te", "Upgrade: chat", "TE: trailers")
      const without = yield* sent(
        ({ headers }) => ({ headers: Headers.removeMany(headers, ["upgrade", "te"]) }),
        request
      )
      assert.deepStrictEqual(["connection", "upgrade", "te"].map((name) => value(without, name)), [
        undefined,
        undefined,
        undefined
      ])
      const left = yield* sent(withUser, request)
      assert.deepStrictEqual(["upgrade", "te"].map((name) => value(left, name)), ["chat", "trailers"])
    }))

  it.live("is never sent with an address out of which the backend would read more", () =>
    Effect.gen(function*() {
      const remoteAddress = Option.some("192.0.2.1\r\nx-evil: 1")
      const { requests, status } = yield* send(() => ({ remoteAddress }), head("GET /"))
      assert.deepStrictEqual([status, requests.length], [400, 0])
    }))
})
