/** What all connections of a `WireServer` share: limits, timeouts, and who works on their requests. */
import type { Reason } from "../../services/Reason.ts"
import type { Connection } from "./Connection.ts"
import type { Deadlines } from "./Deadlines.ts"
import type { Limits } from "./RequestReader.ts"
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

/** A request that was refused before anybody worked on it. */
export interface RefusedRequest {
  readonly reason: Reason
  /** The address of the client. */
  readonly client: string | undefined
  /** Nothing if it is the head that is refused, or has not come whole. */
  readonly head: { readonly method: string; readonly target: string } | undefined
  /** Milliseconds that were waited for the rest of its head. */
  readonly waitedMs: number
}

/** Limits, timeouts, and who works on requests. */
export interface ServerContext {
  readonly limits: Limits
  readonly timeouts: Timeouts
  readonly deadlines: Deadlines
  /** Whether the server has stopped accepting, so that each response is the last of its connection. */
  readonly isClosing: boolean
  /** Starts to work on a request. */
  handle(exchange: ServerExchange): void
  onRefused(request: RefusedRequest): void
  /** A connection is gone. */
  onClose(connection: Connection): void
}
