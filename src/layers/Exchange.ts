/**
 * The books of one exchange: which endpoints were tried, how each try ended, and what is said about it in the log.
 *
 * Owns the pairing of `begin` and `end`, whatever happens in between. It neither translates nor sends.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type AccessLog, pathOf } from "../services/AccessLog.ts"
import type { Balancer, NoBackend, Overloaded } from "../services/Balancer.ts"
import * as Failure from "../services/Failure.ts"
import type { Extract } from "../services/HashKey.ts"
import type { Endpoint, Outcome } from "../services/Load.ts"
import type { RequestHead, ResponseBody, ResponseHead } from "../services/Message.ts"
import type { PickContext } from "../services/Strategy.ts"

/** What an exchange reports to. */
export interface Books {
  readonly balancer: Balancer["Service"]
  readonly log: AccessLog["Service"]
  readonly clock: Clock.Clock
  readonly hashKey: Extract
}

/** Statuses with which a backend says that it could not do its work. Any other is an answer. */
const isGatewayFailure = (status: number): boolean => status === 502 || status === 503 || status === 504

/** Reasons that are not of the backend's making, so that they say nothing about it. */
const blamelessReasons: ReadonlySet<Failure.Reason> = new Set([
  "client_aborted",
  "draining",
  "bad_request",
  "body_too_large",
  "headers_too_large",
  "request_timeout",
  "overloaded",
  "not_implemented",
  "internal_error"
])

/** One client request, from its head to the end of its response. */
export class Exchange implements PickContext {
  readonly request: HttpServerRequest
  pinned: string | undefined
  private readonly books: Books
  private readonly head: RequestHead
  private readonly path: string
  private readonly client: string | undefined
  private readonly startedAt: number
  private readonly tried: Array<Endpoint> = []
  /** The try that has begun and not ended. */
  private current: Endpoint | undefined
  private triedAt = 0
  private answeredAt: number | undefined
  private status: number | undefined
  private body: ResponseBody | undefined
  private reason: Failure.Reason | undefined
  private hashed = false
  private hashKey: string | undefined

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

  key(): string | undefined {
    if (!this.hashed) {
      this.hashed = true
      this.hashKey = this.books.hashKey(this.head, this.client)
    }
    return this.hashKey
  }

  /** The id of the backend of the try that has not ended. */
  get answeringId(): string | undefined {
    return this.current?.backend.id
  }

  /** The next endpoint to try, none twice. */
  select(): Endpoint | undefined {
    return this.books.balancer.select(this, this.tried)
  }

  /** Waits for one when they are at their limits, and begins the try on it. */
  wait(): Effect.Effect<Endpoint, NoBackend | Overloaded> {
    return this.books.balancer.wait(this, this.tried, (endpoint) => this.begin(endpoint))
  }

  begin(endpoint: Endpoint): void {
    this.tried.push(endpoint)
    this.current = endpoint
    this.triedAt = this.books.clock.currentTimeMillisUnsafe()
    this.books.balancer.begin(endpoint)
    this.books.log.write({
      _tag: "Sent",
      method: this.head.method,
      path: this.path,
      backend: endpoint.backend.origin
    })
  }

  /** The head of the response has come; the body may still take any time. */
  answered({ body, status }: ResponseHead): void {
    this.status = status
    this.body = body
    this.answeredAt = this.books.clock.currentTimeMillisUnsafe()
  }

  /** The try has failed before there was a head. */
  failed(reason: Failure.Reason): void {
    this.end(blamelessReasons.has(reason) ? "aborted" : "failure")
  }

  /** The client gets an answer of our own. */
  refused(reason: Failure.Reason): void {
    this.reason = reason
    this.status = Failure.meaningOf[reason].status
  }

  /** The request's scope has closed: ends the open try, if any, and writes the log. */
  finish(exit: Exit.Exit<unknown, unknown>): void {
    this.body?.release()
    if (Exit.isFailure(exit)) this.reason = Failure.fromCause(exit.cause)
    this.end(this.outcome())
    this.books.log.write({
      _tag: "Completed",
      method: this.head.method,
      path: this.path,
      backend: this.tried.at(-1)?.backend.origin,
      client: this.client,
      status: this.status ?? Failure.meaningOf[this.reason ?? "client_aborted"].status,
      durationMs: this.books.clock.currentTimeMillisUnsafe() - this.startedAt,
      tries: this.tried.length,
      failed: this.tried.length < 2 ? undefined : this.tried.slice(0, -1).map(({ backend }) => backend.origin),
      reason: this.reason
    })
  }

  private outcome(): Outcome {
    if (this.reason !== undefined && blamelessReasons.has(this.reason)) return "aborted"
    return this.reason !== undefined || (this.status !== undefined && isGatewayFailure(this.status))
      ? "failure"
      : "success"
  }

  /**
   * A latency is the time to the response's head, or to the end of a try without one: how long a client takes to read a
   * body says nothing of the backend.
   */
  private end(outcome: Outcome): void {
    if (this.current === undefined) return
    const endpoint = this.current
    this.current = undefined
    const answeredAt = this.answeredAt ?? this.books.clock.currentTimeMillisUnsafe()
    this.books.balancer.end(endpoint, outcome, answeredAt - this.triedAt)
  }
}
