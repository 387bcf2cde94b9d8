/**
 * The path of one request:
 *
 *   translate the head -> [ select an endpoint -> begin -> send -> head of the response -> judge ] (again on
 *   another endpoint, where the policy and the budget allow it) -> translate back -> hand over the body -> its end
 *   -> end of the try -> log
 *
 * It is an application for any `HttpServer` layer and sends through any `HttpClient` layer.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type HttpServerResponse, setHeader } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AccessLog, guarded } from "../services/AccessLog.ts"
import { Affinity } from "../services/Affinity.ts"
import { authorityOf } from "../services/Backend.ts"
import { Balancer } from "../services/Balancer.ts"
import * as ClientAddress from "../services/ClientAddress.ts"
import { Drain } from "../services/Drain.ts"
import * as ErrorResponse from "../services/ErrorResponse.ts"
import * as Failure from "../services/Failure.ts"
import { defaultOptions, Forwarder, type Options } from "../services/Forwarder.ts"
import type { Extract } from "../services/HashKey.ts"
import * as HeaderFields from "../services/HeaderFields.ts"
import type { Endpoint } from "../services/Load.ts"
import type * as Message from "../services/Message.ts"
import * as Occasionally from "../services/Occasionally.ts"
import * as PlatformRequest from "../services/PlatformRequest.ts"
import * as PlatformResponse from "../services/PlatformResponse.ts"
import * as RetryBudget from "../services/RetryBudget.ts"
import * as RetryPolicy from "../services/RetryPolicy.ts"
import * as Target from "../services/Target.ts"
import { Exchange } from "./forwarder/Exchange.ts"
import * as Sender from "./forwarder/Sender.ts"
import * as Shortage from "./forwarder/Shortage.ts"
import * as Trial from "./forwarder/Trial.ts"
import * as Tries from "./forwarder/Tries.ts"
import { Upload } from "./forwarder/Upload.ts"

/** Milliseconds between two lines about the same bug. */
const reportEvery = 10_000

const noBody = (): Stream.Stream<Uint8Array> => Stream.empty

/** The body of a backend's response, for servers that know only the platform's interface. */
const bodyOf = (response: HttpClientResponse): Stream.Stream<Uint8Array, Failure.TransportFailure> =>
  response.stream.pipe(
    Stream.catchReason("HttpClientError", "EmptyBodyError", noBody),
    Stream.mapError((error) => Failure.TransportFailure.make({ reason: "reset_mid_body", message: error.message }))
  )

/**
 * Why a request is not answered by itself: there is a bug, which goes to the log, or no time any more. The platform sends
 * a response that is a defect.
 */
const sayWhy = (cause: Cause.Cause<never>): Effect.Effect<void, never, HttpServerRequest> => {
  const reason = Failure.fromCause(cause)
  if (reason === "client_aborted") return Effect.void
  return Effect.flatMap(HttpServerRequest, ({ headers }) =>
    Effect.andThen(
      reason === "internal_error" ? Effect.logError("A request could not be forwarded", cause) : Effect.void,
      Effect.die(ErrorResponse.make(reason, headers["accept"]))
    ))
}

/** The client gets the answer of a backend, and the cookie to come back with, if it needs one. */
const handOver = (
  response: HttpClientResponse,
  head: Message.ResponseHead,
  cookie: string | undefined,
  body: Message.LazyBody = () => bodyOf(response)
): HttpServerResponse => {
  const forwarded = HeaderFields.toClient(head.status, head.fields)
  const fields = cookie === undefined ? forwarded : [...forwarded, "Set-Cookie", cookie]
  return PlatformResponse.toClient({ ...head, fields }, body)
}

