/**
 * The body of a request on its way from the client: when it was complete, and whose time it is until then.
 *
 * Owns the moment from which a backend is timed: before it, the time is the client's. Requests without a body have none
 * of these. What comes of it for a try is in `Try`.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import { ofBody, type TransportFailure } from "../../services/Failure.ts"
import type { RequestBody } from "../../services/Message.ts"
import * as Monotonic from "../../services/Monotonic.ts"

export class Upload {
  /** When the last byte came from the client, in milliseconds; infinite until then. */
  completeAt = Infinity
  private readonly clock: Clock.Clock
  private readonly body: RequestBody | undefined
  private isPulled = false
  private isTaken = false
  /** Whether a try has ended before it had half of its time for itself. */
  private isLate = false
  /** Why the rest of it does not come, for which no backend is to blame. */
  failure: TransportFailure | undefined

  /** `body` is the engine's, if it has one of its own. The platform's has to be watched. */
  constructor(clock: Clock.Clock, body: RequestBody | undefined) {
    this.clock = clock
    this.body = body
    body?.whenComplete(() => this.complete())
  }

  get isComplete(): boolean {
    return this.completeAt !== Infinity
  }

  /** Whether it is the client that is waited for. A backend that does not read keeps its client waiting. */
  get isAwaited(): boolean {
    return !this.isComplete && (this.body?.isAwaited ?? this.isPulled)
  }

  /** Whether all of it can be sent, once more or for the first time. The platform's streams give it once. */
  get isWhole(): boolean {
    return !this.isTaken && this.body?.isWhole !== false
  }

  /** The time of a try, so many milliseconds, is over. Whether that is for want of the request. */
  expire(millis: number): boolean {
    this.isLate = this.isComplete && this.completeAt > Monotonic.millisUnsafe(this.clock) - millis / 2
    return this.isAwaited
  }

  /** Whether a try that began then had too little of its time to be blamed for having taken all of it. */
  excuses(triedAt: number): boolean {
    return this.isLate && this.completeAt > triedAt
  }

  private complete(): void {
    if (!this.isComplete) this.completeAt = Monotonic.millisUnsafe(this.clock)
  }

  /** The body as the platform has it, for engines that know nothing else: each pull waits for the client. */
  watch<E>(stream: Stream.Stream<Uint8Array, E>): Stream.Stream<Uint8Array, E> {
    return Stream.transformPull(stream, (pull) =>
      Effect.succeed(
        Effect.suspend(() => {
          this.isPulled = this.isTaken = true
          return pull
        }).pipe(Effect.onExit((exit) =>
          Effect.sync(() => {
            this.isPulled = false
            if (Exit.isSuccess(exit)) return
            if (Pull.isDoneCause(exit.cause)) return this.complete()
            const error = Cause.findErrorOption(exit.cause)
            if (Option.isSome(error)) this.failure = ofBody(error.value)
          })
        ))
      ))
  }
}

/** From when on the time of a try up to `at` was the backend's: nothing, if its request was not complete by then. */
export const timedFrom = (triedAt: number, at: number, upload: Upload | undefined): number | undefined => {
  const completeAt = upload?.completeAt ?? 0
  return completeAt > at ? undefined : Math.max(triedAt, completeAt)
}
