/**
 * The path of one request:
 *
 *   translate the head -> [ select an endpoint -> begin -> send -> head of the response ] (again on another endpoint, where
 *   that can do no harm) -> translate back -> hand over the body -> its end -> end of the try -> log
 *
 * It is an application for any `HttpServer` layer and sends through any `HttpClient` layer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type HttpServerResponse, setHeader } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AccessLog } from "../services/AccessLog.ts"
import { Affinity, mayPin, type Pin } from "../services/Affinity.ts"
import { authorityOf } from "../services/Backend.ts"
import { Balancer } from "../services/Balancer.ts"
import * as ClientAddress from "../services/ClientAddress.ts"
import * as ErrorResponse from "../services/ErrorResponse.ts"
import * as Failure from "../services/Failure.ts"
import { defaultOptions, Forwarder, type Options } from "../services/Forwarder.ts"
import type { Extract } from "../services/HashKey.ts"
import * as HeaderFields from "../services/HeaderFields.ts"
import type { Endpoint } from "../services/Load.ts"
import * as Message from "../services/Message.ts"
import * as Target from "../services/Target.ts"
import { Exchange } from "./Exchange.ts"

const noBody = (): Stream.Stream<Uint8Array> => Stream.empty

/** The body of a backend's response, for servers that know only the platform's interface. */
const bodyOf = (response: HttpClientResponse): Stream.Stream<Uint8Array, Failure.TransportFailure> =>
  response.stream.pipe(
    Stream.catchReason("HttpClientError", "EmptyBodyError", noBody),
    Stream.mapError((error) => Failure.TransportFailure.make({ reason: "reset_mid_body", message: error.message }))
  )

/** Sends a request. Whatever comes of it ends with the scope. */
const sender = (
  client: HttpClient.HttpClient
): (request: HttpClientRequest) => Effect.Effect<HttpClientResponse, HttpClientError, Scope.Scope> => {
  if (Message.releasesBodies(client)) return client.execute
  const scoped = HttpClient.withScope(client)
  // The platform would add `b3` and `traceparent` to what is not our request.
  return (request) => Effect.provideService(scoped.execute(request), HttpClient.TracerDisabledWhen, () => true)
}

/** Forwards with these options. */
export const layer = (
  options: Options = defaultOptions
): Layer.Layer<Forwarder, never, AccessLog | Balancer | HttpClient.HttpClient> =>
  Layer.effect(
    Forwarder,
    Effect.gen(function*() {
      const { isTrustedProxy } = options
      const hashKey: Extract = (head, address) =>
        options.hashKey(head, ClientAddress.original(head.fields, address, isTrustedProxy))
      const books = { balancer: yield* Balancer, log: yield* AccessLog, clock: yield* Clock.Clock, hashKey }
      const affinity = yield* Affinity
      const execute = sender(yield* HttpClient.HttpClient)

      const clientOf = (request: HttpServerRequest): HeaderFields.Client => {
        const address = Option.getOrUndefined(request.remoteAddress)
        return {
          address,
          protocol: request.protocol ?? (request.originalUrl.startsWith("https:") ? "https" : "http"),
          trusted: address !== undefined && options.isTrustedProxy(address)
        }
      }

      const send = (
        { backend: { origin } }: Endpoint,
        request: HttpServerRequest,
        head: Message.RequestHead,
        { fields, framing, host }: HeaderFields.RequestFields
      ) => {
        // HTTP/1.0 allows a request without Host, and what is sent is HTTP/1.1, which does not (RFC 9112 §3.2).
        const known = options.hostHeader === "preserve" ? host : undefined
        const sent = {
          ...head,
          origin,
          target: Target.originForm(head.method, head.target),
          fields: ["Host", known ?? authorityOf(origin), ...fields]
        }
        return execute(Message.toBackend(sent, framing === "none" ? undefined : () => request.stream))
      }

      /** The field lines of an answer, with a cookie if the client is to stay with whoever gave it. */
      const stamped = Effect.fnUntraced(function*(
        pin: Pin,
        { answeringId }: Exchange,
        { fields, status }: Pick<Message.ResponseHead, "fields" | "status">,
        isSecure: boolean
      ) {
        if (answeringId === undefined || !mayPin(status)) return fields
        const cookie = yield* pin.stamp(answeringId, isSecure)
        return cookie === undefined ? fields : [...fields, "Set-Cookie", cookie]
      })

      const handle = Effect.gen(function*() {
        const request = yield* HttpServerRequest
        const head = Message.received(request)
        const from = clientOf(request)
        const exchange = new Exchange(books, request, head, from.address)
        // `Effect.addFinalizer` would copy the fiber's context for each request.
        yield* Scope.addFinalizerExit(yield* Scope.Scope, (exit) => Effect.sync(() => exchange.finish(exit)))

        const refuse = (reason: Failure.Reason, detail?: string): HttpServerResponse => {
          exchange.refused(reason)
          return ErrorResponse.make(reason, request.headers["accept"], detail)
        }

        const isSecure = () => HeaderFields.clientProtocol(head.fields, from) === "https"
        const pin = affinity === undefined ? undefined : yield* affinity.read(head)
        exchange.pinned = pin?.id
        const fields = HeaderFields.toBackend(head.method, head.target, pin?.fields ?? head.fields, from)
        if (fields._tag === "Refusal") {
          // Where an invalid message ends is nothing to rely on, so its connection ends with it.
          return setHeader(refuse(fields.reason, fields.detail), "connection", "close")
        }

        let reason: Failure.Reason = "no_backend"
        while (exchange.attempt < options.maxTries) {
          let endpoint = exchange.select()
          if (endpoint !== undefined) {
            exchange.begin(endpoint)
          } else {
            if (exchange.attempt > 0) break
            const waited = yield* Effect.result(exchange.wait())
            if (Result.isFailure(waited)) {
              return refuse(waited.failure._tag === "NoBackend" ? "no_backend" : "overloaded")
            }
            endpoint = waited.success
          }
          const sent = yield* Effect.result(send(endpoint, request, head, fields))
          if (Result.isSuccess(sent)) {
            const head = Message.answered(sent.success)
            exchange.answered(head)
            // A transfer coding that nobody asked for cannot be undone.
            if (HeaderFields.isDecoded(head.fields)) {
              const answer = { ...head, fields: HeaderFields.toClient(head.status, head.fields) }
              if (pin !== undefined) answer.fields = yield* stamped(pin, exchange, answer, isSecure())
              return Message.toClient(answer, () => bodyOf(sent.success))
            }
          }
          reason = Result.isSuccess(sent) ? "protocol_error" : Failure.fromClientError(sent.failure).reason
          exchange.failed(reason)
          if (!Failure.mayTryAnother(reason, head.method, fields.framing !== "none")) break
        }
        return refuse(reason)
      }).pipe(
        Effect.tapCause((cause) =>
          Cause.hasDies(cause) ? Effect.logError("A request could not be forwarded", cause) : Effect.void
        ),
        // Servers run applications uninterruptibly; a client that leaves must stop its exchange at once.
        Effect.interruptible
      )

      return Forwarder.of({ handle })
    })
  )
