/**
 * The forwarder between any server and any client of the platform. What a stock client does not say of a failure costs
 * no request its body, and sends none twice.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import type * as Net from "node:net"
import * as Subjects from "../contract/support/Subjects.ts"
import { type Client, closed, fine, listening, onEachPair, send } from "./support/Pairs.ts"

const resets = listening(({ socket }) => (socket as Net.Socket).resetAndDestroy())

/** Nobody listens there any more. */
const gone = Effect.tap(fine, ({ server }) => closed(server))

/** One request through a balancer over an ill backend and a good one, of which the ill one is asked first. */
const exchange = (
  server: Subjects.Server,
  client: Client,
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
}

onEachPair((server, client) => {
  it.live("brings an answer without a body whole", () =>
    Effect.gen(function*() {
      const { isCut, reason, status } = yield* send(server, client, [yield* saysNothing])
      assert.deepStrictEqual({ isCut, reason, status }, { isCut: false, reason: undefined, status: 204 })
    }))

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
