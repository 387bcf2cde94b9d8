/**
 * The connections of `WireClient`: which one carries a request, for how long they are kept, and what is sent once more.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Http from "node:http"
import { queryObjects } from "node:v8"
import { ConnectionPool } from "../../../src/layers/wire/ConnectionPool.ts"
import * as WireClient from "../../../src/layers/wire/WireClient.ts"
import { fromClientError } from "../../../src/services/Failure.ts"
import { IsCheck } from "../../../src/services/Probe.ts"
import { answer, answering, backend } from "../../contract/support/Backends.ts"
import { engines } from "../../e2e/support/Engines.ts"
import { frozen } from "../../e2e/support/Frozen.ts"
import { Lab } from "../../e2e/support/Lab.ts"
import { message, type Peer } from "../../e2e/support/Peer.ts"

/** Declares a test with a client of its own. */
const test = (
  name: string,
  run: Effect.Effect<unknown, unknown, HttpClient.HttpClient | Scope.Scope>,
  options: WireClient.Options = {}
): void => {
  it.effect(name, () => run.pipe(Effect.scoped, Effect.provide(WireClient.layer(options), { local: true })))
}

const wait = <A>(evaluate: () => Promise<A>): Effect.Effect<A> => Effect.promise(evaluate)

/** Lets the sockets of this process do what they have to do. */
const turns = wait(async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
})

const text = (url: string) => Effect.flatMap(HttpClient.get(url), ({ text }) => text)

const reasonOf = <A>(effect: Effect.Effect<A, HttpClientError, HttpClient.HttpClient>) =>
  Effect.map(Effect.flip(effect), (error) => fromClientError(error).reason)

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const asked = (peer: Peer, count = 1) => wait(() => peer.until(() => peer.requestsRead >= count, `${count} requests`))

describe("an answer without a length", () => {
  const post = (url: string) => {
    const body = HttpBody.uint8Array(new Uint8Array(20_000_000))
    return Effect.flatMap(HttpClient.post(url, { body }), ({ text }) => text)
  }

  /** Bytes and the end of the connection come together, as one event. */
  const ending = (end: (peer: Peer) => void, send = text, filled = 0) =>
    Effect.gen(function*() {
      const { origin } = yield* backend(async (peer) => {
        await peer.requestHead()
        peer.socket.pause()
        if (filled > 0) await new Promise((resolve) => setTimeout(resolve, filled))
        void peer.send(message("HTTP/1.0 200 OK") + "hello")
        end(peer)
      })
      // Often enough for both to be seen at once.
      return yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.result(send(origin)))
    })

  for (
    const [when, send, filled] of [
      ["", text, 0],
      [", also while more of the request waits than is read", post, 20]
    ] as const
  ) {
    test(
      `is cut by a reset that comes right behind it${when} (RFC 9112 §8)`,
      Effect.gen(function*() {
        const results = yield* ending((peer) => peer.reset(), send, filled)
        assert.deepStrictEqual(results.filter(Result.isSuccess), [])
      })
    )

    test(
      `is whole with an end right behind it${when} (RFC 9112 §8)`,
      Effect.gen(function*() {
        const results = yield* ending((peer) => peer.end(), send, filled)
        assert.deepStrictEqual(results.map(Result.getOrUndefined), Array(20).fill("hello"))
      })
    )
  }
})

describe("an early answer", () => {
  test(
    "that has come whole is not lost to who does not read it at once, when its backend closes right after it",
    Effect.gen(function*() {
      const { connected, origin } = yield* backend(async (peer) => {
        await peer.requestHead()
        peer.socket.pause()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 150000") + "x".repeat(150_000))
      })
      const response = yield* HttpClient.post(origin, { body: HttpBody.uint8Array(new Uint8Array(20_000_000)) })
      const peer = yield* connected()
      yield* turns
      peer.destroy()
      yield* wait(() => peer.untilClosed())
      yield* turns
      yield* TestClock.adjust("2 seconds")
      yield* turns
      assert.lengthOf(yield* response.text, 150_000)
    })
  )
})

