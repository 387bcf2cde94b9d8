/** What all connections of a `WireClient` share: limits, timeouts, and who is told what becomes of them. */
import type { TransportFailure } from "../../services/Failure.ts"
import type { BackendConnection, ClientExchange } from "./ClientExchange.ts"
import type { Deadlines } from "./Deadlines.ts"
import type { Limits } from "./Head.ts"

/** In milliseconds. */
interface Timeouts {
  /** For the connection. */
  readonly connect: number
  /** From the end of the request to the head of the response. */
  readonly response: number
  /** Between two reads or writes of a body. */
  readonly idle: number
  /** Between two requests. */
  readonly keepAlive: number
  /** Of a connection. An older one ends with its next answer. */
  readonly lifetime: number
}

/** Limits and timeouts. */
export interface ClientContext {
  readonly limits: Limits
  readonly timeouts: Timeouts
  readonly deadlines: Deadlines
}

/** Who is told what becomes of a connection. */
export interface Owner {
  /** It can be used, for the first time or again. */
  onFree(connection: BackendConnection): void
  /**
   * The exchange was lost with the connection before there was an answer. `isStale` is a connection
   * that was closed before.
   */
  onLost(exchange: ClientExchange, failure: TransportFailure, isStale: boolean): void
  onGone(connection: BackendConnection): void
}
