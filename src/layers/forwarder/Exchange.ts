/**
 * The books of one exchange: which endpoints were tried, how each try ended, and what is said about it in the log.
 *
 * Owns the pairing of `begin` and `end`, whatever happens in between, and the answer that is kept while another try may
 * find a better one. It neither translates nor sends.
 */
import * as Exit from "effect/Exit"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type FailedTry, pathOf } from "../../services/AccessLog.ts"
import type { Balancer } from "../../services/Balancer.ts"
import * as Failure from "../../services/Failure.ts"
import type { Endpoint, Outcome, Stage } from "../../services/Load.ts"
import type { RequestHead, ResponseBody, ResponseHead } from "../../services/Message.ts"
import type { History, Resending } from "../../services/RetryPolicy.ts"
import type { PickContext } from "../../services/Strategy.ts"
import { type Aside, type Books, settle } from "./Books.ts"
import { isBlameless, isGatewayFailure, outcomeOf } from "./Outcomes.ts"
import { timedFrom, type Upload } from "./Upload.ts"

/** One client request, from its head to the end of its response. */
export class Exchange implements History, PickContext, Resending {
  readonly request: HttpServerRequest
  /** When the request came, in milliseconds. */
  readonly startedAt: number
  /** Tries that were answered, or have failed and may have reached a backend. */
  reached = 0
  /** Milliseconds that went by in tries in which nothing was sent. */
  unsentMs = 0
  /** Whether its request may be sent once more if it is lost with a connection that was kept. Once is enough. */
  mayResend = false
  /** Whether another try was due and the budget did not allow it. */
  isOverBudget = false
  /** The backend that a cookie names, for whoever has read it to set. */
  pinned: string | undefined
  /** The body of the request, if it has one, for whoever has found it to set. */
  upload: Upload | undefined
  private readonly books: Books
  private readonly head: RequestHead
  private readonly path: string
  private readonly client: string | undefined
  private readonly tried: Array<Endpoint> = []
  /** The try that has begun and not ended. */
  private current: Endpoint | undefined
  private aside: Aside | undefined
  /** The entry of the try that was set aside. */
  private asideFailure: FailedTry | undefined
  /** The first of two tries at a time; the current one is the second. */
  private rival: Aside | undefined
  /** The tries that failed, in the order in which they did. One that was given up for another is not among them. */
  private failures: Array<FailedTry> | undefined
  private triedAt = 0
  private answeredAt: number | undefined
  /** How far the current try has come, as the balancer was told. */
  private stage: Stage = "sent"
  /** Whether the current try has ended before, and taught what it had to. */
  private isEnded = false
  private status: number | undefined
  private body: ResponseBody | undefined
  private reason: Failure.Reason | undefined
  /** `null` until it is asked for. */
  private hashKey: string | undefined | null = null

  constructor(books: Books, request: HttpServerRequest, head: RequestHead, client: string | undefined) {
    this.books = books
    this.request = request
    this.head = head
    this.path = pathOf(head.target)
    this.client = client
    this.startedAt = books.clock.currentTimeMillisUnsafe()
  }

  get attempt(): number {
    return this.tried.length
  }

  /** The id of the backend of the current try. */
  get answeringId(): string | undefined {
    return this.current?.backend.id
  }

  get isUpgrade(): boolean {
    return this.head.upgrade !== undefined
  }

  /** Milliseconds from the request to the head of the response. */
  get answeredAfter(): number {
    return (this.answeredAt ?? this.books.clock.currentTimeMillisUnsafe()) - this.startedAt
  }

  key(): string | undefined {
    if (this.hashKey === null) this.hashKey = this.books.hashKey(this.head, this.client)
    return this.hashKey
  }

  /** The next endpoint to try, none twice. */
  select(): Endpoint | undefined {
    return this.books.balancer.select(this, this.tried)
  }

