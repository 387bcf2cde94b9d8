/** The server on node:http: how it ends connections, and that it keeps nothing of what is over. */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
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
import * as DiagnosticsChannel from "node:diagnostics_channel"
import { once } from "node:events"
import { IncomingMessage } from "node:http"
import * as Net from "node:net"
import { buffer } from "node:stream/consumers"
import * as NodeEngine from "../../../src/layers/NodeEngine.ts"
import { defaultLimits } from "../../../src/layers/nodeengine/Limits.ts"
import { RequestBody } from "../../../src/layers/nodeengine/RequestBody.ts"
import * as Server from "../../../src/layers/nodeengine/Server.ts"
import * as PlatformRequest from "../../../src/services/PlatformRequest.ts"
import { head, port } from "../../contract/support/Serving.ts"
import { Peer } from "../../e2e/support/Peer.ts"
import { left } from "../../Garbage.ts"

const listen = { host: "127.0.0.1", port: 0, shutdownTimeout: Duration.seconds(1) }

/** What Node tells of on a channel while the scope is open. */
const told = (channel: string, key: string) => {
  const objects: Array<WeakRef<object>> = []
  const listen = (message: unknown): void => {
    const object: unknown = Object(message)[key]
    if (typeof object === "object" && object !== null) objects.push(new WeakRef(object))
  }
  return Effect.acquireRelease(
    Effect.sync(() => {
      DiagnosticsChannel.subscribe(channel, listen)
      return objects
    }),
    () => Effect.sync(() => DiagnosticsChannel.unsubscribe(channel, listen))
  )
}

const connections = 50

for (
  const [what, requests] of [
    ["connections on which nothing was said", []],
    ["connections with requests", [head("GET /"), head("GET /")]]
  ] as const
) {
  it.effect(`nothing is kept of ${what}, and of their responses`, () =>
    Effect.gen(function*() {
      yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.text("hello")))
      const number = yield* port
      const connection = Effect.promise(async () => {
        const peer = await Peer.connect(number)
        for (const request of requests) assert.strictEqual((await peer.exchange(request)).status, 200)
        peer.end()
        await peer.untilClosed()
      })
      const sockets = yield* told("net.server.socket", "socket")
      const responses = yield* told("http.server.request.start", "response")
      for (let i = 0; i < connections; i++) yield* connection
      for (const [objects, count] of [[sockets, connections], [responses, connections * requests.length]] as const) {
        assert.strictEqual(objects.length, count)
        // The last ones may be on the stack of somebody.
        assert.isBelow(yield* Effect.promise(() => left(objects)), 10)
      }
    }).pipe(
      Effect.scoped,
      Effect.provide(NodeEngine.layerServer(listen))
    ))
}

/** Done when Node has given a whole response to the system. */
const finished = (): Promise<void> =>
  new Promise((resolve) => {
    const onFinish = () => {
      DiagnosticsChannel.unsubscribe("http.server.response.finish", onFinish)
      resolve()
    }
    DiagnosticsChannel.subscribe("http.server.response.finish", onFinish)
  })

/** Done when nobody listens there any more. */
const refused = async (number: number): Promise<void> => {
  while (await Peer.connect(number).then((peer) => (peer.destroy(), true), () => false)) continue
}

