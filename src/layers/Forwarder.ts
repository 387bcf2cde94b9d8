/**
 * The path of one request:
 *
 *   translate the head -> [ select an endpoint -> begin -> send -> head of the response -> judge ] (again on another endpoint,
 *   where the policy and the budget allow it) -> translate back -> hand over the body -> its end -> end of the try -> log
 *
 * It is an application for any `HttpServer` layer and sends through any `HttpClient` layer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type HttpServerResponse, setHeader } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AccessLog } from "../services/AccessLog.ts"
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
import * as Hedging from "../services/Hedging.ts"
import type { Endpoint } from "../services/Load.ts"
import * as Message from "../services/Message.ts"
import * as RetryBudget from "../services/RetryBudget.ts"
import * as RetryPolicy from "../services/RetryPolicy.ts"
import * as Target from "../services/Target.ts"
import { Exchange } from "./Exchange.ts"
import * as Hedge from "./forwarder/Hedge.ts"
import * as Sender from "./forwarder/Sender.ts"

const noBody = (): Stream.Stream<Uint8Array> => Stream.empty

/** The body of a backend's response, for servers that know only the platform's interface. */
const bodyOf = (response: HttpClientResponse): Stream.Stream<Uint8Array, Failure.TransportFailure> =>
  response.stream.pipe(
    Stream.catchReason("HttpClientError", "EmptyBodyError", noBody),
    Stream.mapError((error) => Failure.TransportFailure.make({ reason: "reset_mid_body", message: error.message }))
  )

/** The client gets the answer of a backend, and the cookie to come back with, if it needs one. */
const handOver = (
  response: HttpClientResponse,
  head: Message.ResponseHead,
  cookie: string | undefined
): HttpServerResponse => {
  const forwarded = HeaderFields.toClient(head.status, head.fields)
  const fields = cookie === undefined ? forwarded : [...forwarded, "Set-Cookie", cookie]
  return Message.toClient({ ...head, fields }, () => bodyOf(response))
}

