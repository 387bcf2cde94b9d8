/** What all connections of a server share. */
import type { Reason } from "../../services/Failure.ts"
import type { Connection } from "./Connection.ts"
import type { Deadlines } from "./Deadlines.ts"
import type * as Head from "./Head.ts"
import type { ServerExchange } from "./ServerExchange.ts"

/** In milliseconds. */
export interface Timeouts {
  /** From the first byte of a head to its end. */
  readonly head: number
  /** Between two reads or writes of a body. */
  readonly idle: number
  /** Between two requests. */
  readonly keepAlive: number
}

/** Limits, clocks, and who works on requests. */
export interface Server {
  readonly limits: Head.Limits & { readonly bodyBytes: number }
  readonly timeouts: Timeouts
  readonly deadlines: Deadlines
  /** Whether the server has stopped accepting, so that each response is the last of its connection. */
  readonly isClosing: boolean
  /** Starts to work on a request. */
  handle(exchange: ServerExchange): void
  /** A request was refused before anybody worked on it. */
  onRefused(reason: Reason, connection: Connection): void
  /** A connection is gone. */
  onClose(connection: Connection): void
}
