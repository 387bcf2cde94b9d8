/**
 * The forwarder between any server and any client of the platform. What a stock client does not say of a failure costs
 * no request its body, and sends none twice.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import type { HttpPlatform } from "effect/http/HttpPlatform"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type * as Net from "node:net"
import { gzipSync } from "node:zlib"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as Static from "../../src/layers/discovery/Static.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import { strategyOf } from "../../src/layers/strategies/index.ts"
import { AccessLog, type Completed } from "../../src/services/AccessLog.ts"
import { Forwarder } from "../../src/services/Forwarder.ts"
import * as Subjects from "../contract/support/Subjects.ts"

const clients = [
  ...Subjects.clients,
  { name: "NodeHttpClient.layerNodeHttp", layer: NodeHttpClient.layerNodeHttp },
  { name: "FetchHttpClient", layer: FetchHttpClient.layer }
]

interface Backend {
  readonly origin: string
  /** The heads of the requests that it got. */
  readonly heads: Array<Pick<Http.IncomingMessage, "headers" | "url">>
  /** The bodies of the requests that it got. */
  readonly bodies: Array<string>
}

const closed = (server: Http.Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

const listening = (answer: (response: Http.ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.callback<Backend & { readonly server: Http.Server }>((resume) => {
      const heads: Backend["heads"] = []
      const bodies: Array<string> = []
      const server = Http.createServer((request, response) => {
        heads.push(request)
        let body = ""
        request.setEncoding("utf8").on("data", (piece: string) => body += piece).on("end", () => {
          bodies.push(body)
          answer(response)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as Net.AddressInfo
        resume(Effect.succeed({ origin: `http://127.0.0.1:${port}`, heads, bodies, server }))
      })
    }),
    ({ server }) => closed(server)
  )

const fine = listening((response) => response.end("fine"))

const resets = listening(({ socket }) => (socket as Net.Socket).resetAndDestroy())

/** Nobody listens there any more. */
const gone = Effect.tap(fine, ({ server }) => closed(server))

type App = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  unknown,
  HttpPlatform | HttpServerRequest | Scope.Scope
>

const changing = (change: (request: HttpServerRequest) => HttpServerRequest) => (handle: App): App =>
  Effect.updateService(handle, HttpServerRequest, change)

interface Options {
  readonly init?: RequestInit
  /** What an application does with the forwarder's answer, and before the forwarder has the request. */
  readonly around?: (handle: Forwarder["Service"]["handle"]) => App
  /** Around the application, and around the sending of its answer. */
  readonly middleware?: HttpMiddleware.HttpMiddleware
  /** Whether the client leaves when it has the head of the answer. */
  readonly leaves?: boolean
}

/** One request through a balancer over these backends, of which the first one is asked first. */
const send = (
  server: Subjects.Server,
  client: typeof clients[number],
  backends: ReadonlyArray<Backend>,
  { around = (handle) => handle, init = {}, leaves = false, middleware }: Options = {}
) =>
  Effect.gen(function*() {
    const settings = Configuration.make({
      to: backends.map(({ origin }) => origin),
      strategy: "first",
      health: { kind: "off" }
    })
    const completed = yield* Deferred.make<Completed>()
    const log = Layer.succeed(AccessLog, {
      write: (entry) => {
        if (entry._tag === "Completed") Deferred.doneUnsafe(completed, Effect.succeed(entry))
      }
    })
    const ends = Layer.merge(server.layer({ port: 0, shutdownTimeout: Duration.zero }), client.layer)
    const serve = Layer.unwrap(Effect.map(Forwarder, ({ handle }) => {
      const app = around(handle)
      return middleware === undefined ? HttpServer.serve(app) : HttpServer.serve(app, middleware)
    }))
    const balancer = serve.pipe(
      Layer.provide(LoadBalancer.layerForwarder(settings)),
      Layer.provide([strategyOf(settings), Static.layer(settings.to)]),
      Layer.provideMerge(ends)
    )
    return yield* Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const url = HttpServer.formatAddress(address)
      const response = yield* Effect.promise((signal) => fetch(url, { ...init, signal }))
      if (leaves) yield* Effect.promise(async () => response.body?.cancel())
      const text = yield* Effect.promise(() => response.text().catch(() => undefined))
      const isCut = text === undefined
      const { reason } = yield* Deferred.await(completed)
      return {
        headers: response.headers,
        text,
        status: response.status,
        isCut,
        reason,
        bodies: backends.flatMap(({ bodies }) => bodies)
      }
    }).pipe(Effect.provide(Layer.provide(balancer, log)))
  })

/** One request through a balancer over an ill backend and a good one, of which the ill one is asked first. */
const exchange = (
  server: Subjects.Server,
  client: typeof clients[number],
  ill: typeof fine,
  init: RequestInit,
  good = fine
) =>
  Effect.gen(function*() {
    // The good one listens first: it must not get the port that the ill one has given up.
    const second = yield* good
    const first = yield* ill
    return yield* send(server, client, [first, second], { init })
  })

const moved = listening((response) => response.writeHead(302, { location: "/elsewhere" }).end())

const saysNothing = listening((response) => response.writeHead(204).end())

const breaksOff = listening((response) => {
  response.writeHead(200, { "content-length": "10" })
  response.write("hello", () => (response.socket as Net.Socket).resetAndDestroy())
})

const says = listening((response) => response.writeHead(200, { "x-secret": "1", "x-other": "1" }).end("fine"))

const much = "much of the same. ".repeat(1_000)

const saysMuch = listening((response) => response.setHeader("content-type", "text/plain").end(much))

const goesOn = listening((response) => response.writeHead(200).write("hello"))

/** What comes after the end of a line is a field, or another request. */
const injection = "HTTP/1.1\r\nx-evil: 1\r\n\r\nGET /evil"

/** It does nothing, and all the same the platform tells nobody behind it that an answer has failed. */
const middleware: HttpMiddleware.HttpMiddleware = (app) => app

const uploads: Readonly<Record<string, () => RequestInit>> = {
  "": () => ({ body: "HELLO" }),
  " in chunks": () => ({ body: new Blob(["HELLO"]).stream(), duplex: "half" })
}

for (const server of Subjects.servers) {
  it.live(`a client without a body for an answer leaves it empty, on ${server.name}`, () =>
    Effect.gen(function*() {
      const layer = Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null))))
      )
      const { isCut, reason, status } = yield* send(server, { name: "HttpClient.make", layer }, [yield* fine])
      assert.deepStrictEqual({ isCut, reason, status }, { isCut: false, reason: undefined, status: 200 })
    }))

  for (const client of clients) {
    describe(`the forwarder between ${server.name} and ${client.name}`, () => {
      it.live("brings an answer without a body whole", () =>
        Effect.gen(function*() {
          const { isCut, reason, status } = yield* send(server, client, [yield* saysNothing])
          assert.deepStrictEqual({ isCut, reason, status }, { isCut: false, reason: undefined, status: 204 })
        }))

      it.live("cuts an answer that breaks off, and says that this was its backend", () =>
        Effect.gen(function*() {
          const { isCut, reason, status } = yield* send(server, client, [yield* breaksOff])
          assert.deepStrictEqual({ isCut, reason, status }, { isCut: true, reason: "reset_mid_body", status: 200 })
        }))

      it.live("says the same behind a middleware", () =>
        Effect.gen(function*() {
          const { isCut, reason, status } = yield* send(server, client, [yield* breaksOff], { middleware })
          assert.deepStrictEqual({ isCut, reason, status }, { isCut: true, reason: "reset_mid_body", status: 200 })
        }))

      for (const [where, more] of [["", {}], [" behind a middleware", { middleware }]] as const) {
        it.live(`says that the client has left in the middle of an answer${where}`, () =>
          Effect.gen(function*() {
            const { reason, status } = yield* send(server, client, [yield* goesOn], { ...more, leaves: true })
            assert.deepStrictEqual({ reason, status }, { reason: "client_aborted", status: 200 })
          }))
      }

      it.live("sends what an application has changed", () =>
        Effect.gen(function*() {
          const backend = yield* fine
          const init = { method: "PUT", body: "HELLO", headers: { "x-secret": "1", "x-other": "2" } }
          const change = (request: HttpServerRequest) => {
            const headers = Headers.set(Headers.remove(request.headers, "x-secret"), "x-user", "ann")
            return request.modify({ url: "/elsewhere?a", headers })
          }
          yield* send(server, client, [backend], { init, around: changing(change) })
          const [{ headers, url } = assert.fail("nothing came")] = backend.heads
          assert.strictEqual(url, "/elsewhere?a")
          const { "x-other": other, "x-secret": secret, "x-user": user } = headers
          assert.deepStrictEqual([other, secret, user], ["2", undefined, "ann"])
          assert.deepStrictEqual(backend.bodies, ["HELLO"])
        }))

      it.live("sends the client what an application has changed in the answer", () =>
        Effect.gen(function*() {
          const { headers, isCut, status } = yield* send(server, client, [yield* says], {
            around: Effect.map((response) =>
              HttpServerResponse.setHeader(
                HttpServerResponse.removeHeader(HttpServerResponse.setStatus(response, 203), "x-secret"),
                "x-more",
                "2"
              )
            )
          })
          const [secret, other, more] = ["x-secret", "x-other", "x-more"].map((name) => headers.get(name))
          assert.deepStrictEqual({ isCut, status, secret, other, more }, {
            isCut: false,
            status: 203,
            secret: null,
            other: "1",
            more: "2"
          })
        }))

      it.live("sends a body of which an application does not say any more how long it is", () =>
        Effect.gen(function*() {
          const backend = yield* fine
          const change = (request: HttpServerRequest) =>
            request.modify({ headers: Headers.remove(request.headers, "content-length") })
          const init = { method: "PUT", body: "HELLO" }
          yield* send(server, client, [backend], { init, around: changing(change) })
          assert.deepStrictEqual(backend.bodies, ["HELLO"])
        }))

      // Other servers have no more than the record of what an application says.
      if (server.name === "WireServer") {
        it.live.each(["3", "300"])(
          "sends the body as it comes, whatever an application says of its length: %s",
          (length) =>
            Effect.gen(function*() {
              const backend = yield* fine
              const change = (request: HttpServerRequest) =>
                request.modify({ headers: Headers.set(request.headers, "content-length", length) })
              const init = { method: "PUT", body: "HELLO" }
              yield* send(server, client, [backend], { init, around: changing(change) })
              assert.deepStrictEqual(backend.bodies, ["HELLO"])
            })
        )
      }

      it.live("sends a body that a middleware has decoded", () =>
        Effect.gen(function*() {
          const backend = yield* fine
          const init = { method: "PUT", body: gzipSync("HELLO"), headers: { "content-encoding": "gzip" } }
          yield* send(server, client, [backend], { init, around: HttpMiddleware.decompression() })
          assert.deepStrictEqual(backend.bodies, ["HELLO"])
          assert.notProperty(backend.heads[0]?.headers, "content-encoding")
        }))

      it.live("brings an answer that a middleware has compressed", () =>
        Effect.gen(function*() {
          const around = HttpMiddleware.compression({ algorithms: ["gzip"] })
          const { headers, text } = yield* send(server, client, [yield* saysMuch], { around })
          assert.deepStrictEqual([headers.get("content-encoding"), text], ["gzip", much])
        }))

      for (
        const [what, changes] of [
          ["a target", { url: `/a ${injection}` }],
          ["a field", { headers: Headers.fromInput({ host: "example.com", "x-a": `1 ${injection}` }) }]
        ] as const
      ) {
        it.live(`never sends ${what} that an application has made out of which the backend would read more`, () =>
          Effect.gen(function*() {
            const backend = yield* fine
            const change = (request: HttpServerRequest) => request.modify(changes)
            const { reason } = yield* send(server, client, [backend], { around: changing(change) })
            if (client.name === "WireClient") assert.strictEqual(reason, "bad_request")
            for (const { headers, url } of backend.heads) {
              assert.notProperty(headers, "x-evil")
              assert.notStrictEqual(url, "/evil")
            }
          }))
      }

      for (const [what, ill] of [["that resets connections", resets], ["where nobody listens", gone]] as const) {
        it.live(`goes on to another backend with a GET to one ${what}`, () =>
          Effect.gen(function*() {
            const { bodies, status } = yield* exchange(server, client, ill, {})
            assert.strictEqual(status, 200)
            assert.strictEqual(bodies.at(-1), "")
          }))

        it.live(`brings the redirect of the next one as it is after one ${what}`, () =>
          Effect.gen(function*() {
            const { bodies, status } = yield* exchange(server, client, ill, { redirect: "manual" }, moved)
            assert.strictEqual(status, 302)
            assert.lengthOf(bodies, ill === resets ? 2 : 1)
          }))

        for (const [kind, body] of Object.entries(uploads)) {
          it.live(`delivers a POST${kind} to one ${what} once or never, and never without its body`, () =>
            Effect.gen(function*() {
              const { bodies, status } = yield* exchange(server, client, ill, { ...body(), method: "POST" })
              if (ill === resets) assert.deepStrictEqual([status, bodies], [502, ["HELLO"]])
              else assert.deepStrictEqual(bodies, status === 200 ? ["HELLO"] : [])
            }))

          it.live(`delivers a PUT${kind} to one ${what} whole or not at all`, () =>
            Effect.gen(function*() {
              const { bodies, status } = yield* exchange(server, client, ill, { ...body(), method: "PUT" })
              for (const body of bodies) assert.strictEqual(body, "HELLO")
              assert.strictEqual(bodies.length, (ill === resets ? 1 : 0) + (status === 200 ? 1 : 0))
            }))
        }
      }
    })
  }
}
