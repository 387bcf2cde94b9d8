/**
 * The forwarder: one exchange, from the request's head to the response's last byte.
 *
 * Owns the interface and the options of forwarding; the path itself is `layers/Forwarder`. How long a backend
 * may take to accept a connection, to begin its answer and to go on with it is the promise of the client layer,
 * which owns the connection.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import * as HashKey from "./HashKey.ts"
import type * as Hedging from "./Hedging.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import * as Validate from "./Validate.ts"

/** How requests are forwarded. */
export interface Options {
  /** `preserve` sends the client's `Host`, `backend` the backend's own. */
  readonly hostHeader: "preserve" | "backend"
  /** Whether the address at the other end of the connection is a proxy whose `X-Forwarded-*` fields are believed. */
  readonly isTrustedProxy: (address: string) => boolean
  /**
   * The key of a request, for strategies that hash one. It is read only when a strategy asks, and once for an exchange.
   */
  readonly hashKey: HashKey.Extract
  readonly retry: RetryPolicy.Policy
  /** Milliseconds from the request's head to the head of the response, all tries together; `Infinity` for no limit. */
  readonly exchangeTimeout: number
  /**
   * Milliseconds from the begin of a try to the head of the response; `Infinity` for the limits of
   * the client layer only.
   */
  readonly tryTimeout: number
  /** Whether and when requests are sent to a second backend although the first may still answer. */
  readonly hedge: Hedging.Policy | undefined
}

/**
 * Preserves `Host` as HAProxy and Caddy do, trusts nobody, hashes the client, sets no limits to the
 * time and does not hedge.
 */
export const defaultOptions: Options = {
  hostHeader: "preserve",
  isTrustedProxy: () => false,
  hashKey: HashKey.client,
  retry: RetryPolicy.defaultPolicy,
  exchangeTimeout: Infinity,
  tryTimeout: Infinity,
  hedge: undefined
}

/** The same options if they are valid; throws otherwise, because a deadline of `NaN` is over before it begins. */
export const checked = (options: Options): Options => {
  const { exchangeTimeout, hedge, retry, tryTimeout } = options
  RetryPolicy.checked(retry)
  Validate.number("exchangeTimeout", exchangeTimeout, Validate.positive)
  Validate.number("tryTimeout", tryTimeout, Validate.positive)
  if (hedge === undefined) return options
  Validate.number("hedge.after", hedge.after, Validate.someShare)
  Validate.number("hedge.budget", hedge.budget, Validate.someShare)
  return options
}

/** An HTTP application that answers each request with a backend's answer. */
export class Forwarder extends Context.Service<Forwarder, {
  /**
   * Forwards the request of the context. Every failure before the response's head is itself a response. The exchange
   * ends, and is counted and logged, when the request's scope closes: after the last byte of the body.
   */
  readonly handle: Effect.Effect<HttpServerResponse, never, HttpServerRequest | Scope.Scope>
  /** How many exchanges have begun and not ended, among them those that wait for room or for their next try. */
  readonly inFlight: Effect.Effect<number>
}>()("evenkeel/services/Forwarder") {}
