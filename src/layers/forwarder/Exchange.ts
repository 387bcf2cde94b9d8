/**
 * One exchange: which endpoints were tried, how each try ended, and what is said about it in the log.
 *
 * Owns which try is the current one, the answer that is kept while another try may find a better one, and that no try
 * is left without an end. What a try tells the balancer is in `Try`. It neither translates nor sends.
 */
import * as Exit from "effect/Exit"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type AccessLog, type FailedTry, loggedPath } from "../../services/AccessLog.ts"
import type { Balancer } from "../../services/Balancer.ts"
import type { Extract } from "../../services/HashKey.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { RequestHead, Resending, ResponseHead } from "../../services/Message.ts"
import * as Monotonic from "../../services/Monotonic.ts"
import { type End, isUnsent, outcomeOf, wordOf } from "../../services/Outcome.ts"
import { meaningOf, type Reason } from "../../services/Reason.ts"
import type { History } from "../../services/RetryPolicy.ts"
import type { PickContext } from "../../services/Strategy.ts"
import { Ending } from "./Ending.ts"
import { type Books as TryBooks, Try } from "./Try.ts"
import type { Upload } from "./Upload.ts"

/** What an exchange reports to, and what its key is. */
export interface Books extends TryBooks {
  readonly log: AccessLog["Service"]
  readonly hashKey: Extract
  /** Whether the budget allows that a request is sent once more, which it then pays for. */
  readonly withdraw: () => boolean
}

/** One client request, from its head to the end of its response. */
export class Exchange implements History, PickContext, Resending {
  readonly request: HttpServerRequest
  /** When the request came, in milliseconds. */
  readonly startedAt: number
  /** Tries that were answered, or have failed and may have reached a backend. */
  reached = 0
  /** Milliseconds that went by in tries in which nothing was sent, and in waits for room after them. */
  unsentMs = 0
  /** Whether its method may be carried out twice, for whoever knows the policy to set. */
  isIdempotent = false
  /** Whether its request may be sent once more if it is lost with a connection that was kept. Once is enough. */
  mayResend = false
  /** Whether its request may be sent to a second backend although the first may still answer. */
  mayHedge = false
  /** Whether another try was due and the budget did not allow it. */
  isOverBudget = false
  /** The backend that a cookie names, for whoever has read it to set. */
  pinned: string | undefined
  /** The body of the request, if it has one, for whoever has found it to set. */
  upload: Upload | undefined
  readonly ending = new Ending()
  readonly head: RequestHead
  private readonly books: Books
  private readonly path: string
  private readonly client: string | undefined
  private readonly tried: Array<Endpoint> = []
  /** When the current try began, or the first of two at a time. */
  private askedAt = NaN
  /** The try that has begun and not ended, or whose answer the client gets. */
  private current: Try | undefined
  /** An answer that another try may do better than, and its entry among the failures. */
  private aside: Try | undefined
  private asideFailure: FailedTry | undefined
  /** The first of two tries at a time; the current one is the second. */
  private rival: Try | undefined
  /** The tries that failed, in the order in which they did. One that was given up for another is not among them. */
  private failures: Array<FailedTry> | undefined
  /** `null` until it is asked for. */
  private hashKey: string | undefined | null = null

  constructor(books: Books, request: HttpServerRequest, head: RequestHead, client: string | undefined) {
    this.books = books
    this.request = request
    this.head = head
    this.path = loggedPath(head.target)
    this.client = client
    this.startedAt = Monotonic.millisUnsafe(books.clock)
  }

  get attempt(): number {
    return this.tried.length
  }

  /** The endpoint of the current try. */
  get answering(): Endpoint | undefined {
    return this.current?.endpoint
  }

  /** Whether the client gets the rest of a trial. */
  get isTrial(): boolean {
    return this.current?.isTrial ?? false
  }

  /** Whether its body, if it has one, can be sent whole. */
  get isWhole(): boolean {
    return this.upload?.isWhole ?? true
  }

  get isUpgrade(): boolean {
    return this.head.upgrade !== undefined
  }

  /** Milliseconds from the begin of the current try, or of the first of two at a time, to the head of the response. */
  get answeredAfter(): number {
    return (this.current?.answeredAt ?? Monotonic.millisUnsafe(this.books.clock)) - this.askedAt
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
    const again = this.aside?.endpoint.backend.id
    return this.books.balancer.select(this, this.tried.filter(({ backend }) => backend.id !== again))
  }

  /** Whether nobody is left whom it could get if there were room. */
  get isHopeless(): boolean {
    return this.books.balancer.isHopeless(this, this.tried)
  }

  /** Whether an answer was set aside. */
  get keepsAnswer(): boolean {
    return this.aside !== undefined
  }

  /** Whether an answer was set aside that has broken off since. */
  get hasLostAnswer(): boolean {
    return this.aside?.isBroken === true
  }