describe("a time", () => {
  test(
    "for the head of the answer counts from the end of the request",
    Effect.gen(function*() {
      const { connected, origin } = yield* backend((peer) => peer.request())
      const fiber = yield* fork(reasonOf(HttpClient.get(origin)))
      yield* asked(yield* connected())
      yield* TestClock.adjust("14900 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), "headers_timeout")
    })
  )

  test(
    "for the next part of the answer begins anew with each part",
    Effect.gen(function*() {
      const { connected, origin } = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 9") + "a")
      })
      const response = yield* HttpClient.get(origin)
      const fiber = yield* fork(Effect.flip(response.text))
      const peer = yield* connected()
      for (let i = 0; i < 2; i++) {
        yield* turns
        yield* TestClock.adjust("59 seconds")
        yield* wait(() => peer.send("b"))
        yield* turns
        assert.isUndefined(fiber.pollUnsafe())
      }
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "DecodeError")
      yield* wait(() => peer.untilOver())
    })
  )

  test(
    "for a connection is over when the backend does not accept one",
    Effect.gen(function*() {
      const lab = yield* Effect.acquireRelease(
        Effect.sync(() => new Lab(engines[0]!)),
        (lab) => wait(() => lab.close())
      )
      const { freeze, origin } = yield* wait(() => frozen(lab))
      yield* wait(freeze)
      const fiber = yield* fork(reasonOf(HttpClient.get(origin)))
      yield* TestClock.adjust("1900 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), "connect_timeout")
    })
  )

  for (
    const [what, fields, kept, over] of [
      ["4 seconds", [], "3900 millis", "1 second"],
      ["1 second less than the backend announces", ["Keep-Alive: timeout=3"], "1900 millis", "1 second"],
      ["4 seconds, however long the backend would wait", ["Keep-Alive: max=5, timeout=60"], "3900 millis", "1 second"]
    ] as const
  ) {
    test(
      `for the next request is ${what}`,
      Effect.gen(function*() {
        const { origin, peers } = yield* answering(answer("hello", ...fields))
        yield* text(origin)
        yield* TestClock.adjust(kept)
        yield* turns
        yield* text(origin)
        assert.strictEqual(peers.length, 1)
        yield* TestClock.adjust(kept)
        yield* TestClock.adjust(over)
        yield* wait(() => peers[0]!.untilOver())
        yield* text(origin)
        assert.strictEqual(peers.length, 2)
      })
    )
  }
})