/** What a client gets that sends more, again and again, behind a request that is answered, and reads only then. */
const lastAnswer = async (number: number, request: string, more: string): Promise<string> => {
  const socket = Net.connect({ port: number, host: "127.0.0.1" })
  // Without a listener a reset would end the process; whoever reads is told of it as well.
  socket.pause().on("error", () => {})
  const isFinished = finished()
  socket.write(request)
  await isFinished
  // The first may close the connection, the second brings the reset, and at the third the client gives up.
  for (const _ of [1, 2, 3]) {
    socket.write(more)
    // The system of the other end has to see it.
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return (await buffer(socket)).toString()
}

for (
  const [request, more] of [
    [head("GET /", "Connection: close"), head("GET /")],
    ["GET / HTTP/1.0\r\n\r\n", "no request"]
  ] as const
) {
  it.effect(`the last answer arrives whole, also where its client sends ${JSON.stringify(more)} before it reads`, () =>
    Effect.gen(function*() {
      let requests = 0
      const text = "a".repeat(100_000)
      yield* HttpServer.serveEffect(Effect.sync(() => {
        requests++
        return HttpServerResponse.text(text)
      }))
      const number = yield* port
      const answer = yield* Effect.promise(() => lastAnswer(number, request, more))
      assert.strictEqual(answer.slice(answer.indexOf("\r\n\r\n") + 4), text)
      assert.strictEqual(requests, 1)
    }).pipe(Effect.scoped, Effect.provide(NodeEngine.layerServer(listen))))
}

it.effect("the last answer of a server that stops arrives whole, also where its client sends more before it reads", () =>
  Effect.gen(function*() {
    const text = "a".repeat(100_000)
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(NodeEngine.layerServer(listen), scope)
    const begun = yield* Deferred.make<void>()
    const stopped = yield* Deferred.make<void>()
    const app = Effect.as(
      Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(stopped)),
      HttpServerResponse.text(text)
    )
    const served = Effect.andThen(HttpServer.serveEffect(app), port)
    const number = yield* Effect.provideContext(Scope.provide(served, scope), context)
    const request = head("GET /")
    const asking = yield* Effect.forkChild(Effect.promise(() => lastAnswer(number, request, request)))
    yield* Deferred.await(begun)
    const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    yield* Effect.promise(() => refused(number))
    // What is idle is closed from then on.
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 300)))
    yield* Deferred.succeed(stopped, undefined)
    const answer = yield* Fiber.join(asking)
    assert.strictEqual(answer.slice(answer.indexOf("\r\n\r\n") + 4).length, text.length)
    yield* Fiber.join(stopping)
  }))

const closing = HttpServerResponse.setHeader(HttpServerResponse.text("last"), "connection", "close")

it.effect("many requests behind a last answer are no reason for a warning of Node", () =>
  Effect.gen(function*() {
    yield* HttpServer.serveEffect(Effect.succeed(closing))
    const number = yield* port
    const warnings: Array<Error> = []
    const onWarning = (warning: Error) => void warnings.push(warning)
    process.on("warning", onWarning)
    const { body } = yield* Effect.promise(async () => {
      const peer = await Peer.connect(number)
      const answer = await peer.exchange(head("GET /").repeat(20))
      peer.destroy()
      return answer
    }).pipe(Effect.ensuring(Effect.sync(() => process.off("warning", onWarning))))
    assert.strictEqual(body.toString(), "last")
    assert.deepStrictEqual(warnings, [])
  }).pipe(Effect.scoped, Effect.provide(NodeEngine.layerServer(listen))))

it.effect("it is seen when a client leaves after its last answer, also where it has sent more requests behind that one", () =>
  Effect.gen(function*() {
    yield* HttpServer.serveEffect(Effect.succeed(closing))
    const number = yield* port
    const accepted = yield* told("net.server.socket", "socket")
    yield* Effect.promise(async () => {
      const peer = await Peer.connect(number)
      await peer.exchange(head("GET /").repeat(3))
      const other = accepted[0]?.deref()
      assert(other instanceof Net.Socket)
      const isClosed = once(other, "close")
      peer.end()
      await isClosed
      assert.isTrue(other.readableEnded)
    })
  }).pipe(Effect.scoped, Effect.provide(NodeEngine.layerServer(listen))))

