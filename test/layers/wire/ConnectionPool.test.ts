/** The connections of one origin: that nothing is kept of what is over, and nothing forgotten of what is not. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { queryObjects } from "node:v8"
import { ClientConnection } from "../../../src/layers/wire/ClientConnection.ts"
import { ClientExchange } from "../../../src/layers/wire/ClientExchange.ts"
import { targetOf } from "../../../src/layers/wire/Connect.ts"
import { ConnectionPool } from "../../../src/layers/wire/ConnectionPool.ts"
import { Deadlines } from "../../../src/layers/wire/Deadlines.ts"
import { defaultLimits } from "../../../src/layers/wire/Head.ts"
import { empty } from "../../../src/layers/wire/OutgoingBody.ts"
import { answering, backend, silent } from "../../contract/support/Backends.ts"
import { message, ok } from "../../e2e/support/Peer.ts"

const timeouts = { connect: 2_000, response: 15_000, idle: 60_000, keepAlive: 4_000, lifetime: 3_600_000 }

/** A pool for an origin, whose time passes when it is told to. */
const poolOf = (origin: string, maxConnections = 1_024) => {
  const deadlines = new Deadlines(0, () => 0)
  const pool = new ConnectionPool(targetOf(origin)!, { limits: defaultLimits, timeouts, deadlines, maxConnections })
  let now = 0
  const pass = (millis: number) => {
    for (const end = now + millis; now < end;) deadlines.look(now += 100)
  }
  /** Sends a request. `ended` is the status of the answer, or the reason why there is none. */
  const send = Effect.fnUntraced(function*(method = "GET") {
    const ended = yield* Deferred.make<number | string>()
    const end = (how: number | string) => Deferred.doneUnsafe(ended, Effect.succeed(how))
    const exchange = new ClientExchange(
      { origin, method, target: "/", fields: ["Host", "a"], body: undefined, upgrade: undefined },
      empty,
      { onInterim: () => {}, onHead: ({ status }) => end(status), onFailure: ({ reason }) => end(reason) }
    )
    pool.send(exchange)
    return { exchange, ended: Deferred.await(ended) }
  })
  return { deadlines, pass, pool, send }
}

/** Waits until all connections of a pool are closed. */
const untilEmpty = (deadlines: Deadlines) =>
  Effect.promise(async () => {
    while (deadlines.size > 0) await new Promise((resolve) => setImmediate(resolve))
  })