/** Forwards with these options. */
export const layer = (
  options: Options = defaultOptions
): Layer.Layer<Forwarder, never, AccessLog | Balancer | Drain | HttpClient.HttpClient> =>
  Layer.effect(
    Forwarder,
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const { exchangeTimeout, hedge, isTrustedProxy, retry, tryTimeout } = options
      const hashKey: Extract = (head, address) =>
        options.hashKey(head, ClientAddress.original(head.fields, address, isTrustedProxy))
      const books = { balancer: yield* Balancer, log: yield* AccessLog, clock, hashKey }
      const { release, send } = Sender.make(yield* HttpClient.HttpClient)
      const random = yield* Random.Random
      const drain = yield* Drain
      const affinity = yield* Affinity
      const budget = RetryBudget.make()
      const hedgeBudget = RetryBudget.make()
      const latencies = Hedging.make()

      const clientOf = (request: HttpServerRequest): HeaderFields.Client => {
        const address = Option.getOrUndefined(request.remoteAddress)
        return {
          address,
          protocol: request.protocol ?? (request.originalUrl.startsWith("https:") ? "https" : "http"),
          trusted: address !== undefined && options.isTrustedProxy(address)
        }
      }

      const requestTo = (
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
        return Message.toBackend(sent, framing === "none" ? undefined : () => request.stream)
      }

      /** Milliseconds that an exchange has left. */
      const timeLeft = ({ startedAt }: Exchange): number =>
        exchangeTimeout === Infinity ? Infinity : startedAt + exchangeTimeout - clock.currentTimeMillisUnsafe()

      /** One try, within what is left of the time. */
      const tryOnce = (exchange: Exchange, request: HttpClientRequest) => {
        const left = timeLeft(exchange)
        return left > tryTimeout
          ? Sender.within(send(request), tryTimeout, "headers_timeout")
          : Sender.within(send(request), left, "deadline_exceeded")
      }

      /** The same, and once more beside it if it takes longer than usual and there is a budget for that. */
      const tryHedged = (
        exchange: Exchange,
        { after, budget }: Hedging.Policy,
        endpoint: Endpoint,
        requestFor: (endpoint: Endpoint) => HttpClientRequest
      ) => {
        const first = tryOnce(exchange, requestFor(endpoint))
        const delay = Hedging.quantile(latencies, after)
        RetryBudget.deposit(hedgeBudget, exchange.startedAt)
        return delay === undefined ? first : Hedge.hedged(first, {
          delay,
          release,
          begin: () => {
            const other = exchange.select()
            const policy = { ratio: budget, perSecond: 0 }
            if (other === undefined || !RetryBudget.withdraw(hedgeBudget, policy, clock.currentTimeMillisUnsafe())) {
              return
            }
            exchange.beginBeside(other)
            return tryOnce(exchange, requestFor(other))
          },
          end: (firstWins, loser) => exchange.endRace(firstWins, loser),
          isGood: ({ status }) => !retry.statuses.has(status)
        })
      }

      /**
       * The endpoint for one more try, when it is due; none, if there is nobody to ask, no time or no budget. `answer` is what
       * the last try has brought.
       */
      const another = Effect.fnUntraced(function*(
        exchange: Exchange,
        verdict: RetryPolicy.Verdict,
        answer: Message.ResponseHead | undefined
      ) {
        let wait = verdict === "free" ? 0 : RetryPolicy.backoff(retry, exchange.reached, random.nextDoubleUnsafe())
        let endpoint = exchange.select()
        if (endpoint === undefined && answer !== undefined) {
          const asked = RetryPolicy.retryAfter(
            Message.toHeaders(answer.fields)["retry-after"],
            clock.currentTimeMillisUnsafe()
          )
          if (asked === undefined || asked > retry.maxWait) return undefined
          wait += asked
          endpoint = exchange.selectAgain()
        }
        if (endpoint === undefined || wait >= timeLeft(exchange)) return undefined
        if (verdict === "budgeted" && !RetryBudget.withdraw(budget, retry.budget, clock.currentTimeMillisUnsafe())) {
          exchange.isOverBudget = true
          return undefined
        }
        if (wait < 1) return endpoint
        yield* Effect.sleep(wait)
        // Others may have filled it meanwhile.
        return endpoint.load.inFlight < endpoint.load.limit ? endpoint : exchange.select()
      })

      const handle = Effect.gen(function*() {
        const request = yield* HttpServerRequest
        const head = Message.received(request)
        const from = clientOf(request)
        const exchange = new Exchange(books, request, head, from.address)
        // `Effect.addFinalizer` would copy the fiber's context for each request.
        const scope = yield* Scope.Scope
        yield* Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => exchange.finish(exit)))

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
        const hasBody = fields.framing !== "none"
        const isIdempotent = retry.methods.has(head.method)
        if (hasBody && isIdempotent && retry.tries > 1) head.body?.keep(retry.bodyLimit)
        // A second backend would not know a session.
        const isFree = exchange.pinned === undefined && head.upgrade === undefined
        const mayHedge = hedge !== undefined && isIdempotent && !hasBody && isFree
        let reason: Failure.Reason = "internal_error"
        // An answer that another try may do better than.
        let kept: HttpClientResponse | undefined
        let endpoint = exchange.select()
        if (endpoint === undefined) {
          const waited = yield* Effect.result(exchange.wait())
          if (Result.isFailure(waited)) return refuse(waited.failure._tag === "NoBackend" ? "no_backend" : "overloaded")
          endpoint = waited.success
        } else {
          exchange.begin(endpoint)
        }
        while (endpoint !== undefined) {
          const sent = yield* Effect.result(
            mayHedge && exchange.attempt === 1
              ? tryHedged(exchange, hedge, endpoint, (endpoint) => requestTo(endpoint, request, head, fields))
              : tryOnce(exchange, requestTo(endpoint, request, head, fields))
          )
          const isRepeatable = isIdempotent && (!hasBody || head.body?.isWhole === true)
          let verdict: RetryPolicy.Verdict
          let received: Message.ResponseHead | undefined
          if (Result.isSuccess(sent)) {
            const response = sent.success
            received = Message.answered(response)
            exchange.answered(received)
            // A transfer coding that nobody asked for cannot be undone.
            if (HeaderFields.isDecoded(received.fields)) {
              verdict = RetryPolicy.afterStatus(retry, received.status, exchange, isRepeatable)
              if (kept !== undefined) yield* release(kept)
              if (verdict === "no") {
                if (mayHedge) Hedging.observe(latencies, exchange.answeredAfter)
                exchange.dropAside()
                if (hasBody) head.body?.settle()
                if (received.status === 101) {
                  const over = drain.tunnel(endpoint, () => received?.body?.release())
                  yield* Scope.addFinalizer(scope, Effect.sync(over))
                }
                return handOver(response, received, pin && (yield* pin.stamp(exchange.answeringId, received.status)))
              }
              exchange.setAside()
              kept = response
            } else {
              reason = "protocol_error"
              exchange.failed(reason)
              yield* release(response)
              verdict = RetryPolicy.afterFailure(retry, reason, exchange, isRepeatable)
            }
          } else {
            reason = Failure.reasonOf(sent.failure)
            exchange.failed(reason)
            verdict = RetryPolicy.afterFailure(retry, reason, exchange, isRepeatable)
          }
          endpoint = verdict === "no" ? undefined : yield* another(exchange, verdict, received)
          if (endpoint !== undefined) exchange.begin(endpoint)
        }
        if (hasBody) head.body?.settle()
        if (kept === undefined) return refuse(reason)
        exchange.takeBack()
        const answer = Message.answered(kept)
        return handOver(kept, answer, pin && (yield* pin.stamp(exchange.answeringId, answer.status)))
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
