/**
 * The forwarder: one exchange, from the request's head to the response's last byte.
 *
 * Owns the interface and the options of forwarding; the path itself is `layers/Forwarder`. How long a backend may take is
 * the promise of the client layer, which owns the connection.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import * as HashKey from "./HashKey.ts"

/** How requests are forwarded. */
export interface Options {
  /** `preserve` sends the client's `Host`, `backend` the backend's own. */
  readonly hostHeader: "preserve" | "backend"
  /** Whether the address at the other end of the connection is a proxy whose `X-Forwarded-*` fields are believed. */
  readonly isTrustedProxy: (address: string) => boolean
  /** How many backends are tried at the most, where another try can do no harm: see `mayTryAnother` of `Failure`. */
  readonly maxTries: number
  /** The key of a request, for strategies that hash one. It is read only when a strategy asks, and once for an exchange. */
  readonly hashKey: HashKey.Extract
}

/** Preserves `Host` as HAProxy and Caddy do, trusts nobody, tries 3 backends, and hashes the client. */
export const defaultOptions: Options = {
  hostHeader: "preserve",
  isTrustedProxy: () => false,
  maxTries: 3,
  hashKey: HashKey.client
}

/** An HTTP application that answers each request with a backend's answer. */
export class Forwarder extends Context.Service<Forwarder, {
  /**
   * Forwards the request of the context. Every failure before the response's head is itself a response. The exchange ends,
   * and is counted and logged, when the request's scope closes: after the last byte of the body.
   */
  readonly handle: Effect.Effect<HttpServerResponse, never, HttpServerRequest | Scope.Scope>
}>()("evenkeel/services/Forwarder") {}
