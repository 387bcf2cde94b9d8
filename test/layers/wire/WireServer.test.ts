/** The clocks and limits of `WireServer`, on real sockets and a clock that goes when it is told to. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { once } from "node:events"
import * as Net from "node:net"
import { Readable } from "node:stream"
import { queryObjects } from "node:v8"
import * as WireServer from "../../../src/layers/wire/WireServer.ts"
import { connect, head, port, post } from "../../contract/support/Serving.ts"
import { Peer } from "../../e2e/support/Peer.ts"

const large = Buffer.alloc(30_000_000, "x")

/** What the server under test answers. */
const app = Effect.gen(function*() {
  const request = yield* HttpServerRequest
  switch (request.url) {
    case "/echo":
      return HttpServerResponse.text(yield* request.text)
    case "/later":
      yield* Effect.sleep("100 seconds")
      return HttpServerResponse.text(yield* request.text)
    case "/large":
      return HttpServerResponse.uint8Array(large)
    case "/hang":
      return yield* Effect.interruptible(Effect.never)
    case "/endless":
      return HttpServerResponse.stream(
        Stream.concat(Stream.make(Buffer.from("some")), Stream.never).pipe(Stream.ensuring(Effect.sleep("100 seconds")))
      )
    case "/broken":
      return HttpServerResponse.stream(Stream.concat(Stream.make(Buffer.from("some")), Stream.fail("a reason")))
    default:
      return HttpServerResponse.text("hello")
  }
})

/** Declares a test with a server that listens and has an application. */
const test = (
  name: string,
  run: Effect.Effect<unknown, unknown, HttpServer.HttpServer | Scope.Scope>,
  options: Partial<WireServer.Options> = {}
): void => {
  const layer = WireServer.layer({ host: "127.0.0.1", port: 0, ...options })
  it.effect(name, () =>
    Effect.andThen(HttpServer.serveEffect(Effect.orDie(app)), run).pipe(
      Effect.scoped,
      Effect.provide(layer, { local: true })
    ))
}

const wait = <A>(evaluate: () => Promise<A>): Effect.Effect<A> => Effect.promise(evaluate)

/** An exchange on a connection of its own. What was sent before it has then been read. */
const sync = Effect.gen(function*() {
  const peer = yield* connect
  assert.strictEqual((yield* wait(() => peer.exchange(head("GET /")))).status, 200)
})

const statusOf = (peer: Peer) => Effect.map(wait(() => peer.response()), ({ status }) => status)

/** Lets time pass, after what was sent has been read, and gives the server the time to do what it then does. */
const pass = (duration: "1 second" | "9 seconds" | "59 seconds" | "74 seconds" | "5 seconds") =>
  Effect.andThen(sync, Effect.andThen(TestClock.adjust(duration), sync))

const end = (peer: Peer) => wait(() => peer.untilOver())

/** More than any lateness. */
const soon = TestClock.adjust("1 second")

describe("a response that breaks off at once", () => {
  test(
    "takes nothing with it that was written before",
    Effect.gen(function*() {
      const peer = yield* connect
      yield* wait(() => peer.send(head("GET /") + head("GET /broken")))
      assert.strictEqual((yield* wait(() => peer.response())).body.toString(), "hello")
      yield* wait(() => peer.untilText("some"))
      assert.strictEqual(yield* end(peer), "reset")
      assert.notInclude(peer.unread, "0\r\n\r\n")
    })
  )
})