describe("a pool", () => {
  /** A backend that answers when it is told to. */
  const patient = Effect.gen(function*() {
    const go: Array<() => void> = []
    const made = yield* backend(async (peer) => {
      while (true) {
        const { target } = await peer.request()
        await new Promise<void>((resolve) => go.push(resolve))
        await peer.send(answer(target))
      }
    })
    const next = wait(async () => {
      while (go.length === 0) await new Promise((resolve) => setImmediate(resolve))
      go.shift()!()
    })
    return { ...made, next }
  })

  test(
    "uses the connection again that was used last",
    Effect.gen(function*() {
      const { next, origin, peers } = yield* patient
      const fibers = [yield* fork(text(`${origin}/1`)), yield* fork(text(`${origin}/2`))]
      for (const fiber of fibers) {
        yield* next
        yield* Fiber.join(fiber)
      }
      const last = peers.findIndex((peer) => peer.requestsRead === 1)
      for (let i = 0; i < 3; i++) {
        const before = peers.map((peer) => peer.requestsRead)
        const fiber = yield* fork(text(origin))
        yield* next
        yield* Fiber.join(fiber)
        const used = peers.findIndex((peer, nth) => peer.requestsRead > before[nth]!)
        if (i > 0) assert.strictEqual(peers[used]!.requestsRead, i + 2)
      }
      assert.strictEqual(peers.length, 2)
      assert.isAtLeast(last, 0)
    })
  )

  test(
    "makes no more connections than it may, and whoever is beyond them waits, first come, first served",
    Effect.gen(function*() {
      const { next, origin, peers } = yield* patient
      const order: Array<string> = []
      const fibers = []
      for (let i = 0; i < 6; i++) {
        fibers.push(yield* fork(Effect.map(text(`${origin}/${i}`), (text) => order.push(text))))
      }
      for (let i = 0; i < 6; i++) yield* next
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.strictEqual(peers.length, 2)
      assert.deepStrictEqual(order.toSorted(), ["/0", "/1", "/2", "/3", "/4", "/5"])
      assert.deepStrictEqual(order.slice(2), ["/2", "/3", "/4", "/5"])
    }),
    { maxConnectionsPerOrigin: 2 }
  )

  test(
    "does not send what cannot be sent again on a connection that became free and is just being closed",
    Effect.gen(function*() {
      const { origin } = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(answer("hello"))
        peer.socket.end()
      })
      const post = Effect.flatMap(HttpClient.post(origin), (response) => response.text)
      const texts = yield* Effect.all(Array.from({ length: 4 }, () => post), { concurrency: "unbounded" })
      assert.deepStrictEqual(texts, ["hello", "hello", "hello", "hello"])
    }),
    { maxConnectionsPerOrigin: 1 }
  )

  test(
    "does not use a connection again when a part of its request has not left before the end of the answer",
    Effect.gen(function*() {
      const { origin, peers } = yield* backend(async (peer) => {
        await peer.requestHead()
        await peer.send(answer("early"))
      })
      const body = HttpBody.stream(Stream.concat(Stream.make(new Uint8Array(5)), Stream.never))
      assert.strictEqual(yield* Effect.flatMap(HttpClient.post(origin, { body }), ({ text }) => text), "early")
      assert.strictEqual(yield* text(origin), "early")
      assert.lengthOf(peers, 2)
      yield* wait(() => peers[0]!.untilOver())
    })
  )

  test(
    "lets a check have a connection of its own when all are in use, or a busy backend would seem to be down",
    Effect.gen(function*() {
      const { next, origin, peers } = yield* patient
      const request = yield* fork(text(`${origin}/request`))
      const check = yield* fork(Effect.provideService(text(`${origin}/check`), IsCheck, true))
      yield* next
      yield* next
      assert.deepStrictEqual([yield* Fiber.join(request), yield* Fiber.join(check)], ["/request", "/check"])
      assert.lengthOf(peers, 2)
    }),
    { maxConnectionsPerOrigin: 1 }
  )

  test(
    "closes that connection after the check, or each check would be one more for those who wait",
    Effect.gen(function*() {
      const held: Array<string> = []
      const { origin, peers } = yield* backend(async (peer) => {
        for (let { target } = await peer.request(); target === "/check"; { target } = await peer.request()) {
          await peer.send(answer(target))
        }
        held.push("request")
      })
      const check = Effect.provideService(text(`${origin}/check`), IsCheck, true)
      const requests = [yield* fork(text(origin)), yield* fork(text(origin)), yield* fork(text(origin))]
      for (let i = 0; i < 3; i++) yield* check
      // Before it is connected.
      yield* Fiber.interrupt(yield* fork(check))
      yield* check
      assert.lengthOf(peers, 6)
      assert.lengthOf(held, 1)
      for (const request of requests) yield* Fiber.interrupt(request)
    }),
    { maxConnectionsPerOrigin: 1 }
  )

  test(
    "gives a connection that became free to what cannot be sent again as well",
    Effect.gen(function*() {
      const { next, origin, peers } = yield* patient
      const first = yield* fork(text(`${origin}/first`))
      const second = yield* fork(Effect.flatMap(HttpClient.post(`${origin}/second`), ({ text }) => text))
      for (const [fiber, target] of [[first, "/first"], [second, "/second"]] as const) {
        yield* next
        assert.strictEqual(yield* Fiber.join(fiber), target)
      }
      assert.lengthOf(peers, 1)
    }),
    { maxConnectionsPerOrigin: 1 }
  )

  test(
    "gives the connection of a request that has left before it was sent to the next one",
    Effect.gen(function*() {
      const { next, origin, peers } = yield* patient
      const first = yield* fork(text(`${origin}/first`))
      const second = yield* fork(HttpClient.post(`${origin}/second`))
      const third = yield* fork(text(`${origin}/third`))
      yield* next
      yield* Fiber.join(first)
      yield* Fiber.interrupt(second)
      yield* next
      assert.strictEqual(yield* Fiber.join(third), "/third")
      assert.lengthOf(peers, 1)
    }),
    { maxConnectionsPerOrigin: 1 }
  )

  test(
    "does not let wait longer than for a connection, and not less for who comes later",
    Effect.gen(function*() {
      const { next, origin } = yield* patient
      const first = yield* fork(text(`${origin}/first`))
      const second = yield* fork(reasonOf(text(`${origin}/second`)))
      yield* TestClock.adjust("1 second")
      const third = yield* fork(text(`${origin}/third`))
      yield* TestClock.adjust("1300 millis")
      assert.strictEqual(yield* Fiber.join(second), "overloaded")
      assert.isUndefined(third.pollUnsafe())
      yield* next
      assert.strictEqual(yield* Fiber.join(first), "/first")
      yield* next
      assert.strictEqual(yield* Fiber.join(third), "/third")
    }),
    { maxConnectionsPerOrigin: 1 }
  )

  test(
    "does not cut short who came a little later than one whose time is over",
    Effect.gen(function*() {
      const { origin } = yield* patient
      yield* fork(text(`${origin}/first`))
      const second = yield* fork(reasonOf(text(`${origin}/second`)))
      yield* TestClock.adjust("199 millis")
      const third = yield* fork(reasonOf(text(`${origin}/third`)))
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(yield* Fiber.join(second), "overloaded")
      assert.isUndefined(third.pollUnsafe())
      yield* TestClock.adjust("201 millis")
      assert.strictEqual(yield* Fiber.join(third), "overloaded")
    }),
    { maxConnectionsPerOrigin: 1 }
  )

  test(
    "gives the turn of one who has left to the next one",
    Effect.gen(function*() {
      const { next, origin } = yield* patient
      const first = yield* fork(text(`${origin}/first`))
      const second = yield* fork(text(`${origin}/second`))
      const third = yield* fork(text(`${origin}/third`))
      yield* Fiber.interrupt(second)
      yield* next
      yield* Fiber.join(first)
      yield* next
      assert.strictEqual(yield* Fiber.join(third), "/third")
    }),
    { maxConnectionsPerOrigin: 1 }
  )

  test(
    "makes no more connections than it may, also when a request is sent once more while others wait",
    Effect.gen(function*() {
      let open = 0
      let most = 0
      const { origin, peers } = yield* backend(async (peer, nth) => {
        most = Math.max(most, ++open)
        peer.socket.on("close", () => open--)
        const first = await peer.request()
        await peer.send(answer(first.target))
        await peer.request()
        // The second request on the first connection is lost.
        if (nth === 0) return peer.reset()
        await peer.send(answer("again"))
        while (true) {
          await peer.request()
          await peer.send(answer("again"))
        }
      })
      yield* text(origin)
      const all = yield* Effect.forEach([1, 2, 3, 4], (i) => text(`${origin}/${i}`), { concurrency: "unbounded" })
      assert.strictEqual(all.length, 4)
      assert.strictEqual(most, 1)
      assert.strictEqual(peers.length, 2)
    }),
    { maxConnectionsPerOrigin: 1 }
  )
})