it.effect("stops although a middleware has held what came behind a last answer until its client had left", () =>
  Effect.gen(function*() {
    let held = 0
    yield* HttpServer.serveEffect(
      Effect.succeed(closing),
      (app) =>
        Effect.flatMap(HttpServerRequest, ({ source, url }) => {
          if (url !== "/late" || !(source instanceof IncomingMessage)) return app
          held++
          return Effect.andThen(Effect.promise(() => once(source.socket, "close")), app)
        })
    )
    const number = yield* port
    yield* Effect.promise(async () => {
      const peer = await Peer.connect(number)
      await peer.exchange(head("GET /") + head("GET /late"))
      peer.destroy()
    })
    assert.strictEqual(held, 1)
  }).pipe(Effect.scoped, Effect.provide(NodeEngine.layerServer(listen))))

it.effect("a connection is closed 2 s after its last answer also where its client never closes", () =>
  Effect.gen(function*() {
    yield* HttpServer.serveEffect(Effect.succeed(closing))
    const number = yield* port
    const accepted = yield* told("net.server.socket", "socket")
    yield* Effect.promise(async () => {
      const socket = Net.connect({ port: number, host: "127.0.0.1", allowHalfOpen: true })
      socket.write(head("GET /"))
      await once(socket.resume(), "end")
      const other = accepted[0]?.deref()
      assert(other instanceof Net.Socket)
      if (!other.destroyed) await once(other, "close")
      socket.destroy()
    })
  }).pipe(Effect.scoped, Effect.provide(NodeEngine.layerServer(listen))))

it.effect("an answer that has begun is reset where nothing more of its request comes, and does not look whole", () =>
  Effect.gen(function*() {
    const begin = Stream.concat(Stream.succeed(new TextEncoder().encode("begin")), Stream.never)
    yield* HttpServer.serveEffect(Effect.map(HttpServerRequest, (request) => {
      const { body } = PlatformRequest.headOf(request)
      if (body instanceof RequestBody) body.open().resume()
      return HttpServerResponse.stream(begin)
    }))
    const number = yield* port
    const { body, ending } = yield* Effect.promise(async () => {
      const peer = await Peer.connect(number)
      return peer.exchange("POST / HTTP/1.0\r\nContent-Length: 10\r\n\r\n12345")
    })
    assert.deepStrictEqual([body.toString(), ending], ["begin", "reset"])
  }).pipe(
    Effect.scoped,
    Effect.provide(Server.layer(listen, { ...defaultLimits, idleTimeout: Duration.millis(200) }))
  ))

it.live("the log says how many requests still go on when the time to stop is over", () => {
  const lines: Array<unknown> = []
  return Effect.gen(function*() {
    const scope = yield* Scope.make()
    const shutdownTimeout = Duration.millis(100)
    const context = yield* Layer.buildWithScope(NodeEngine.layerServer({ ...listen, shutdownTimeout }), scope)
    const begun = yield* Deferred.make<void>()
    const app = Effect.andThen(Deferred.succeed(begun, undefined), Effect.interruptible(Effect.never))
    const served = Effect.andThen(HttpServer.serveEffect(app), port)
    const number = yield* Effect.provideContext(Scope.provide(served, scope), context)
    const peer = yield* Effect.promise(() => Peer.connect(number))
    yield* Effect.promise(() => peer.send(head("GET /")))
    yield* Deferred.await(begun)
    yield* Scope.close(scope, Exit.void)
    assert.deepStrictEqual(lines, [["The time for requests in flight is over; still going on: 1"]])
    peer.destroy()
  }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(message))])))
})

it.effect("no more connections than its limit are kept, and another one can come when one of them has gone", () =>
  Effect.gen(function*() {
    yield* HttpServer.serveEffect(Effect.succeed(HttpServerResponse.text("hello")))
    const number = yield* port
    yield* Effect.promise(async () => {
      const first = await Peer.connect(number)
      assert.strictEqual((await first.exchange(head("GET /"))).status, 200)
      const second = await Peer.connect(number)
      await second.untilOver()
      first.end()
      await first.untilClosed()
      assert.strictEqual((await (await Peer.connect(number)).exchange(head("GET /"))).status, 200)
    })
  }).pipe(
    Effect.scoped,
    Effect.provide(Server.layer(listen, { ...defaultLimits, maxConnections: 1 }))
  ))
