/**
 * The steps of which the tries of an exchange consist: a try begins, within its time and perhaps with a second one
 * beside it; it ends; and another one is found.
 *
 * Owns the waits, and the budget of hedges, which all exchanges share. What a try means for its exchange is in
 * `Exchange`; the order of the steps is in `layers/Forwarder`; the rules are in `services`: `RetryPolicy`,
 * `RetryBudget`, `Hedging`.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type * as Random from "effect/Random"
import type { AccessLog } from "../../services/AccessLog.ts"
import { type Balancer, Overloaded } from "../../services/Balancer.ts"
import * as Failure from "../../services/Failure.ts"
import { valueOf } from "../../services/Fields.ts"
import type { Options } from "../../services/Forwarder.ts"
import * as Hedging from "../../services/Hedging.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { ResponseHead } from "../../services/Message.ts"
import * as Monotonic from "../../services/Monotonic.ts"
import type { Reason } from "../../services/Reason.ts"
import * as RetryBudget from "../../services/RetryBudget.ts"
import * as RetryPolicy from "../../services/RetryPolicy.ts"
import type { Exchange } from "./Exchange.ts"
import * as Hedge from "./Hedge.ts"
import * as Sender from "./Sender.ts"
import * as Shortage from "./Shortage.ts"

/** What tries need from outside. */
interface Needs {
  readonly balancer: Balancer["Service"]
  readonly sender: Sender.Sender
  readonly log: AccessLog["Service"]
  readonly clock: Clock.Clock
  readonly random: typeof Random.Random["Service"]
  /** Takes one more try out of the budget, if it has one left. */
  readonly withdraw: () => boolean
  /** Puts back what was taken at that time, for a try that has not begun. */
  readonly putBack: (takenAt: number) => void
}

/** How the request of an exchange is sent to an endpoint. */
type RequestFor = (endpoint: Endpoint) => HttpClientRequest

