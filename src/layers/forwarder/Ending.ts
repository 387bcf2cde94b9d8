/**
 * Why the client of an exchange has not got the whole answer of a backend, if it has not.
 *
 * Owns which of several reasons it was. That there was an answer at all, and who gave it, is in `Exchange`.
 */
import type * as Cause from "effect/Cause"
import * as Failure from "../../services/Failure.ts"
import type { RequestHead } from "../../services/Message.ts"
import type { Reason } from "../../services/Reason.ts"

export class Ending {
  /** Why the client gets an answer of our own. */
  refusal: Reason | undefined
  /** Why the client has not got all of the answer, if a server has asked for it as a stream. */
  private brokenBy: Reason | undefined
  /** Whether somebody has begun to read the answer and has left it. */
  private isLeft = false

  /** The client gets an answer of our own. */
  refuse(reason: Reason): void {
    this.refusal = reason
  }

  /**
   * The stream of the answer has broken off, or the client has left it. Whoever changes it on its way, such as a
   * middleware that compresses, reads it in another fiber than that of the request, which is not told who has left.
   */
  brokeOff(cause: Cause.Cause<unknown>, isOwnFiber = true): void {
    const reason = Failure.fromCause(cause)
    if (reason === "draining" && !isOwnFiber) this.isLeft = true
    else this.brokenBy ??= reason
  }

  /** Why it ended; nothing, if the client got all of a backend's answer. */
  reason({ body }: RequestHead): Reason | undefined {
    return body?.brokenBy ?? this.brokenBy ?? (this.isLeft ? "client_aborted" : this.refusal)
  }
}