describe("the time between two pieces of a body", () => {
  test(
    "does not count while the client waits for us to ask for it",
    Effect.gen(function*() {
      const peer = yield* connect
      yield* wait(() =>
        peer.send("POST /later HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
      )
      yield* pass("59 seconds")
      yield* pass("59 seconds")
      yield* wait(() => peer.untilText("100 Continue\r\n\r\n"))
      yield* wait(() => peer.send("ok"))
      assert.strictEqual((yield* wait(() => peer.response())).body.toString(), "ok")
    })
  )

  test(
    "counts from then on",
    Effect.gen(function*() {
      const peer = yield* connect
      yield* wait(() =>
        peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
      )
      yield* wait(() => peer.untilText("100 Continue\r\n\r\n"))
      yield* pass("59 seconds")
      yield* soon
      yield* soon
      assert.strictEqual(yield* end(peer), "ended")
    })
  )
})

describe("the time for a head", () => {
  test(
    "counts from its first byte, and more bytes do not prolong it",
    Effect.gen(function*() {
      const peer = yield* connect
      yield* pass("59 seconds")
      for (const byte of "GET / HTT") {
        yield* wait(() => peer.send(byte))
        yield* pass("1 second")
      }
      assert.isFalse(peer.over)
      yield* wait(() => peer.send("P"))
      yield* pass("1 second")
      yield* soon
      assert.strictEqual(yield* statusOf(peer), 408)
      yield* end(peer)
    })
  )

  test(
    "begins anew for each head",
    Effect.gen(function*() {
      const peer = yield* connect
      for (let i = 0; i < 3; i++) {
        yield* wait(() => peer.send("GET / HTTP/1.1\r\n"))
        yield* pass("9 seconds")
        yield* wait(() => peer.send("Host: a\r\n\r\n"))
        assert.strictEqual(yield* statusOf(peer), 200)
        yield* pass("9 seconds")
      }
    })
  )

  test(
    "counts from its turn for a head that came before its turn",
    Effect.gen(function*() {
      const peer = yield* connect
      yield* wait(() => peer.send(post("").replace("Content-Length: 0", "Content-Length: 2") + "a"))
      yield* pass("59 seconds")
      yield* wait(() => peer.send("bGET / HT"))
      assert.strictEqual(yield* statusOf(peer), 200)
      yield* pass("9 seconds")
      assert.isFalse(peer.over)
      yield* soon
      yield* soon
      assert.strictEqual(yield* statusOf(peer), 408)
    })
  )
})

describe("the time between two requests", () => {
  for (
    const [what, first] of [["no request at all", ""], ["empty lines only", "\r\n\r\n"], ["a request", head("GET /")]]
  ) {
    test(
      `closes a connection that has sent ${what}`,
      Effect.gen(function*() {
        const peer = yield* connect
        yield* wait(() => peer.send(first!))
        if (first!.startsWith("GET")) assert.strictEqual(yield* statusOf(peer), 200)
        yield* pass("74 seconds")
        assert.isFalse(peer.over)
        yield* soon
        yield* soon
        yield* end(peer)
        assert.strictEqual(peer.unread, "")
      })
    )
  }
})

describe("the time between two requests or two reads", () => {
  test(
    "does not count while a request is worked on that has come whole",
    Effect.gen(function*() {
      const peer = yield* connect
      yield* wait(() => peer.send(head("POST /later", "Content-Length: 2") + "ok"))
      yield* pass("59 seconds")
      yield* pass("59 seconds")
      assert.strictEqual((yield* wait(() => peer.response())).body.toString(), "ok")
    })
  )

  test(
    "is that between two requests when the rest of a body has come that nobody wanted",
    Effect.gen(function*() {
      const peer = yield* connect
      assert.strictEqual((yield* wait(() => peer.exchange(head("POST /", "Content-Length: 4") + "a"))).status, 200)
      yield* wait(() => peer.send("bcd"))
      yield* pass("74 seconds")
      assert.isFalse(peer.over)
      yield* soon
      yield* soon
      yield* end(peer)
    })
  )
})

describe("the time between two reads of a body", () => {
  test(
    "begins anew with each of them, and its end is a 408",
    Effect.gen(function*() {
      const peer = yield* connect
      yield* wait(() => peer.send(head("POST /echo", "Content-Length: 4") + "a"))
      yield* pass("59 seconds")
      yield* wait(() => peer.send("b"))
      yield* pass("59 seconds")
      assert.isFalse(peer.over)
      yield* soon
      yield* soon
      yield* end(peer)
    })
  )

  test(
    "holds for a body that nobody reads, too",
    Effect.gen(function*() {
      const peer = yield* connect
      assert.strictEqual((yield* wait(() => peer.exchange(head("POST /", "Content-Length: 4") + "a"))).status, 200)
      yield* pass("59 seconds")
      assert.isFalse(peer.over)
      yield* soon
      yield* soon
      yield* end(peer)
    })
  )
})

describe("the last answer of a connection", () => {
  for (const [what, fields] of [["asked to close", ["Connection: close"]], ["that stays", []]] as const) {
    test(
      `is not cut off by a clock for other things while its client reads it slowly, on a connection ${what}`,
      Effect.gen(function*() {
        const peer = yield* connect
        peer.socket.pause()
        yield* wait(() => peer.send(head("GET /large", ...fields)))
        yield* pass("5 seconds")
        peer.socket.resume()
        const { body, ending } = yield* wait(() => peer.response())
        assert.deepStrictEqual([body.length, ending], [large.length, "complete"])
      })
    )
  }

  test(
    "leaves its client 2 seconds to read it and to close",
    Effect.gen(function*() {
      const peer = yield* connect
      const answer = yield* wait(() => peer.exchange(head("GET /", "Connection: close")))
      assert.strictEqual(answer.body.toString(), "hello")
      yield* end(peer)
      yield* pass("1 second")
      yield* wait(() => peer.send("more"))
      yield* pass("1 second")
      assert.isFalse(peer.closed)
      yield* soon
      // What is sent from here on is answered with a RST.
      for (let i = 0; i < 2; i++) {
        yield* wait(() => peer.send("more"))
        yield* sync
      }
      yield* wait(() => peer.until(() => peer.wasReset, "a reset"))
    })
  )

  test(
    "is cut off when its client reads nothing for the time between two reads",
    Effect.gen(function*() {
      const peer = yield* connect
      peer.socket.pause()
      yield* wait(() => peer.send(head("GET /large", "Connection: close")))
      yield* pass("59 seconds")
      yield* soon
      yield* soon
      yield* sync
      peer.socket.resume()
      assert.notStrictEqual((yield* wait(() => peer.response())).ending, "complete")
    })
  )
})

describe("a limit on connections", () => {
  const connectFrom = (localAddress: string) =>
    Effect.flatMap(port, (port) =>
      Effect.acquireRelease(
        Effect.sync(() => new Peer(Net.connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true }))),
        (peer) => Effect.sync(() => peer.destroy())
      ))

  const answered = (peer: Peer) => Effect.map(wait(() => peer.exchange(head("GET /"))), ({ status }) => status === 200)

  test(
    "closes what is beyond it at once, and has room again when one has gone",
    Effect.gen(function*() {
      const [first, second] = [yield* connect, yield* connect]
      assert.isTrue((yield* answered(first)) && (yield* answered(second)))
      const third = yield* connectFrom("127.0.0.1")
      yield* end(third)
      assert.isTrue(yield* answered(second))
      first.end()
      yield* wait(() => first.untilClosed())
      assert.isTrue(yield* answered(yield* connect))
    }),
    { maxConnections: 2 }
  )

  test(
    "of one client says nothing about another",
    Effect.gen(function*() {
      const [first, second] = [yield* connectFrom("127.0.0.2"), yield* connectFrom("127.0.0.2")]
      assert.isTrue((yield* answered(first)) && (yield* answered(second)))
      yield* end(yield* connectFrom("127.0.0.2"))
      const other = yield* connectFrom("127.0.0.3")
      assert.isTrue(yield* answered(other))
      first.end()
      yield* wait(() => first.untilClosed())
      assert.isTrue(yield* answered(yield* connectFrom("127.0.0.2")))
      assert.isTrue(yield* answered(second))
      yield* end(yield* connectFrom("127.0.0.2"))
    }),
    { maxConnectionsPerClient: 2 }
  )

  test(
    "of one client keeps nothing of those who have left",
    Effect.gen(function*() {
      const known = () => queryObjects(Map, { format: "summary" }).filter((map) => map.includes("127.0.0.77")).length
      const peer = yield* connectFrom("127.0.0.77")
      assert.isTrue(yield* answered(peer))
      assert.strictEqual(known(), 1)
      peer.end()
      yield* wait(() => peer.untilClosed())
      yield* sync
      assert.strictEqual(known(), 0)
    }),
    { maxConnectionsPerClient: 2 }
  )
})