export const make = (
  { exchangeTimeout, hedge, retry, tryTimeout }: Options,
  { balancer, clock, log, putBack, random, sender: { release, send }, withdraw }: Needs
) => {
  const noteShortage = Shortage.make(log, clock)
  const hedgeBudget = RetryBudget.make()
  const latencies = Hedging.make()

  const maxWait = retry.maxWait ?? (exchangeTimeout === Infinity ? RetryPolicy.defaultMaxWait : Infinity)

  /** Milliseconds that an exchange has left. */
  const timeLeft = ({ startedAt }: Exchange): number =>
    exchangeTimeout === Infinity ? Infinity : exchangeTimeout - (Monotonic.millisUnsafe(clock) - startedAt)

  /** How long an answer asks to wait before its backend is asked again; infinite where that is not to be done. */
  const patience = (answer: ResponseHead | undefined): number => {
    if (answer === undefined) return Infinity
    const asked = RetryPolicy.retryAfter(valueOf(answer.fields, "retry-after"), clock.currentTimeMillisUnsafe())
    return asked === undefined || asked > maxWait ? Infinity : asked
  }

  /** One try, within what is left of the time. */
  const once = (exchange: Exchange, request: HttpClientRequest): Sender.Sending => {
    const left = timeLeft(exchange)
    return left > tryTimeout
      ? Sender.within(send(request), tryTimeout, "headers_timeout", exchange.upload)
      : Sender.within(send(request), left, "deadline_exceeded", exchange.upload)
  }

  /** The same, and once more beside it if it takes longer than usual and there is a budget for that. */
  const hedged = (
    { after, budget }: Hedging.Policy,
    exchange: Exchange,
    endpoint: Endpoint,
    requestFor: RequestFor
  ): Sender.Sending => {
    const first = once(exchange, requestFor(endpoint))
    const delay = Hedging.quantile(latencies, after)
    RetryBudget.deposit(hedgeBudget, Monotonic.millisUnsafe(clock))
    return delay === undefined ? first : Hedge.hedged(first, {
      delay,
      release,
      begin: () => {
        const other = exchange.select()
        // Nobody is so slow that one who is ejected, or a second request of a trial, would be worth it.
        if (other === undefined || !balancer.canTake(other)) return
        const policy = { ratio: budget, perSecond: 0 }
        if (!RetryBudget.withdraw(hedgeBudget, policy, Monotonic.millisUnsafe(clock))) return
        exchange.beginBeside(other)
        return once(exchange, requestFor(other))
      },
      end: (firstWins, failure) => exchange.endRace(firstWins, failure),
      isGood: ({ status }) => !retry.statuses.has(status)
    })
  }

  /** Begins a try if there is room for it now. */
  const begin = (exchange: Exchange): Endpoint | undefined => {
    const endpoint = exchange.select()
    if (endpoint !== undefined) exchange.begin(endpoint)
    return endpoint
  }

  /** Waits for room within the time of the exchange, and begins a try there. */
  const beginLater = (exchange: Exchange): ReturnType<Exchange["wait"]> =>
    Effect.suspend(() => {
      const left = timeLeft(exchange)
      if (left === Infinity) return exchange.wait()
      if (left <= 0) return Effect.fail(Overloaded.make({}))
      return Effect.timeoutOrElse(exchange.wait(), {
        duration: left,
        // It may have got room at that moment, and a try has begun then.
        orElse: () =>
          exchange.answering === undefined ? Effect.fail(Overloaded.make({})) : Effect.succeed(exchange.answering)
      })
    }).pipe(
      // At the end of a stop each exchange makes room for one that ends next.
      Effect.onInterrupt(() => Effect.sync(() => exchange.unbegin()))
    )

  /** The same, if it has no answer: one that is kept is better than a wait in vain. */
  const beginLaterIfWorthIt = (exchange: Exchange): Effect.Effect<Endpoint | undefined> =>
    exchange.keepsAnswer ? Effect.undefined : Effect.orElseSucceed(beginLater(exchange), () => undefined)

  /** Waits, and begins a try on this endpoint, or on what `select` finds then. */
  const beginAfter = Effect.fnUntraced(function*(
    exchange: Exchange,
    wait: number,
    chosen: Endpoint | undefined,
    select: () => Endpoint | undefined
  ) {
    let endpoint = chosen
    if (wait >= 1) {
      yield* Effect.sleep(wait)
      // An answer that came early goes on with its request, of which more may have been sent meanwhile than is kept.
      if (!exchange.isWhole) return undefined
      // Others may have filled it meanwhile, or it was taken out.
      if (endpoint === undefined || !balancer.canTake(endpoint)) endpoint = select()
    }
    if (endpoint === undefined) return yield* beginLaterIfWorthIt(exchange)
    exchange.begin(endpoint)
    return endpoint
  })

  return {
    begin,
    beginLater,
    /** A try on an endpoint. The first one of an exchange that may be hedged is. */
    send: (exchange: Exchange, endpoint: Endpoint, requestFor: RequestFor): Sender.Sending =>
      hedge !== undefined && exchange.mayHedge && exchange.attempt === 1
        ? hedged(hedge, exchange, endpoint, requestFor)
        : once(exchange, requestFor(endpoint)),
    /** The client gets the answer of the current try, whose time says what is usual. */
    accept: (exchange: Exchange): void => {
      if (exchange.mayHedge) Hedging.observe(latencies, exchange.answeredAfter)
      exchange.accept()
    },
    /**
     * The current try has brought no answer, and ends for this reason. Where nobody has seen the request, another one
     * begins at once: not whoever waits for room is to have its place.
     */
    fail: (exchange: Exchange, error: Effect.Error<Sender.Sending>): Reason => {
      const { message, reason } = exchange.upload?.failure ?? Failure.fromClientError(error)
      if (reason === "overloaded") noteShortage(message)
      balancer.beforeOthers(() => {
        exchange.failed(reason)
        if (RetryPolicy.afterFailure(retry, reason, exchange) === "free" && timeLeft(exchange) > 0) begin(exchange)
      })
      return reason
    },
    /**
     * Begins one more try when it is due, also after a wait for room; none, if there is nobody to ask, no time or no
     * budget. `answer` is what the last try has brought.
     */
    another: Effect.fnUntraced(function*(exchange: Exchange, verdict: RetryPolicy.Verdict, answer?: ResponseHead) {
      if (verdict === "no") return undefined
      if (verdict === "free") {
        const waitsFrom = Monotonic.millisUnsafe(clock)
        const endpoint = yield* beginLaterIfWorthIt(exchange)
        exchange.unsentMs += Monotonic.millisUnsafe(clock) - waitsFrom
        return endpoint
      }
      let wait = RetryPolicy.backoff(retry, exchange.reached, random.nextDoubleUnsafe())
      const other = exchange.select()
      const left = timeLeft(exchange)
      const asked = patience(answer)
      const isFull = other === undefined && !exchange.keepsAnswer && !exchange.isHopeless
      // Whoever is only ejected, or on trial already, is asked where an error is all that is to be had.
      const isAgain = !isFull && (other === undefined || (wait + asked < left && !balancer.canTake(other)))
      if (isAgain) wait += asked
      if (wait >= left) return undefined
      const takenAt = Monotonic.millisUnsafe(clock)
      if (!withdraw()) {
        exchange.isOverBudget = true
        return undefined
      }
      const select = isAgain ? () => exchange.selectAgain() : () => exchange.select()
      // Not before it is certain that the client does not get the answer that is kept.
      const next = isAgain ? select() : other
      const begun = next === undefined && !isFull ? undefined : yield* beginAfter(exchange, wait, next, select)
      if (begun === undefined) putBack(takenAt)
      return begun
    })
  }
}