  /** The same, but the endpoint whose answer was set aside may be tried again. */
  selectAgain(): Endpoint | undefined {
    this.giveBack()
    const again = this.aside?.endpoint
    return this.books.balancer.select(this, this.tried.filter((endpoint) => endpoint !== again))
  }

  /** Waits until there is room somewhere, and begins a try there. */
  wait(): ReturnType<Balancer["Service"]["wait"]> {
    return this.books.balancer.wait(this, this.tried, (endpoint) => this.begin(endpoint))
  }

  /** `at` is when, if that is known. */
  begin(endpoint: Endpoint, at = this.books.clock.currentTimeMillisUnsafe()): void {
    this.tried.push(endpoint)
    this.current = endpoint
    this.answeredAt = undefined
    this.triedAt = at
    this.books.balancer.begin(endpoint)
    const { head: { method }, path } = this
    this.books.log.write({ _tag: "Sent", method, path, backend: endpoint.backend.origin })
  }

  /** Begins a second try while the current one still waits for its answer. */
  beginBeside(endpoint: Endpoint): void {
    this.rival = this.asAside()
    this.begin(endpoint)
  }

  /** One of two tries at a time has lost, by this failure or because it was given up: the current one is the other. */
  endRace(firstWins: boolean, failure: FailedTry["reason"] | undefined): void {
    const { current, rival } = this
    if (rival === undefined) return
    this.rival = undefined
    this.reached++
    const loser = firstWins ? current : rival.endpoint
    if (failure !== undefined && loser !== undefined) this.note(loser, failure)
    const isFault = typeof failure === "number" || (failure !== undefined && !isBlameless(failure))
    const outcome = isFault ? "failure" : "aborted"
    const why = typeof failure === "number" ? `answered ${failure}` : failure
    if (!firstWins) return settle(this.books, rival, this.upload, outcome, why)
    this.end(outcome, why)
    this.restore(rival)
  }

  private asAside(): Aside | undefined {
    const { answeredAt, body, current, status, triedAt } = this
    return current && { endpoint: current, triedAt, answeredAt, status, body, isEnded: false }
  }

  private restore(aside: Aside): void {
    this.current = aside.endpoint
    this.triedAt = aside.triedAt
    this.answeredAt = aside.answeredAt
    this.status = aside.status
    this.body = aside.body
  }

  /** The head of the response has come; the body may still take any time. */
  answered({ body, status }: ResponseHead): void {
    this.status = status
    this.body = body
    this.reached++
    this.answeredAt = this.books.clock.currentTimeMillisUnsafe()
  }

  /** The try has failed before there was a head that is of use. */
  failed(reason: Failure.Reason): void {
    if (Failure.meaningOf[reason].tryAnother === "always") {
      this.unsentMs += this.books.clock.currentTimeMillisUnsafe() - this.triedAt
    } else if (this.answeredAt === undefined) {
      this.reached++
    }
    this.body?.release()
    this.body = this.status = undefined
    if (this.current !== undefined) this.note(this.current, reason)
    // What is left of the time after another try, or when the request has come, is not this backend's to answer for.
    const isLeft = reason === "deadline_exceeded" && this.tried.length > 1
    const isNoFault = isBlameless(reason) || isLeft || this.upload?.excuses(this.triedAt)
    this.end(isNoFault ? "aborted" : "failure", reason)
  }

  /** Another try may do better than this answer, which is kept until then; one that was kept before is let go. */
  setAside(): void {
    const aside = this.asAside()
    if (aside === undefined) return
    this.dropAside()
    this.aside = aside
    if (aside.status !== undefined) this.asideFailure = this.note(aside.endpoint, aside.status)
    if (isGatewayFailure(aside.status)) this.giveBack()
    this.current = this.body = this.status = undefined
  }

  /** Of the answer that was set aside only an unread rest is left, which must not take the room of the next try. */
  private giveBack(): void {
    const { aside } = this
    if (aside === undefined || aside.isEnded) return
    this.aside = { ...aside, isEnded: true }
    settle(this.books, aside, this.upload, "failure", `answered ${aside.status}`)
  }