describe("requests", () => {
  test(
    "that are refused harm nobody else, also where the one who is told of them has a bug",
    Effect.gen(function*() {
      const peer = yield* connect
      assert.strictEqual((yield* wait(() => peer.exchange(head("GET /", "Bad Header: 1")))).status, 400)
      yield* sync
    }),
    {
      onRefused: () => {
        throw new Error("a bug")
      }
    }
  )

  it.effect("that go on although their client has left hold no stream open of what they answer", () =>
    Effect.gen(function*() {
      const body = Readable.from(["hello"])
      const destroyed = once(body, "close")
      const begun = yield* Deferred.make<void>()
      const proceed = yield* Deferred.make<void>()
      yield* HttpServer.serveEffect(
        Deferred.succeed(begun, undefined).pipe(
          Effect.andThen(Deferred.await(proceed)),
          Effect.as(HttpServerResponse.raw(body)),
          Effect.uninterruptible
        )
      )
      const leaving = yield* connect
      yield* wait(() => leaving.send(head("GET /")))
      yield* Deferred.await(begun)
      leaving.end()
      yield* wait(() => leaving.untilClosed())
      yield* Deferred.succeed(proceed, undefined)
      yield* wait(() => destroyed)
    }).pipe(Effect.scoped, Effect.provide(WireServer.layer({ host: "127.0.0.1", port: 0 }), { local: true })))

  it.effect("that came before there was an application are answered, but for those of clients that have left", () =>
    Effect.gen(function*() {
      /** Refused without an application, when what was sent before it has been read. */
      const refused = Effect.scoped(Effect.flatMap(connect, (peer) => wait(() => peer.exchange("nonsense\r\n\r\n"))))
      const [gone, patient] = [yield* connect, yield* connect]
      yield* wait(() => gone.send(head("GET /gone")))
      yield* wait(() => patient.send(head("GET /patient")))
      yield* refused
      gone.end()
      yield* wait(() => gone.untilClosed())
      const asked: Array<string> = []
      yield* HttpServer.serveEffect(Effect.map(HttpServerRequest, ({ url }) => {
        asked.push(url)
        return HttpServerResponse.text(url)
      }))
      const status = yield* statusOf(patient)
      patient.destroy()
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(asked, ["/patient"])
    }).pipe(Effect.scoped, Effect.provide(WireServer.layer({ host: "127.0.0.1", port: 0 }), { local: true })))

  test(
    "are forgotten when they are over",
    Effect.gen(function*() {
      const { constructor: AnyFiber } = yield* Effect.fiber
      const fibers = () => Number(queryObjects(AnyFiber))
      yield* sync
      const before = fibers()
      for (let i = 0; i < 50; i++) {
        const peer = yield* connect
        const asked = wait(() => peer.exchange(head("GET /later")))
        const answer = yield* Effect.forkChild(asked, { startImmediately: true })
        yield* sync
        yield* TestClock.adjust("100 seconds")
        assert.strictEqual((yield* Fiber.join(answer)).status, 200)
        peer.destroy()
      }
      assert.isBelow(fibers() - before, 25)
    })
  )
})

