/**
 * One try of an exchange: on which endpoint, how far it has come, and its end, of which the balancer is told once.
 *
 * Owns what of its time is the backend's: from its begin, or from the last byte of the request if that came later, to
 * the head of the response, or to the end of a try without one. How long a client takes to send or to read a body says
 * nothing of the backend. Whether there is another try is not decided here.
 */
import type * as Clock from "effect/Clock"
import type { Balancer } from "../../services/Balancer.ts"
import type { Endpoint, Stage } from "../../services/Load.ts"
import type { ResponseBody, ResponseHead } from "../../services/Message.ts"
import * as Monotonic from "../../services/Monotonic.ts"
import { type End, type Outcome, outcomeOf, wordOf } from "../../services/Outcome.ts"
import { gatewayErrors } from "../../services/Reason.ts"
import { timedFrom, type Upload } from "./Upload.ts"

/** What a try reports to. */
export interface Books {
  readonly balancer: Balancer["Service"]
  readonly clock: Clock.Clock
}

export class Try {
  readonly endpoint: Endpoint
  /** In milliseconds, like all times. */
  readonly beganAt: number
  /** When the head of the response came. */
  answeredAt: number | undefined
  status: number | undefined
  private readonly books: Books
  private readonly upload: Upload | undefined
  private body: ResponseBody | undefined
  /** How far it has come, as the balancer was told. */
  private stage: Stage = "sent"
  private isOver = false
  /** When it went on after its end, which has taught what there was to learn; `NaN` if it has not. */
  private resumedAt = NaN

  /** Begins it. `upload` is the body of the request, if it has one. */
  constructor(books: Books, endpoint: Endpoint, beganAt: number, upload: Upload | undefined) {
    this.books = books
    this.endpoint = endpoint
    this.beganAt = beganAt
    this.upload = upload
    books.balancer.begin(endpoint)
  }

  /** The head of the response has come; the body may still take any time. */
  answered({ body, status }: ResponseHead): void {
    this.status = status
    this.body = body
    this.answeredAt = Monotonic.millisUnsafe(this.books.clock)
  }

  /** Whether the client gets the rest of a trial. */
  get isTrial(): boolean {
    const { endpoint, stage } = this
    return (stage === "answered" || stage === "unmeasured") && endpoint.load.isOnTrial
  }

  /** The client gets the answer. */
  accept(): void {
    const { answeredAt, beganAt, endpoint, status } = this
    if (answeredAt === undefined || status === undefined || gatewayErrors.has(status)) return
    const since = timedFrom(beganAt, answeredAt, this.upload)
    const stage = this.stage = status === 101 ? "tunnel" : since === undefined ? "unmeasured" : "answered"
    if (stage !== "unmeasured") {
      this.books.balancer.answered(endpoint, answeredAt - (since ?? beganAt), answeredAt, stage)
    }
  }

  /** The answer has been coming for long enough to show that its backend is well. */
  proven(): void {
    this.books.balancer.proven(this.endpoint, Monotonic.millisUnsafe(this.books.clock) - this.beganAt)
  }

  /** It goes on for as long as its client takes. */
  bypass(): void {
    const { beganAt, books: { balancer, clock }, endpoint } = this
    balancer.bypass(endpoint, Monotonic.millisUnsafe(clock) - beganAt)
  }

  /** Whether the answer has broken off before its end, as far as its engine says so. */
  get isBroken(): boolean {
    return this.body?.isBroken === true
  }

  /** Lets go of what is left of the answer. */
  release(): void {
    this.body?.release()
  }

  /**
   * Ends it as one that was of no use, for this failure or this status of its answer. `exchangeAt` is when its exchange
   * began: a deadline of which it had less than half was used up by others, or by waiting for room.
   */
  failed(reason: End, exchangeAt: number): void {
    const now = Monotonic.millisUnsafe(this.books.clock)
    const isLate = reason === "deadline_exceeded" && now - this.beganAt < (now - exchangeAt) / 2
    const isExcused = isLate || (typeof reason === "string" && this.upload?.excuses(this.beganAt) === true)
    this.end(isExcused ? "aborted" : outcomeOf(reason), wordOf(reason), now)
  }

  /** Its answer is handed over after its end: it is in flight again. */
  resume(): void {
    if (!this.isOver) return
    this.isOver = false
    this.resumedAt = Monotonic.millisUnsafe(this.books.clock)
    this.books.balancer.begin(this.endpoint, true)
  }

  /** Ends it. `why` is a failure in a word. */
  end(outcome: Outcome, why?: string, now = Monotonic.millisUnsafe(this.books.clock)): void {
    if (this.isOver) return
    this.isOver = true
    const { answeredAt = now, beganAt, books: { balancer }, endpoint, stage } = this
    if (!Number.isNaN(this.resumedAt)) {
      // Whatever trial there is now, it is none of this one.
      return balancer.end(endpoint, "aborted", now - this.resumedAt, why, "unmeasured", Infinity)
    }
    const took = now - beganAt
    if (stage !== "sent") return balancer.end(endpoint, outcome, took, why, stage)
    const since = timedFrom(beganAt, answeredAt, this.upload)
    if (since === undefined) balancer.end(endpoint, outcome, answeredAt - beganAt, why, "unmeasured", took)
    else balancer.end(endpoint, outcome, answeredAt - since, why, stage, took)
  }
}