  /** There was no better answer than the one that was set aside, which is the current one again. */
  takeBack(): void {
    const { aside } = this
    if (aside === undefined) return
    this.aside = undefined
    this.failures = this.failures?.filter((failure) => failure !== this.asideFailure)
    this.restore(aside)
    if (!aside.isEnded) return
    this.isEnded = true
    this.stage = "answered"
    this.books.balancer.begin(aside.endpoint, true)
  }

  /**
   * The client gets the current answer, and one that was set aside is let go. Whether its body is the rest of a trial.
   */
  accept(): boolean {
    this.dropAside()
    const { answeredAt, current, status, triedAt } = this
    if (current === undefined || answeredAt === undefined || isGatewayFailure(status)) return false
    const since = timedFrom(triedAt, answeredAt, this.upload)
    const stage = this.stage = status === 101 ? "tunnel" : since === undefined ? "uploading" : "answered"
    const latency = answeredAt - (since ?? triedAt)
    if (stage !== "uploading") this.books.balancer.answered(current, latency, answeredAt, stage)
    return stage !== "tunnel" && current.load.isOnTrial
  }

  /** The answer has been coming for long enough to show that its backend is well. */
  proven(): void {
    if (this.current === undefined) return
    this.books.balancer.proven(this.current, this.books.clock.currentTimeMillisUnsafe() - this.triedAt)
  }

  /** The current try goes on for as long as its client takes. */
  bypass(): void {
    if (this.current !== undefined) this.books.balancer.bypass(this.current)
  }

  /** There is a better answer than the one that was set aside, if any. */
  private dropAside(): void {
    this.aside?.body?.release()
    this.giveBack()
    this.aside = undefined
  }

  /** The client gets an answer of our own. */
  refused(reason: Failure.Reason): void {
    this.reason = reason
    this.status = Failure.meaningOf[reason].status
  }

  /** The request's scope has closed: ends the open try, if any, and writes the log. */
  finish(exit: Exit.Exit<unknown, unknown>): void {
    this.body?.release()
    this.dropAside()
    this.endRace(false, undefined)
    if (Exit.isFailure(exit)) this.reason = Failure.fromCause(exit.cause)
    // If no try goes on, the failure that came last is the exchange's own.
    const backend = this.current?.backend.origin ?? this.failures?.pop()?.backend
    const outcome = outcomeOf(this.reason, this.status)
    const now = this.books.clock.currentTimeMillisUnsafe()
    this.end(outcome, outcome === "failure" ? this.reason ?? `answered ${this.status}` : undefined, now)
    this.books.log.write({
      _tag: "Completed",
      method: this.head.method,
      path: this.path,
      backend,
      client: this.client,
      status: this.status ?? Failure.meaningOf[this.reason ?? "client_aborted"].status,
      durationMs: now - this.startedAt,
      tries: this.tried.length,
      failed: this.failures?.length ? this.failures : undefined,
      reason: this.reason,
      isOverBudget: this.isOverBudget ? true : undefined
    })
  }

  resent(origin: string): void {
    this.mayResend = false
    const lost = this.tried.findLast(({ backend }) => backend.origin === origin)
    if (lost !== undefined) this.note(lost, "reset_before_headers")
  }

  private note({ backend }: Endpoint, reason: FailedTry["reason"]): FailedTry {
    const failure = { backend: backend.origin, reason }
    ;(this.failures ??= []).push(failure)
    return failure
  }

  /** `why` is a failure in a word. */
  private end(outcome: Outcome, why: string | undefined, now = this.books.clock.currentTimeMillisUnsafe()): void {
    const { current, stage, triedAt } = this
    const unlearned = stage === "sent" ? this.asAside() : undefined
    this.current = undefined
    if (unlearned !== undefined) settle(this.books, unlearned, this.upload, outcome, why)
    else if (current !== undefined) {
      this.books.balancer.end(current, this.isEnded ? "aborted" : outcome, now - triedAt, why, stage)
    }
  }
}