describe("a request that is lost with a connection that was kept", () => {
  /**
   * A backend that answers the first request of each of its first `many` connections and resets with the second one.
   */
  const losing = (many: number) =>
    Effect.gen(function*() {
      const requests: Array<string> = []
      const made = yield* backend(async (peer, nth) => {
        while (true) {
          const { method } = await peer.requestHead()
          requests.push(method)
          if (nth < many && (nth > 0 || requests.length > 1)) return peer.reset()
          await peer.send(answer("hello"))
        }
      })
      assert.strictEqual(yield* text(made.origin), "hello")
      yield* turns
      return { ...made, requests }
    })

  test(
    "is sent once more on a new one, if it may be",
    Effect.gen(function*() {
      const { origin, peers, requests } = yield* losing(1)
      assert.strictEqual(yield* text(origin), "hello")
      assert.deepStrictEqual([requests, peers.length], [["GET", "GET", "GET"], 2])
    })
  )

  test(
    "is sent once more only once",
    Effect.gen(function*() {
      const { origin, peers, requests } = yield* losing(9)
      assert.strictEqual(yield* reasonOf(text(origin)), "reset_before_headers")
      assert.deepStrictEqual([requests, peers.length], [["GET", "GET", "GET"], 2])
    })
  )

  for (
    const [what, send] of [
      ["has a body", (origin: string) => HttpClient.put(origin, { body: HttpBody.text("hello") })],
      ["must not be repeated", (origin: string) => HttpClient.post(origin)]
    ] as const
  ) {
    test(
      `is not sent once more when it ${what}`,
      Effect.gen(function*() {
        const { origin, peers } = yield* losing(1)
        assert.strictEqual(yield* reasonOf(send(origin)), "reset_before_headers")
        assert.strictEqual(peers.length, 1)
      })
    )
  }

  test(
    "is not sent once more when a part of an answer has come",
    Effect.gen(function*() {
      const { origin, peers } = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(answer("hello"))
        await peer.request()
        await peer.send("HTTP/1.1 2")
        peer.reset()
      })
      yield* text(origin)
      yield* turns
      assert.strictEqual(yield* reasonOf(text(origin)), "reset_before_headers")
      assert.strictEqual(peers.length, 1)
    })
  )

  test(
    "is not sent once more when its backend has had it for longer than the news of a close takes",
    Effect.gen(function*() {
      let end: () => void = () => {}
      const isOver = new Promise<void>((resolve) => end = resolve)
      const { origin, peers } = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(answer("hello"))
        await peer.request()
        await isOver
        peer.reset()
      })
      yield* text(origin)
      yield* turns
      const fiber = yield* fork(reasonOf(text(origin)))
      yield* asked(peers[0]!, 2)
      yield* TestClock.adjust("2 seconds")
      end()
      assert.strictEqual(yield* Fiber.join(fiber), "reset_before_headers")
      assert.lengthOf(peers, 1)
    })
  )

  test(
    "is not sent once more when it is the time for its answer that is over, however short that is",
    Effect.gen(function*() {
      const { origin, peers } = yield* backend(async (peer) => {
        await peer.request()
        await peer.send(answer("hello"))
        await peer.request()
      })
      yield* text(origin)
      yield* turns
      const fiber = yield* fork(reasonOf(text(origin)))
      yield* asked(peers[0]!, 2)
      yield* TestClock.adjust("800 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "headers_timeout")
      assert.lengthOf(peers, 1)
    }),
    { responseTimeout: "500 millis" }
  )

  test(
    "is not sent once more when its connection was new",
    Effect.gen(function*() {
      const { origin, peers } = yield* backend(async (peer) => {
        await peer.request()
        peer.reset()
      })
      assert.strictEqual(yield* reasonOf(text(origin)), "reset_before_headers")
      assert.strictEqual(peers.length, 1)
    })
  )
})

