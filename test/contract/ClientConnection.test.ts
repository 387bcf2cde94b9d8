/** What surrounds the requests of a client: connections, upgrades and tracing. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Tracer from "effect/Tracer"
import { message, type Peer, value } from "../e2e/support/Peer.ts"
import { answer, answering, backend } from "./support/Backends.ts"
import { assert, onEachClient } from "./support/Rows.ts"

const text = (url: string) => Effect.flatMap(HttpClient.get(url), ({ text }) => text)

onEachClient("a client", (row, client) => {
  row(
    "uses a connection again when its answer was read",
    Effect.gen(function*() {
      const { origin, peers } = yield* answering(answer("hello"))
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* text(origin), "hello")
        // It may take a turn to get back.
        yield* Effect.sleep(0)
      }
      assert.strictEqual(peers.length, 1)
    })
  )

  row(
    "does not use a connection again that the backend is to close",
    Effect.gen(function*() {
      const { origin, peers } = yield* answering(answer("hello", "Connection: close"))
      assert.strictEqual(yield* text(origin), "hello")
      assert.strictEqual(yield* text(origin), "hello")
      assert.strictEqual(peers.length, 2)
    })
  )

  row(
    "makes a new connection when the backend has closed the idle one",
    Effect.gen(function*() {
      const { origin, peers } = yield* answering(answer("hello"))
      yield* text(origin)
      yield* Effect.sleep(0)
      peers[0]!.end()
      yield* Effect.promise(() => peers[0]!.untilClosed())
      assert.strictEqual(yield* text(origin), "hello")
      assert.strictEqual(peers.length, 2)
    })
  )

  row(
    "never has two requests on a connection at once, and many at once on many",
    Effect.gen(function*() {
      const waiting: Array<() => void> = []
      const { origin, peers } = yield* backend(async (peer) => {
        const { target } = await peer.request()
        await new Promise<void>((resolve) => {
          waiting.push(resolve)
          if (waiting.length === 100) { for (const proceed of waiting) proceed() }
        })
        await peer.send(answer(target))
      })
      const targets = Array.from({ length: 100 }, (_, i) => `/${i}`)
      const texts = yield* Effect.forEach(targets, (target) => text(origin + target), { concurrency: "unbounded" })
      assert.deepStrictEqual(texts, targets)
      assert.strictEqual(peers.length, 100)
    })
  )

  row(
    "speaks to many origins",
    Effect.gen(function*() {
      const one = yield* answering(answer("one"))
      const two = yield* answering(answer("two"))
      const texts = yield* Effect.all([text(one.origin), text(two.origin), text(one.origin)])
      assert.deepStrictEqual(texts, ["one", "two", "one"])
    })
  )

  for (
    const [what, script] of [
      ["idle", async (peer: Peer) => {
        await peer.request()
        await peer.send(answer("hello"))
      }],
      ["in use", async (peer: Peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 9") + "hello")
      }]
    ] as const
  ) {
    row(
      `closes connections that are ${what} when its layer is closed`,
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(Layer.fresh(client.layer), scope)
        const { connected, origin } = yield* backend(script)
        const response = yield* Effect.provideContext(HttpClient.get(origin), context)
        if (what === "idle") yield* response.text
        yield* Scope.close(scope, Exit.void)
        const peer = yield* connected()
        yield* Effect.promise(() => peer.untilOver())
      })
    )
  }
})

onEachClient("an upgrade", (row) => {
  const echo = message("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: echo/1")

  const ask = Effect.fnUntraced(function*(script: (peer: Peer) => Promise<unknown>) {
    const made = yield* backend(async (peer) => {
      const request = await peer.requestHead()
      assert.match(`${value(request, "connection")} ${value(request, "upgrade")}`, /^upgrade echo\/1$/i)
      await script(peer)
    })
    const response = yield* HttpClient.execute(
      HttpClientRequest.get(made.origin).pipe(HttpClientRequest.upgrade("echo/1"))
    )
    return { ...made, response }
  })

  row(
    "that is taken hands the connection over, with what came with the answer first",
    Effect.gen(function*() {
      const { response } = yield* ask(async (peer) => {
        await peer.send(`${echo}early`)
        const bytes = await peer.bytes(5)
        await peer.send(bytes)
      })
      assert.deepStrictEqual([response.status, response.headers["upgrade"]], [101, "echo/1"])
      const socket = yield* response.upgrade
      const pull = yield* Socket.readerString(socket)
      assert.strictEqual((yield* pull).join(""), "early")
      yield* (yield* socket.writer).write("hello")
      assert.strictEqual((yield* pull).join(""), "hello")
    })
  )

  row(
    "that is over for the backend ends the reader with 1000",
    Effect.gen(function*() {
      const { response } = yield* ask(async (peer) => {
        await peer.send(`${echo}last`)
        peer.end()
      })
      const pull = yield* Socket.readerString(yield* response.upgrade)
      assert.strictEqual((yield* pull).join(""), "last")
      const { reason } = yield* Effect.flip(pull)
      assert(reason._tag === "SocketCloseError")
      assert.strictEqual(reason.code, 1000)
    })
  )

  row(
    "closes its connection when the scope of the reader is closed",
    Effect.gen(function*() {
      const { connected, response } = yield* ask((peer) => peer.send(echo))
      const socket = yield* response.upgrade
      yield* Effect.scoped(socket.reader)
      const peer = yield* connected()
      yield* Effect.promise(() => peer.untilOver())
    })
  )

  row(
    "that is refused is a response like any other, and gives no socket",
    Effect.gen(function*() {
      const refusal = message("HTTP/1.1 426 Upgrade Required", "Content-Length: 5") + "sorry"
      const { response } = yield* ask((peer) => peer.send(refusal))
      assert.deepStrictEqual([response.status, yield* response.text], [426, "sorry"])
      assert.strictEqual((yield* Effect.flip(response.upgrade)).reason._tag, "StatusCodeError")
    })
  )

  row(
    "that nobody asked for is a protocol error",
    Effect.gen(function*() {
      const { origin } = yield* answering(echo)
      assert.strictEqual((yield* Effect.flip(HttpClient.get(origin))).reason._tag, "TransportError")
    })
  )
})

/** A tracer that keeps the spans that have begun, and tells of the first that has ended. */
const traced = Effect.gen(function*() {
  const ended = yield* Deferred.make<{ readonly span: Tracer.Span; readonly exit: Exit.Exit<unknown, unknown> }>()
  const spans: Array<Tracer.Span> = []
  class Told extends Tracer.NativeSpan {
    override end(endTime: bigint, exit: Exit.Exit<unknown, unknown>): void {
      super.end(endTime, exit)
      Deferred.doneUnsafe(ended, Exit.succeed({ span: this, exit }))
    }
  }
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Told(options)
      spans.push(span)
      return span
    }
  })
  return { ended: Deferred.await(ended), spans, trace: Effect.provideService(Tracer.Tracer, tracer) }
})

