/**
 * The path of one request:
 *
 *   open its books -> translate the head -> [ select an endpoint -> begin -> send -> head of the response -> judge ]
 *   (again on another endpoint, where the policy and the budget allow it) -> translate back -> hand over the body
 *   -> its end -> end of the try -> log
 *
 * It is an application for any `HttpServer` layer and sends through any `HttpClient` layer.
 *
 * Owns the order of these steps. The steps of a try are in `forwarder/Tries`, what an exchange has come to is in
 * `forwarder/Exchange`, what the client gets is made by `forwarder/Reply`, and the rules are in `services`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { AccessLog, guarded } from "../services/AccessLog.ts"
import { Affinity } from "../services/Affinity.ts"
import { authorityOf } from "../services/Backend.ts"
import { Balancer } from "../services/Balancer.ts"
import * as ClientAddress from "../services/ClientAddress.ts"
import { Drain } from "../services/Drain.ts"
import * as ErrorResponse from "../services/ErrorResponse.ts"
import { checked, defaultOptions, Forwarder, type Options } from "../services/Forwarder.ts"
import type { Extract } from "../services/HashKey.ts"
import * as HeaderFields from "../services/HeaderFields.ts"
import type { Endpoint } from "../services/Load.ts"
import type * as Message from "../services/Message.ts"
import * as Monotonic from "../services/Monotonic.ts"
import * as Occasionally from "../services/Occasionally.ts"
import * as PlatformRequest from "../services/PlatformRequest.ts"
import * as PlatformResponse from "../services/PlatformResponse.ts"
import { isClients, type Reason } from "../services/Reason.ts"
import * as RetryBudget from "../services/RetryBudget.ts"
import * as RetryPolicy from "../services/RetryPolicy.ts"
import * as Target from "../services/Target.ts"
import { Exchange } from "./forwarder/Exchange.ts"
import * as Reply from "./forwarder/Reply.ts"
import * as Sender from "./forwarder/Sender.ts"
import * as Trial from "./forwarder/Trial.ts"
import * as Tries from "./forwarder/Tries.ts"
import { Upload } from "./forwarder/Upload.ts"

/** Forwards with options that are valid. */
const forwarding = (
  options: Options
): Layer.Layer<Forwarder, never, AccessLog | Balancer | Drain | HttpClient.HttpClient> =>
  Layer.effect(
    Forwarder,
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const { hedge, isTrustedProxy, retry } = options
      const hashKey: Extract = (head, address) =>
        options.hashKey(head, ClientAddress.original(head.fields, address, isTrustedProxy))
      const budget = RetryBudget.make()
      const withdraw = (): boolean => RetryBudget.withdraw(budget, retry.budget, Monotonic.millisUnsafe(clock))
      const putBack = (takenAt: number): void => RetryBudget.putBack(budget, takenAt, Monotonic.millisUnsafe(clock))
      const occasionally = yield* Occasionally.runner
      const log = guarded(yield* AccessLog, (defect) =>
        occasionally(Effect.logError("The access log has a bug; lines are lost", defect)))
      const books = { balancer: yield* Balancer, log, clock, hashKey, withdraw }
      const sender = Sender.make(yield* HttpClient.HttpClient)
      const tries = Tries.make(options, { ...books, putBack, sender, random: yield* Random.Random })
      const drain = yield* Drain
      const affinity = yield* Affinity
      let inFlight = 0

      const clientOf = (request: HttpServerRequest, head: Message.RequestHead): HeaderFields.Client => {
        const address = Option.getOrUndefined(Option.map(request.remoteAddress, ClientAddress.plain))
        return {
          address,
          protocol: request.protocol ?? head.protocol ??
            (request.originalUrl.startsWith("https:") ? "https" : "http"),
          trusted: address !== undefined && isTrustedProxy(address)
        }
      }

      const requestTo = (
        { backend: { origin } }: Endpoint,
        exchange: Exchange,
        { fields, host }: HeaderFields.RequestFields
      ): HttpClientRequest => {
        const { head, request, upload } = exchange
        // HTTP/1.0 allows a request without Host, and what is sent is HTTP/1.1, which does not (RFC 9112 §3.2).
        const known = options.hostHeader === "preserve" ? host : undefined
        const sent = {
          ...head,
          origin,
          target: Target.originForm(head.method, head.target),
          fields: ["Host", known ?? authorityOf(origin), ...fields],
          resending: exchange
        }
        return PlatformRequest.toBackend(
          sent,
          upload && (() =>
            upload.watch(request.stream))
        )
      }

      /** Notes what decides how often the request may be sent. */
      const prepare = (exchange: Exchange, hasBody: boolean): void => {
        const { head } = exchange
        const isIdempotent = exchange.isIdempotent = retry.methods.has(head.method)
        const mayRepeat = isIdempotent && retry.tries > 1
        exchange.mayResend = mayRepeat && retry.reasons.has("reset_before_headers")
        // A second backend would not know a session.
        const isFree = exchange.pinned === undefined && !exchange.isUpgrade
        exchange.mayHedge = hedge !== undefined && isIdempotent && !hasBody && isFree
        if (!hasBody) return
        exchange.upload = new Upload(clock, head.body)
        if (mayRepeat) head.body?.keep(retry.bodyLimit)
      }

      const refuse = (exchange: Exchange, reason: Reason, detail?: string): HttpServerResponse => {
        exchange.ending.refuse(reason)
        return ErrorResponse.make(reason, exchange.request.headers["accept"], detail)
      }

      const handle = Effect.gen(function*() {
        const request = yield* HttpServerRequest
        const head = PlatformRequest.headOf(request)
        const from = clientOf(request, head)
        const exchange = new Exchange(books, request, head, from.address)
        // `Effect.addFinalizer` would copy the fiber's context for each request.
        const scope = yield* Scope.Scope
        inFlight++
        yield* Scope.addFinalizerExit(scope, (exit) =>
          Effect.sync(() => {
            inFlight--
            exchange.finish(exit)
          }))

        const pin = affinity === undefined ? undefined : yield* affinity.read(head, from)
        exchange.pinned = pin?.id
        const fields = HeaderFields.toBackend(head.method, head.target, pin?.fields ?? head.fields, from)
        // Where an invalid message ends is nothing to rely on, so its connection ends with it.
        if (fields._tag === "Refusal") return Reply.closing(refuse(exchange, fields.reason, fields.detail))

        RetryBudget.deposit(budget, exchange.startedAt)
        prepare(exchange, fields.hasBody)
        let endpoint = tries.begin(exchange)
        if (endpoint === undefined) {
          const room = yield* Effect.result(tries.beginLater(exchange))
          if (Result.isFailure(room)) {
            return refuse(exchange, room.failure._tag === "NoBackend" ? "no_backend" : "overloaded")
          }
          endpoint = room.success
        }

        let reason: Reason = "internal_error"
        // The client gets it unless another try does better.
        let response: HttpClientResponse | undefined
        while (endpoint !== undefined) {
          const { upload } = exchange
          if (upload?.isComplete === false && endpoint.load.isOnTrial) yield* Trial.spare(exchange, upload)
          const sent: Result.Result<HttpClientResponse, Effect.Error<Sender.Sending>> = yield* Effect.result(
            tries.send(exchange, endpoint, (endpoint) => requestTo(endpoint, exchange, fields))
          )
          if (Result.isSuccess(sent)) {
            const answer = PlatformResponse.headOf(sent.success)
            exchange.answered(answer)
            if (response !== undefined) yield* sender.release(response)
            response = sent.success
            const verdict = RetryPolicy.afterStatus(retry, answer.status, exchange)
            if (verdict === "no") {
              tries.accept(exchange)
              break
            }
            exchange.setAside()
            // Only told where the answer breaks off while it is kept.
            reason = "reset_before_headers"
            endpoint = yield* tries.another(exchange, verdict, answer)
          } else {
            reason = tries.fail(exchange, sent.failure)
            endpoint = exchange.answering ??
              (yield* tries.another(exchange, RetryPolicy.afterFailure(retry, reason, exchange)))
          }
        }
        if (fields.hasBody) head.body?.settle()
        // A request that does not come to its end is its client's to answer for, whatever a backend has said of a part.
        if (response === undefined || exchange.hasLostAnswer || isClients(reason)) {
          const refusal = refuse(exchange, reason)
          // The client may go on with what nobody waits for any more (RFC 9110 §15.5.9).
          return reason === "request_timeout" ? Reply.closing(refusal) : refusal
        }

        exchange.takeBack()
        const answer = PlatformResponse.headOf(response)
        const { answering, isTrial } = exchange
        if (answer.status === 101 && answering !== undefined) {
          const over = drain.tunnel(answering, () => answer.body?.release())
          yield* Scope.addFinalizer(scope, Effect.sync(over))
        }
        const stream = () => Reply.bodyOf(response, exchange)
        const body = isTrial ? yield* Trial.watch(exchange, answer.body, stream) : stream
        const cookie = pin && (yield* pin.stamp(answering?.backend.id, answer.status))
        return Reply.handOver(answer, pin, cookie, body)
      }).pipe(
        Effect.onError(Reply.sayWhy),
        // Servers run applications uninterruptibly; a client that leaves must stop its exchange at once.
        Effect.interruptible
      )

      return Forwarder.of({ handle, inFlight: Effect.sync(() => inFlight) })
    })
  )

/** Forwards with these options. */
export const layer = (options: Options = defaultOptions): ReturnType<typeof forwarding> => forwarding(checked(options))
