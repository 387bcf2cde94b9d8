/**
 * What the client gets: the answer of a backend, its body as the platform streams it, or why there is none.
 *
 * Owns how these are made. Which answer it is, and of which reason, is decided by `Forwarder`.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type HttpServerResponse, setHeader } from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import type { Pin } from "../../services/Affinity.ts"
import * as ErrorResponse from "../../services/ErrorResponse.ts"
import * as Failure from "../../services/Failure.ts"
import * as HeaderFields from "../../services/HeaderFields.ts"
import type * as Message from "../../services/Message.ts"
import * as PlatformResponse from "../../services/PlatformResponse.ts"
import type { Exchange } from "./Exchange.ts"

const noBody = (): Stream.Stream<Uint8Array> => Stream.empty

/**
 * The body of a backend's response, for servers that know only the platform's interface. The exchange is told how it
 * breaks off, and whether that was in the fiber that has asked for it, which is that of the request.
 */
export const bodyOf = (
  response: HttpClientResponse,
  exchange: Exchange
): Stream.Stream<Uint8Array, Failure.TransportFailure> => {
  const own = Fiber.getCurrent()
  return response.stream.pipe(
    Stream.catchReason("HttpClientError", "EmptyBodyError", noBody),
    Stream.mapError((error) => Failure.TransportFailure.make({ reason: "reset_mid_body", message: error.message })),
    Stream.onError((cause) => Effect.sync(() => exchange.ending.brokeOff(cause, Fiber.getCurrent() === own)))
  )
}

/**
 * Why a request is not answered by itself: there is a bug, which goes to the log, or no time any more. The platform sends
 * a response that is a defect.
 */
export const sayWhy = (cause: Cause.Cause<never>): Effect.Effect<void, never, HttpServerRequest> => {
  const reason = Failure.fromCause(cause)
  if (reason === "client_aborted") return Effect.void
  return Effect.flatMap(HttpServerRequest, ({ headers }) =>
    Effect.andThen(
      reason === "internal_error" ? Effect.logError("A request could not be forwarded", cause) : Effect.void,
      Effect.die(ErrorResponse.make(reason, headers["accept"]))
    ))
}

/** An answer after which the connection to the client ends. */
export const closing = (response: HttpServerResponse): HttpServerResponse => setHeader(response, "connection", "close")

/** The client gets the answer of a backend, and the cookie to come back with, if it needs one. */
export const handOver = (
  head: Message.ResponseHead,
  pin: Pin | undefined,
  cookie: string | undefined,
  body: Message.LazyBody
): HttpServerResponse => {
  const forwarded = HeaderFields.toClient(head.status, pin === undefined ? head.fields : pin.withoutRivals(head.fields))
  const fields = cookie === undefined ? forwarded : [...forwarded, "Set-Cookie", cookie]
  return PlatformResponse.toClient({ ...head, fields }, body)
}
