/** What all connections of a client share. */
import type { TransportFailure } from "../../services/Failure.ts"
import type { Back, ClientExchange } from "./ClientExchange.ts"
import type { Deadlines } from "./Deadlines.ts"
import type { Limits } from "./Head.ts"

/** In milliseconds. */
export interface Timeouts {
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

/** Limits and clocks. */
export interface Client {
  readonly limits: Limits
  readonly timeouts: Timeouts
  readonly deadlines: Deadlines
}

/** Who is told what becomes of a connection. */
export interface Owner {
  /** It can be used, for the first time or again. */
  onFree(connection: Back): void
  /**
   * The exchange was lost with the connection before there was an answer. `isStale` is a connection
   * that was closed before.
   */
  onLost(exchange: ClientExchange, failure: TransportFailure, isStale: boolean): void
  onGone(connection: Back): void
}
