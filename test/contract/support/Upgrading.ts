/** Servers and raw clients of upgraded connections. */
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Socket from "effect/socket/Socket"
import { assert } from "./Rows.ts"
import { connect } from "./Serving.ts"

/** Serves a handler of upgraded connections. What it returns is sent to nobody. */
export const serveSocket = <E, R>(
  handler: (socket: Socket.Socket) => Effect.Effect<unknown, E, R>,
  upgrade = (request: HttpServerRequest) => request.upgrade
) =>
  HttpServer.serveEffect(
    Effect.flatMap(HttpServerRequest, upgrade).pipe(
      Effect.flatMap(handler),
      Effect.as(HttpServerResponse.text("for nobody"))
    )
  )

/** Sends back what comes, text as text and bytes as bytes. */
export const echo = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const { pull } = yield* socket.reader
  const { writeAll } = yield* socket.writer
  return yield* Effect.forever(Effect.flatMap(pull, writeAll))
})

/** A raw client whose request for an upgrade was taken, with the answer to it. */
export const upgraded = Effect.fnUntraced(function*(request: string) {
  const peer = yield* connect
  const answer = yield* Effect.promise(() => peer.exchange(request))
  assert.strictEqual(answer.line, "HTTP/1.1 101 Switching Protocols")
  return { answer, peer }
})