describe("an origin", () => {
  const serving = (where: Parameters<Http.Server["listen"]>[0]) =>
    Effect.acquireRelease(
      Effect.promise<Http.Server>(() =>
        new Promise((resolve, reject) => {
          const server = Http.createServer((request, response) => response.end(request.headers.host))
          server.once("error", reject).listen(where, () => resolve(server))
        })
      ),
      (server) => Effect.sync(() => server.close().closeAllConnections())
    )

  for (const host of ["127.0.0.1", "::1"]) {
    test(
      `of the name localhost is reached when only ${host} listens`,
      Effect.gen(function*() {
        const address = (yield* serving({ port: 0, host })).address()
        assert(typeof address === "object" && address !== null)
        assert.strictEqual(yield* text(`http://localhost:${address.port}`), `localhost:${address.port}`)
      })
    )
  }

  test(
    "may be a unix socket",
    Effect.gen(function*() {
      const path = `/tmp/evenkeel-wire-${process.pid}.sock`
      yield* serving({ path })
      const url = `http+unix://${encodeURIComponent(path)}`
      assert.strictEqual(yield* text(`${url}/path`), encodeURIComponent(path))
      assert.strictEqual(yield* text(`${url}/path`), encodeURIComponent(path))
    })
  )
})

describe("origins", () => {
  test(
    "that nothing goes to any more are forgotten",
    Effect.gen(function*() {
      const pools = () => Number(queryObjects(ConnectionPool))
      const before = pools()
      for (let i = 0; i < 100; i++) {
        const nobody = `http+unix://${encodeURIComponent(`/nowhere/${i}`)}`
        assert.strictEqual(yield* reasonOf(HttpClient.get(nobody)), "connect_failed")
      }
      assert.isBelow(pools() - before, 10)
    })
  )
})