onEachClient("a span of the client", (row) => {
  row(
    "has the method as its name, and says what was asked and answered",
    Effect.gen(function*() {
      const { ended, trace } = yield* traced
      const { origin } = yield* answering(answer("hello"))
      yield* trace(HttpClient.get(`${origin}/a?b=c`))
      const { exit, span } = yield* ended
      assert.deepStrictEqual([span.name, span.kind, exit._tag], ["GET", "client", "Success"])
      const { attributes } = span
      assert.strictEqual(attributes.get("http.request.method"), "GET")
      assert.strictEqual(attributes.get("url.full"), `${origin}/a?b=c`)
      assert.strictEqual(attributes.get("server.address"), "127.0.0.1")
      assert.strictEqual(attributes.get("http.response.status_code"), 200)
    })
  )

  row(
    "is named to the backend, in the formats of W3C and B3",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const { origin, requests } = yield* answering(answer("hello"))
      yield* trace(HttpClient.get(origin))
      const { spanId, traceId } = spans[0]!
      assert.strictEqual(value(requests[0]!, "traceparent"), `00-${traceId}-${spanId}-01`)
      assert.strictEqual(value(requests[0]!, "b3"), `${traceId}-${spanId}-1`)
    })
  )

  row(
    "is the child of the span that it was asked in",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const { origin } = yield* answering(answer("hello"))
      yield* trace(Effect.withSpan(HttpClient.get(origin), "outer"))
      const [outer, inner] = spans
      assert.strictEqual(outer!.name, "outer")
      assert.strictEqual(Option.getOrThrow(inner!.parent).spanId, outer!.spanId)
    })
  )

  for (
    const [what, bytes, type] of [
      ["the status is an error", message("HTTP/1.1 404 Not Found", "Content-Length: 0"), "404"],
      ["there is no answer", "nonsense\r\n\r\n", undefined]
    ] as const
  ) {
    row(
      `fails when ${what}`,
      Effect.gen(function*() {
        const { ended, trace } = yield* traced
        const { origin } = yield* answering(bytes)
        yield* Effect.exit(trace(HttpClient.get(origin)))
        const { exit, span } = yield* ended
        assert.deepStrictEqual([exit._tag, span.attributes.get("error.type")], ["Failure", type])
      })
    )
  }

  row(
    "is not made, nor named, where tracing is disabled",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const { origin, requests } = yield* answering(answer("hello"))
      yield* trace(HttpClient.get(origin)).pipe(
        Effect.provideService(HttpClient.TracerDisabledWhen, ({ method }) => method === "GET")
      )
      assert.deepStrictEqual(spans, [])
      assert.deepStrictEqual(["traceparent", "b3"].map((name) => value(requests[0]!, name)), [undefined, undefined])
    })
  )

  row(
    "is not named where propagation is off",
    Effect.gen(function*() {
      const { spans, trace } = yield* traced
      const { origin, requests } = yield* answering(answer("hello"))
      yield* trace(HttpClient.get(origin)).pipe(Effect.provideService(HttpClient.TracerPropagationEnabled, false))
      assert.strictEqual(spans.length, 1)
      assert.deepStrictEqual(["traceparent", "b3"].map((name) => value(requests[0]!, name)), [undefined, undefined])
    })
  )
})