/** Forwards with these options. */
export const layer = (
  options: Options = defaultOptions
): Layer.Layer<Forwarder, never, AccessLog | Balancer | Drain | HttpClient.HttpClient> =>
  Layer.effect(
    Forwarder,
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const { hedge, isTrustedProxy, retry } = options
      const hashKey: Extract = (head, address) =>
        options.hashKey(head, ClientAddress.original(head.fields, address, isTrustedProxy))
      const budget = RetryBudget.make()
      const withdraw = (): boolean => RetryBudget.withdraw(budget, retry.budget, clock.currentTimeMillisUnsafe())
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const occasionally = Occasionally.make(reportEvery, clock)
      const log = guarded(yield* AccessLog, (defect) =>
        occasionally(() => fork(Effect.logError("The access log has a bug; lines are lost", defect))))
      const books = { balancer: yield* Balancer, log, clock, hashKey, withdraw }
      const sender = Sender.make(yield* HttpClient.HttpClient)
      const tries = Tries.make(options, { ...books, sender, random: yield* Random.Random })
      const noteShortage = Shortage.make(books.log, clock)
      const drain = yield* Drain
      const affinity = yield* Affinity
      let inFlight = 0

      const clientOf = (request: HttpServerRequest, head: Message.RequestHead): HeaderFields.Client => {
        const address = Option.getOrUndefined(Option.map(request.remoteAddress, ClientAddress.plain))
        return {
          address,
          protocol: request.protocol ?? head.protocol ??
            (request.originalUrl.startsWith("https:") ? "https" : "http"),
          trusted: address !== undefined && options.isTrustedProxy(address)
        }
      }

      const requestTo = (
        { backend: { origin } }: Endpoint,
        exchange: Exchange,
        head: Message.RequestHead,
        { fields, host }: HeaderFields.RequestFields
      ) => {
        // HTTP/1.0 allows a request without Host, and what is sent is HTTP/1.1, which does not (RFC 9112 §3.2).
        const known = options.hostHeader === "preserve" ? host : undefined
        const sent = {
          ...head,
          origin,
          target: Target.originForm(head.method, head.target),
          fields: ["Host", known ?? authorityOf(origin), ...fields],
          resending: exchange
        }
        const { request, upload } = exchange
        return PlatformRequest.toBackend(
          sent,
          upload && (() =>
            upload.watch(request.stream))
        )
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

        const refuse = (reason: Failure.Reason, detail?: string): HttpServerResponse => {
          exchange.refused(reason)
          return ErrorResponse.make(reason, request.headers["accept"], detail)
        }

        const pin = affinity === undefined ? undefined : yield* affinity.read(head, from)
        exchange.pinned = pin?.id
        const fields = HeaderFields.toBackend(head.method, head.target, pin?.fields ?? head.fields, from)
        if (fields._tag === "Refusal") {
          // Where an invalid message ends is nothing to rely on, so its connection ends with it.
          return setHeader(refuse(fields.reason, fields.detail), "connection", "close")
        }

        RetryBudget.deposit(budget, exchange.startedAt)
        const { hasBody } = fields
        const upload = hasBody ? exchange.upload = new Upload(clock, head.body) : undefined
        const isIdempotent = retry.methods.has(head.method)
        if (hasBody && isIdempotent && retry.tries > 1) head.body?.keep(retry.bodyLimit)
        exchange.mayResend = isIdempotent && retry.tries > 1 && retry.reasons.has("reset_before_headers")
        // A second backend would not know a session.
        const isFree = exchange.pinned === undefined && head.upgrade === undefined
        const mayHedge = hedge !== undefined && isIdempotent && !hasBody && isFree

        let endpoint: Endpoint | undefined = exchange.select()
        if (endpoint === undefined) {
          const waited = yield* Effect.result(tries.wait(exchange))
          if (Result.isFailure(waited)) return refuse(waited.failure._tag === "NoBackend" ? "no_backend" : "overloaded")
          endpoint = waited.success
        } else {
          // A look at the clock is saved, but a trial must not seem to have begun before it was one.
          exchange.begin(endpoint, endpoint.load.isOnTrial ? undefined : exchange.startedAt)
        }

        let reason: Failure.Reason = "internal_error"
        // An answer that another try may do better than.
        let kept: HttpClientResponse | undefined
        while (endpoint !== undefined) {
          if (upload?.isComplete === false && endpoint.load.isOnTrial) yield* Trial.spare(exchange, upload)
          const sent: Result.Result<HttpClientResponse, Effect.Error<Sender.Sending>> = yield* Effect.result(
            tries.send(exchange, mayHedge, endpoint, (endpoint) => requestTo(endpoint, exchange, head, fields))
          )
          const isWhole = upload?.isWhole ?? true
          const isRepeatable = isIdempotent && isWhole
          /** The head of the answer, if there is one. */
          let brought: Message.ResponseHead | undefined
          let verdict: RetryPolicy.Verdict
          if (Result.isSuccess(sent)) {
            const answer = brought = PlatformResponse.headOf(sent.success)
            exchange.answered(answer)
            verdict = RetryPolicy.afterStatus(retry, answer.status, exchange, isRepeatable)
            if (kept !== undefined) yield* sender.release(kept)
            if (verdict === "no") {
              if (mayHedge) tries.noteLatency(exchange)
              const isTrial = exchange.accept()
              if (hasBody) head.body?.settle()
              if (answer.status === 101) {
                const over = drain.tunnel(endpoint, () => answer.body?.release())
                yield* Scope.addFinalizer(scope, Effect.sync(over))
              }
              const body = isTrial
                ? yield* Trial.watch(exchange, answer.body, () => bodyOf(sent.success))
                : undefined
              const cookie = pin && (yield* pin.stamp(exchange.answeringId, answer.status))
              return handOver(sent.success, answer, cookie, body)
            }
            exchange.setAside()
            kept = sent.success
          } else {
            const failure = Failure.behindTry(sent.failure)
            reason = failure.reason
            if (reason === "overloaded") noteShortage(failure.message)
            exchange.failed(reason)
            verdict = isWhole ? RetryPolicy.afterFailure(retry, reason, exchange, isRepeatable) : "no"
          }
          endpoint = yield* tries.another(exchange, verdict, brought)
          if (endpoint !== undefined) exchange.begin(endpoint)
        }
        if (hasBody) head.body?.settle()
        if (kept === undefined) {
          const refusal = refuse(reason)
          // The client may go on with what nobody waits for any more (RFC 9110 §15.5.9).
          return reason === "request_timeout" ? setHeader(refusal, "connection", "close") : refusal
        }
        exchange.takeBack()
        const answer = PlatformResponse.headOf(kept)
        return handOver(kept, answer, pin && (yield* pin.stamp(exchange.answeringId, answer.status)))
      }).pipe(
        Effect.onError(sayWhy),
        // Servers run applications uninterruptibly; a client that leaves must stop its exchange at once.
        Effect.interruptible
      )

      return Forwarder.of({ handle, inFlight: Effect.sync(() => inFlight) })
    })
  )