  /** Waits until there is room somewhere, and begins a try there. */
  wait(): ReturnType<Balancer["Service"]["wait"]> {
    return this.books.balancer.wait(this, this.tried, (endpoint) => this.begin(endpoint))
  }

  /** Begins a try. */
  begin(endpoint: Endpoint): void {
    const at = Monotonic.millisUnsafe(this.books.clock)
    if (this.rival === undefined) this.askedAt = at
    this.tried.push(endpoint)
    this.current = new Try(this.books, endpoint, at, this.upload)
    const { head: { method }, path } = this
    this.books.log.write({ _tag: "Sent", method, path, backend: endpoint.backend.origin })
  }

  /** It ends before the try that has begun, if any, was sent. */
  unbegin(): void {
    if (this.current === undefined) return
    this.current.end("aborted")
    this.current = undefined
    this.tried.pop()
  }

  /** Begins a second try while the current one still waits for its answer. */
  beginBeside(endpoint: Endpoint): void {
    this.rival = this.current
    this.begin(endpoint)
  }

  /** One of two tries at a time has lost, by this failure or because it was given up: the current one is the other. */
  endRace(firstWins: boolean, failure: End | undefined): void {
    const { current, rival } = this
    if (rival === undefined || current === undefined) return
    const [winner, loser] = firstWins ? [rival, current] : [current, rival]
    this.current = winner
    this.rival = undefined
    if (!isUnsent(failure)) this.reached++
    if (failure === undefined) return loser.end("aborted")
    this.note(loser, failure)
    loser.failed(failure, this.startedAt)
  }

  /** The head of the response has come; the body may still take any time. */
  answered(head: ResponseHead): void {
    this.reached++
    this.current?.answered(head)
  }

  /** The try has failed before there was a head. */
  failed(reason: Reason): void {
    const { current } = this
    if (current === undefined) return
    if (isUnsent(reason)) this.unsentMs += Monotonic.millisUnsafe(this.books.clock) - current.beganAt
    else this.reached++
    this.note(current, reason)
    current.failed(reason, this.startedAt)
    this.current = undefined
  }

  /** Another try may do better than this answer, which is kept until then, in place of one that was kept before. */
  setAside(): void {
    const { current } = this
    if (current?.status === undefined) return
    this.aside = current
    this.asideFailure = this.note(current, current.status)
    this.current = undefined
    // Only an unread rest of it is left, which must not take the room of the next try.
    current.failed(current.status, this.startedAt)
  }

  /** There was no better answer than the one that was set aside, which is the current one again. */
  takeBack(): void {
    const { aside } = this
    if (aside === undefined) return
    this.aside = undefined
    this.current = aside
    this.failures = this.failures?.filter((failure) => failure !== this.asideFailure)
    aside.resume()
  }

  /** The client gets the current answer, and none that was set aside. */
  accept(): void {
    this.aside = undefined
    this.current?.accept()
  }

  /** The answer has been coming for long enough to show that its backend is well. */
  proven(): void {
    this.current?.proven()
  }

  /** The current try goes on for as long as its client takes. */
  bypass(): void {
    this.current?.bypass()
  }

  /** The request's scope has closed: ends the open try, if any, and writes the log. */
  finish(exit: Exit.Exit<unknown, unknown>): void {
    this.aside?.release()
    this.endRace(false, undefined)
    const { current, ending } = this
    if (Exit.isFailure(exit)) ending.brokeOff(exit.cause)
    const reason = ending.reason(this.head)
    const { refusal } = ending
    const status = refusal === undefined ? current?.status : meaningOf[refusal].status
    const now = Monotonic.millisUnsafe(this.books.clock)
    const end = reason ?? status ?? "client_aborted"
    const outcome = outcomeOf(end)
    current?.release()
    current?.end(outcome, outcome === "failure" ? wordOf(end) : undefined, now)
    this.current = undefined
    // If no try goes on, the failure that came last may be the exchange's own.
    const last = this.failures?.at(-1)
    if (current === undefined && last?.reason === reason) this.failures?.pop()
    this.books.log.write({
      _tag: "Completed",
      method: this.head.method,
      path: this.path,
      backend: current?.endpoint.backend.origin ?? last?.backend,
      client: this.client,
      status: status ?? meaningOf[reason ?? "client_aborted"].status,
      durationMs: now - this.startedAt,
      tries: this.tried.length,
      failed: this.failures?.length ? this.failures : undefined,
      reason,
      isOverBudget: this.isOverBudget ? true : undefined
    })
  }

  resend(origin: string): boolean {
    this.mayResend = false
    this.isOverBudget = !this.books.withdraw()
    if (this.isOverBudget) return false
    const lost = this.tried.findLast(({ backend }) => backend.origin === origin)
    if (lost !== undefined) this.note({ endpoint: lost }, "reset_before_headers")
    return true
  }

  private note({ endpoint: { backend } }: Pick<Try, "endpoint">, reason: End): FailedTry {
    const failure = { backend: backend.origin, reason }
    ;(this.failures ??= []).push(failure)
    return failure
  }
}
