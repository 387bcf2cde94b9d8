/** The clients of a plan: they send their requests, keep their cookies, and leave when they are out of patience. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import { FakeServer } from "../../src/layers/testing/FakeServer.ts"
import { targetOf } from "./Backends.ts"
import type { Piece, Request } from "./Plan.ts"
import type { Exchange } from "./Scene.ts"

/** A body whose pieces come when their client sends them. */
const bodyOf = (pieces: ReadonlyArray<Piece>, clock: Clock.Clock): Stream.Stream<Uint8Array> => {
  const startedAt = clock.currentTimeMillisUnsafe()
  return Stream.fromIterable(pieces).pipe(
    Stream.rechunk(1),
    Stream.mapEffect(({ after, text }) => {
      const wait = Math.max(0, startedAt + after - clock.currentTimeMillisUnsafe())
      return Effect.as(Effect.sleep(wait), new TextEncoder().encode(text))
    })
  )
}

const requestOf = ({ method, number, pieces }: Request, cookie: string | undefined, clock: Clock.Clock) => {
  const headers = cookie === undefined ? {} : { cookie: `lb=${cookie}` }
  const request = HttpClientRequest.make(method)(targetOf(number), { headers })
  if (pieces.length === 0) return request
  const contentLength = pieces.reduce((sum, { text }) => sum + text.length, 0)
  return HttpClientRequest.bodyStream(request, bodyOf(pieces, clock), number % 2 === 0 ? { contentLength } : {})
}

/** Sends requests, and notes what comes of them. `begin` is told of each. */
export const make = (begin: (exchange: Exchange) => void) => {
  const jar = new Map<number, string>()
  return Effect.fnUntraced(function*(request: Request) {
    const { client, patience } = request
    const clock = yield* Clock.Clock
    const server = yield* FakeServer
    const cookie = jar.get(client)
    const startedAt = clock.currentTimeMillisUnsafe()
    const exchange: Exchange = {
      request,
      startedAt,
      cookie,
      tries: [],
      places: [],
      completed: undefined,
      reply: undefined
    }
    begin(exchange)
    const from = `10.0.${client >> 8}.${client & 255}`
    yield* server.request(requestOf(request, cookie, clock), { from }).pipe(
      Effect.tap((reply) =>
        Effect.sync(() => {
          exchange.reply = reply
          for (const line of reply.setCookie) jar.set(client, line.slice("lb=".length).split(";", 1)[0] ?? "")
        })
      ),
      Effect.catchTag("Truncated", () => Effect.void),
      (asking) => patience === undefined ? asking : Effect.timeoutOption(asking, patience)
    )
  })
}