describe("a pool of connections", () => {
  for (const method of ["GET", "POST"]) {
    it.effect(`is empty when those that were kept are closed, after ${method}`, () =>
      Effect.gen(function*() {
        const { origin } = yield* silent
        const { deadlines, pass, pool, send } = poolOf(origin)
        for (const { ended } of [yield* send(method), yield* send(method)]) assert.strictEqual(yield* ended, 200)
        // On a connection that was kept.
        assert.strictEqual(yield* (yield* send(method)).ended, 200)
        assert.isFalse(pool.isEmpty)
        assert.strictEqual(deadlines.size, 2)
        pass(5_000)
        yield* untilEmpty(deadlines)
        assert.isTrue(pool.isEmpty)
      }))
  }

  for (const [wait, reason] of [[900, "connect_timeout"], [1_500, "overloaded"]] as const) {
    it.effect(`leaves a request that has waited for ${wait} ms the rest of its time to connect: else ${reason}`, () =>
      Effect.gen(function*() {
        // It never shakes hands.
        const { connected, origin } = yield* backend(() => new Promise(() => {}))
        const { pass, send } = poolOf(origin.replace("http:", "https:"), 1)
        const first = yield* send()
        yield* connected()
        pass(2_000 - wait)
        const second = yield* send()
        pass(wait + 200)
        assert.strictEqual(yield* first.ended, "connect_timeout")
        yield* connected(2)
        assert.isFalse(second.exchange.isOver)
        pass(2_000 - wait)
        assert.isTrue(second.exchange.isOver)
        assert.strictEqual(yield* second.ended, reason)
      }))
  }

  it.effect("leaves a request that has waited for a connection, and was sent on it, the time for its answer", () =>
    Effect.gen(function*() {
      const { connected, origin } = yield* backend(async () => {})
      const { pass, send } = poolOf(origin, 1)
      const [first, second] = [yield* send(), yield* send()]
      const closing = yield* connected()
      yield* Effect.promise(() => closing.request())
      yield* Effect.promise(() => closing.send(message("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 0")))
      assert.strictEqual(yield* first.ended, 200)
      const peer = yield* connected(2)
      yield* Effect.promise(() => peer.request())
      pass(10_000)
      yield* Effect.promise(() => peer.send(ok))
      assert.strictEqual(yield* second.ended, 200)
    }))

  it.effect("is not empty while a request waits for news of a connection, also if that is closed meanwhile", () =>
    Effect.gen(function*() {
      const { origin } = yield* silent
      const { deadlines, pass, pool, send } = poolOf(origin)
      const first = yield* send()
      yield* first.ended
      const second = yield* send("POST")
      yield* Effect.promise(() =>
        new Promise((resolve) => first.exchange.connection?.socket.destroy().once("close", resolve))
      )
      assert.strictEqual(deadlines.size, 0)
      assert.isFalse(pool.isEmpty)
      assert.strictEqual(yield* second.ended, 200)
      pass(5_000)
      yield* untilEmpty(deadlines)
      assert.isTrue(pool.isEmpty)
    }))

  it.effect("keeps nothing of connections that were closed while they were free", () =>
    Effect.gen(function*() {
      const { origin } = yield* silent
      const { deadlines, pass, pool, send } = poolOf(origin)
      const connections = () => Number(queryObjects(ClientConnection))
      const before = connections()
      const ends = yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.map(send(), ({ ended }) => ended))
      yield* Effect.all(ends)
      assert.isAtLeast(connections() - before, 40)
      pass(5_000)
      yield* untilEmpty(deadlines)
      assert.isBelow(connections() - before, 25)
      assert.isTrue(pool.isEmpty)
    }))

  it.effect("is empty when all who waited for a connection had their turn, or have waited in vain", () =>
    Effect.gen(function*() {
      const { connected, origin } = yield* backend(async () => {})
      const { deadlines, pass, pool, send } = poolOf(origin, 1)
      const first = yield* send()
      const peer = yield* connected()
      yield* Effect.promise(() => peer.until(() => peer.unread !== "", "a request"))
      const inVain = [yield* send(), yield* send()]
      pass(2_200)
      for (const { ended } of inVain) assert.strictEqual(yield* ended, "overloaded")
      // The connection.
      assert.strictEqual(deadlines.size, 1)
      for (const { ended } of [first, yield* send(), yield* send()]) {
        yield* Effect.promise(() => peer.request().then(() => peer.send(ok)))
        assert.strictEqual(yield* ended, 200)
      }
      pass(5_000)
      yield* untilEmpty(deadlines)
      assert.isTrue(pool.isEmpty)
    }))

  for (
    const [what, head, ends] of [
      ["says that it is the last one", message("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 0"), false],
      ["ends with it", message("HTTP/1.1 200 OK"), true]
    ] as const
  ) {
    it.effect(`closes a connection at once when its answer ${what}`, () =>
      Effect.gen(function*() {
        const { origin } = yield* backend(async (peer) => {
          await peer.request()
          await peer.send(head)
          if (ends) peer.end()
        })
        const { deadlines, pool, send } = poolOf(origin)
        assert.strictEqual(yield* (yield* send()).ended, 200)
        yield* untilEmpty(deadlines)
        assert.isTrue(pool.isEmpty)
      }))
  }

  it.effect("does not take what comes with one answer, behind it, for that of the next one who waits", () =>
    Effect.gen(function*() {
      const { origin, peers } = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(ok + message("HTTP/1.1 418 Nobody asked", "Content-Length: 0"))
      })
      const { send } = poolOf(origin, 1)
      for (const { ended } of [yield* send(), yield* send(), yield* send()]) assert.strictEqual(yield* ended, 200)
      assert.lengthOf(peers, 3)
    }))

  it.effect("tells all who wait when it is closed, and makes no connection for them", () =>
    Effect.gen(function*() {
      const { connected, origin, peers } = yield* answering("")
      const { deadlines, pass, pool, send } = poolOf(origin, 1)
      const all = [yield* send(), yield* send(), yield* send()]
      yield* connected()
      pool.close()
      for (const { ended } of all) assert.strictEqual(yield* ended, "connect_failed")
      pass(2_200)
      yield* untilEmpty(deadlines)
      assert.isTrue(pool.isEmpty)
      assert.lengthOf(peers, 1)
    }))
})