describe("whoever waits", () => {
  for (
    const [what, script] of [
      ["for an answer", (peer: Peer) => peer.request()],
      ["for the rest of one", async (peer: Peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 9") + "a")
      }]
    ] as const
  ) {
    it.effect(`${what} is told when the client is closed`, () =>
      Effect.gen(function*() {
        const { connected, origin } = yield* backend(script)
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(Layer.fresh(WireClient.layer()), scope)
        const fiber = yield* fork(Effect.exit(Effect.provideContext(text(origin), context)))
        yield* asked(yield* connected())
        yield* turns
        yield* Scope.close(scope, Exit.void)
        yield* turns
        assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
      }))
  }

  it.effect("to see which connections are closed is told when the client is closed, and nothing is sent", () =>
    Effect.gen(function*() {
      const { origin, peers } = yield* answering(answer("a"))
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(WireClient.layer()), scope)
      yield* Effect.provideContext(text(origin), context)
      yield* turns
      const post = Effect.flatMap(HttpClient.post(origin), ({ text }) => text)
      const fiber = yield* fork(Effect.exit(Effect.provideContext(post, context)))
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
      yield* turns
      assert.strictEqual(peers.length, 1)
    }))

  for (
    const [why, end] of [
      ["", (_: Peer, fiber: Fiber.Fiber<unknown, unknown>) => Fiber.interrupt(fiber)],
      [", because the connection is lost,", (peer: Peer) => Effect.sync(() => peer.reset())]
    ] as const
  ) {
    test(
      `no more${why} does not leave the stream behind that was being sent`,
      Effect.gen(function*() {
        const { connected, origin } = yield* backend((peer) => peer.requestHead())
        let isOver = false
        const stream = Stream.concat(Stream.make(new Uint8Array(5)), Stream.never).pipe(
          Stream.ensuring(Effect.sync(() => isOver = true))
        )
        const fiber = yield* fork(HttpClient.post(origin, { body: HttpBody.stream(stream) }))
        const peer = yield* connected()
        yield* asked(peer)
        yield* end(peer, fiber)
        yield* Fiber.await(fiber)
        yield* turns
        assert.isTrue(isOver)
      })
    )
  }

  test(
    "no more, because the body is longer than its Content-Length, does not leave the stream behind",
    Effect.gen(function*() {
      const { origin } = yield* backend((peer) => peer.untilOver())
      let isOver = false
      const stream = Stream.concat(Stream.make(new Uint8Array(5)), Stream.never).pipe(
        Stream.ensuring(Effect.sync(() => isOver = true))
      )
      yield* Effect.flip(HttpClient.post(origin, { body: HttpBody.stream(stream, undefined, 4) }))
      yield* turns
      assert.isTrue(isOver)
    })
  )

  test(
    "for the rest of an answer is told when the body of the request breaks off",
    Effect.gen(function*() {
      const { origin } = yield* backend(async (peer) => {
        await peer.requestHead()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 9") + "a")
      })
      const broken = yield* Deferred.make<Uint8Array, string>()
      const stream = Stream.concat(Stream.make(new Uint8Array(5)), Stream.fromEffect(Deferred.await(broken)))
      const response = yield* HttpClient.post(origin, { body: HttpBody.stream(stream) })
      const fiber = yield* fork(Effect.flip(response.text))
      yield* Deferred.fail(broken, "a reason")
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "DecodeError")
    })
  )
})
