/** Applications on the server of a row, and raw clients of it. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServer from "effect/http/HttpServer"
import { ClientAbort } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { type Answer, host, message, Peer } from "../../e2e/support/Peer.ts"
import { assert } from "./Rows.ts"

/** What an application may fail with and use besides the request. */
export type App<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** The port of the server. */
export const port = Effect.map(
  HttpServer.HttpServer,
  ({ address }) => (address._tag === "UnixPathAddress" ? 0 : address.port)
)

/** A raw client, closed after the row. */
export const connect: Effect.Effect<Peer, never, HttpServer.HttpServer | Scope.Scope> = Effect.acquireRelease(
  Effect.flatMap(port, (port) => Effect.promise(() => Peer.connect(port))),
  (peer) => Effect.sync(() => peer.destroy())
)

/** The lines of a head, with a Host. */
export const head = (line: string, ...fields: ReadonlyArray<string>): string =>
  message(`${line} HTTP/1.1`, host, ...fields)

/** A request with a body of a known length. Text stands for bytes as Latin-1 does. */
export const post = (body: string, ...fields: ReadonlyArray<string>): string =>
  head("POST /", `Content-Length: ${body.length}`, ...fields) + body

/** UTF-8 as the text that stands for it. */
export const utf8 = (text: string): string => Buffer.from(text).toString("latin1")

const isHead = (request: string): boolean => request.startsWith("HEAD ")

/** Sends a request on a new connection and reads the response. */
export const exchange = Effect.fnUntraced(function*(request: string) {
  const peer = yield* connect
  return yield* Effect.promise(() => peer.exchange(request, { noBody: isHead(request) }))
})

/** Serves an application and sends it a request. */
export const ask = <E, R>(
  app: App<E, R>,
  request: string = head("GET /")
): Effect.Effect<Answer, never, HttpServer.HttpServer | Scope.Scope | Exclude<R, HttpServerRequest>> =>
  Effect.andThen(HttpServer.serveEffect(app), exchange(request))

/** Serves a response and asks for it. */
export const answerOf = (
  response: HttpServerResponse.HttpServerResponse,
  request?: string
): Effect.Effect<Answer, never, HttpServer.HttpServer | Scope.Scope> => ask(Effect.succeed(response), request)

/** How a handler ends that is given a request in these bytes, and the answer: empty if it succeeds. */
export const outcome = <A, E, R>(
  handler: (request: HttpServerRequest) => Effect.Effect<A, E, R>,
  request: string
): Effect.Effect<
  { readonly exit: Exit.Exit<A, E>; readonly answer: Answer },
  never,
  HttpServer.HttpServer | Scope.Scope | Exclude<R, HttpServerRequest>
> =>
  Effect.gen(function*() {
    const ended = yield* Deferred.make<Exit.Exit<A, E>>()
    const answer = yield* ask(
      Effect.flatMap(HttpServerRequest, handler).pipe(
        Effect.onExit((exit) => Deferred.succeed(ended, exit)),
        Effect.as(HttpServerResponse.empty())
      ),
      request
    )
    return { exit: yield* Deferred.await(ended), answer }
  })

/** What a handler makes of a request in these bytes. */
export const seen = <A, E, R>(handler: (request: HttpServerRequest) => Effect.Effect<A, E, R>, request: string) =>
  Effect.flatMap(outcome(handler, request), ({ exit }) => exit)

/** With what a handler fails that is given a request in these bytes, and the status of the answer. */
export const refused = <A, E, R>(handler: (request: HttpServerRequest) => Effect.Effect<A, E, R>, request: string) =>
  Effect.flatMap(
    outcome(handler, request),
    ({ answer, exit }) => Effect.map(Effect.flip(exit), (error) => ({ error, status: answer.status }))
  )

/** What can be read from a request in these bytes at once. */
export const look = <A>(read: (request: HttpServerRequest) => A, request: string) =>
  seen((it) => Effect.sync(() => read(it)), request)

/** Dies if an effect ends soon. There is no event for what does not happen, so this is a matter of time. */
export const notSoon = <A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<void, E, R> =>
  Effect.andThen(effect, Effect.die(what)).pipe(
    Effect.timeoutOrElse({ duration: "100 millis", orElse: () => Effect.void })
  )

/** An application that says when it begins and how it ends, and has no end of its own. */
export const hang = (started: Latch.Latch, ended: Deferred.Deferred<Exit.Exit<never>>) =>
  Effect.andThen(started.open, Effect.never).pipe(
    Effect.onExit((exit) => Deferred.succeed(ended, exit)),
    Effect.interruptible
  )

/** Whether it ended because its client has left. It must have been interrupted. */
export const isClientAbort = (exit: Exit.Exit<unknown>): boolean => {
  const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
  return reason?._tag === "Interrupt" ? reason.annotations.has(ClientAbort.key) : assert.fail("it was not interrupted")
}