describe("a server that is closed", () => {
  /**
   * Closes a server while a client is in this state, lets the time for it pass, and gives what the client then gets.
   */
  const closing = (begin: (peer: Peer) => Promise<unknown>, within: Duration.Input = "4 seconds") =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        WireServer.layer({ host: "127.0.0.1", port: 0, shutdownTimeout: "3 seconds" }),
        scope
      )
      const served = Effect.andThen(HttpServer.serveEffect(Effect.orDie(app)), port)
      const number = yield* Effect.provideContext(Scope.provide(served, scope), context)
      const peer = yield* wait(() => Peer.connect(number))
      yield* Effect.addFinalizer(() => Effect.sync(() => peer.destroy()))
      yield* wait(() => begin(peer))
      yield* Effect.provideContext(sync, context)
      const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust(within)
      yield* Effect.exit(Effect.promise(() => new Promise((resolve) => setImmediate(resolve))))
      assert.isDefined(closed.pollUnsafe())
      return peer
    })

  /** The lines of the log. */
  const logged = () => {
    const lines: Array<unknown> = []
    return { lines, layer: Logger.layer([Logger.make(({ message }) => lines.push(message))]) }
  }

  it.effect("tells a client whose request takes too long, and the log", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const peer = yield* closing((peer) => peer.send(head("GET /hang")))
      assert.strictEqual(yield* statusOf(peer), 503)
      assert.deepStrictEqual(lines, [["The time for requests in flight is over; still going on: 1"]])
      yield* end(peer)
    }).pipe(Effect.provide(layer))
  })

  it.effect("says what it has waited for where that is no request, but a client that has sent a part of one", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      yield* end(
        yield* closing(async (peer) => {
          await peer.send(`${head("GET /")}GET / HTTP/1.1\r\n`)
          await peer.response()
        })
      )
      assert.deepStrictEqual(lines, [
        ["The time for requests in flight is over; none is left, but clients are still connected: 1"]
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("does not wait for a client that does not read, and keeps no socket of it", () =>
    Effect.gen(function*() {
      const peer = yield* closing(async (peer) => {
        peer.socket.pause()
        await peer.send(head("GET /large"))
      })
      peer.socket.resume()
      assert.notStrictEqual((yield* wait(() => peer.response())).ending, "complete")
    }))

  it.effect("does not wait for ever for a request that cannot be interrupted", () =>
    Effect.gen(function*() {
      const peer = yield* closing((peer) => peer.send(head("GET /later")), "6 seconds")
      yield* end(peer)
    }))

  it.effect("cuts an answer that has begun at once, whatever its end takes (RFC 9112 §8)", () =>
    Effect.gen(function*() {
      const peer = yield* closing(async (peer) => {
        await peer.send(head("GET /endless").replace("HTTP/1.1", "HTTP/1.0"))
        await peer.untilText("some")
      }, "6 seconds")
      assert.strictEqual(yield* wait(() => peer.untilOver()), "reset")
    }))
})
