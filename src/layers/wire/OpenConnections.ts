/**
 * The connections that a server has open, and how it takes leave of them.
 *
 * Owns the graceful end: idle connections first, the others when their exchanges are over, and in the end whatever is
 * left. Whether the server still accepts connections is decided by `WireServer`.
 */
import * as Effect from "effect/Effect"
import type { ServerConnection } from "./ServerConnection.ts"

/**
 * Clients that are at work send their next request within this time, and learn from its answer that the connection is
 * closed. To close it at once would lose what is on its way.
 */
const lastRequest = "200 millis"

export class OpenConnections {
  private readonly open = new Set<ServerConnection>()
  private onEmpty: (() => void) | undefined

  /** How many there are. */
  get size(): number {
    return this.open.size
  }

  add(connection: ServerConnection): void {
    this.open.add(connection)
  }

  delete(connection: ServerConnection): void {
    this.open.delete(connection)
    if (this.open.size === 0) this.onEmpty?.()
  }

  private readonly untilEmpty = Effect.callback<void>((resume) => {
    if (this.open.size === 0) resume(Effect.void)
    else this.onEmpty = () => resume(Effect.void)
  })

  private readonly leave = Effect.sync(() => {
    for (const connection of this.open) connection.leave()
  })

  /** Closes what is idle and stays so for a moment, and waits for what has come by then to be answered. */
  readonly drain: Effect.Effect<void> = Effect.timeoutOrElse(this.untilEmpty, {
    duration: lastRequest,
    orElse: () => Effect.andThen(this.leave, this.untilEmpty)
  })

  /** There is no more time for whoever is left. */
  terminate(): void {
    for (const connection of this.open) connection.terminate()
  }

  /** Closes whatever is left, after what was written to it. */
  destroySoon(): void {
    for (const connection of this.open) connection.socket.destroySoon()
  }
}
