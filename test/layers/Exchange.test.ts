import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as TestClock from "effect/testing/TestClock"
import { Exchange } from "../../src/layers/Exchange.ts"
import type { Completed, Entry } from "../../src/services/AccessLog.ts"
import { meaningOf, type Reason, reasons, TransportFailure } from "../../src/services/Failure.ts"
import * as HashKey from "../../src/services/HashKey.ts"
import type { Endpoint, Outcome } from "../../src/services/Load.ts"
import type { RequestHead } from "../../src/services/Message.ts"
import type { PickContext } from "../../src/services/Strategy.ts"
import { endpoint, idsOf } from "../endpoints.ts"

const head: RequestHead = { method: "GET", target: "/orders?token=secret", fields: [], body: undefined }

/** An exchange with books that can be read. */
const open = (head: RequestHead, endpoints: ReadonlyArray<Endpoint> = [], hashKey: HashKey.Extract = HashKey.client) =>
  Effect.gen(function*() {
    const entries: Array<Entry> = []
    const began: Array<Endpoint> = []
    const ended: Array<readonly [id: string, outcome: Outcome, latencyMs: number]> = []
    const selections: Array<readonly [context: PickContext, tried: ReadonlyArray<Endpoint>]> = []
    const exchange = new Exchange(
      {
        clock: yield* Clock.Clock,
        hashKey,
        log: { write: (entry) => void entries.push(entry) },
        balancer: {
          use: () => Effect.die("an exchange takes the three steps"),
          wait: () => Effect.die("there is always room"),
          swap: () => Effect.die("nobody asks for another strategy"),
          select: (context, tried = []) => {
            selections.push([context, [...tried]])
            return endpoints.find((endpoint) => !tried.includes(endpoint))
          },
          begin: (endpoint) => void began.push(endpoint),
          end: ({ backend }, outcome, latencyMs) => void ended.push([backend.id, outcome, latencyMs])
        }
      },
      HttpServerRequest.fromWeb(new Request("http://localhost/orders")),
      head,
      "203.0.113.9"
    )
    const completed = (): Completed => {
      const last = entries.at(-1)
      assert(last?._tag === "Completed")
      return last
    }
    return { exchange, entries, began, ended, selections, completed }
  })

const a = endpoint("a")
const b = endpoint("b")

const clientLeft: Exit.Exit<never> = Exit.failCause(
  Cause.annotate(Cause.interrupt(), HttpServerError.ClientAbort.annotation)
)

describe("an exchange that goes well", () => {
  it.effect("begins and ends one try, and says both in the log", () =>
    Effect.gen(function*() {
      const { began, completed, ended, entries, exchange } = yield* open(head)
      yield* TestClock.adjust(5)
      exchange.begin(a)
      assert.deepStrictEqual(idsOf(began), ["a"])
      assert.deepStrictEqual(entries, [{ _tag: "Sent", method: "GET", path: "/orders", backend: "http://a.test" }])
      yield* TestClock.adjust(20)
      exchange.answered({ status: 200, statusText: "", fields: [], body: undefined })
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(ended, [])
      exchange.finish(Exit.void)
      assert.deepStrictEqual(ended, [["a", "success", 20]])
      assert.deepStrictEqual(completed(), {
        _tag: "Completed",
        method: "GET",
        path: "/orders",
        backend: "http://a.test",
        client: "203.0.113.9",
        status: 200,
        durationMs: 325,
        tries: 1,
        failed: undefined,
        reason: undefined
      })
    }))

  it.effect.each<readonly [number, Outcome]>([
    [100, "success"],
    [200, "success"],
    [304, "success"],
    [404, "success"],
    [429, "success"],
    [500, "success"],
    [501, "success"],
    [502, "failure"],
    [503, "failure"],
    [504, "failure"]
  ])("counts the backend's own %d as a %s", ([status, outcome]) =>
    Effect.gen(function*() {
      const { completed, ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.answered({ status, statusText: "", fields: [], body: undefined })
      exchange.finish(Exit.void)
      assert.deepStrictEqual(ended, [["a", outcome, 0]])
      // It is an answer all the same, and goes to the client as it is.
      assert.strictEqual(completed().reason, undefined)
      assert.strictEqual(completed().status, status)
    }))
})

describe("as a context for the strategy, an exchange", () => {
  it.effect("knows the number of the try, the client and the request", () =>
    Effect.gen(function*() {
      const { exchange, selections } = yield* open(head, [a, b])
      assert.strictEqual(exchange.key(), "203.0.113.9")
      assert.strictEqual(exchange.request.method, "GET")
      assert.strictEqual(exchange.attempt, 0)
      assert.strictEqual(exchange.select(), a)
      exchange.begin(a)
      assert.strictEqual(exchange.attempt, 1)
      exchange.failed("connect_failed")
      assert.strictEqual(exchange.select(), b)
      exchange.begin(b)
      exchange.failed("connect_failed")
      assert.isUndefined(exchange.select())
      assert.deepStrictEqual(selections.map(([, tried]) => idsOf(tried)), [[], ["a"], ["a", "b"]])
      for (const [context] of selections) assert.strictEqual(context, exchange)
    }))

  it.effect("reads the key when it is asked for it, and once", () =>
    Effect.gen(function*() {
      let reads = 0
      const { completed, exchange } = yield* open(head, [a], ({ target }, client) => `${target} ${client} ${++reads}`)
      assert.strictEqual(exchange.select(), a)
      assert.strictEqual(reads, 0)
      assert.strictEqual(exchange.key(), "/orders?token=secret 203.0.113.9 1")
      assert.strictEqual(exchange.key(), "/orders?token=secret 203.0.113.9 1")
      exchange.finish(Exit.void)
      assert.strictEqual(completed().client, "203.0.113.9")
    }))
})

describe("an exchange that goes wrong", () => {
  it.effect("ends each failed try when it failed, and tells of the last one", () =>
    Effect.gen(function*() {
      const { completed, ended, entries, exchange } = yield* open(head)
      exchange.begin(a)
      yield* TestClock.adjust(10)
      exchange.failed("connect_failed")
      assert.deepStrictEqual(ended, [["a", "failure", 10]])
      exchange.begin(b)
      yield* TestClock.adjust(7)
      exchange.answered({ status: 200, statusText: "", fields: [], body: undefined })
      exchange.finish(Exit.void)
      assert.deepStrictEqual(ended, [["a", "failure", 10], ["b", "success", 7]])
      assert.deepStrictEqual(entries.map(({ _tag }) => _tag), ["Sent", "Sent", "Completed"])
      assert.deepInclude(completed(), {
        backend: "http://b.test",
        status: 200,
        tries: 2,
        failed: ["http://a.test"],
        reason: undefined
      })
    }))

  it.effect("ends no try twice", () =>
    Effect.gen(function*() {
      const { ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.failed("reset_before_headers")
      exchange.refused("reset_before_headers")
      exchange.finish(Exit.void)
      assert.strictEqual(ended.length, 1)
    }))

  it.effect.each(Object.keys(reasons))(
    "answers %s with its status and says the reason",
    (word) =>
      Effect.gen(function*() {
        const { completed, exchange } = yield* open(head)
        const reason = word as Reason
        exchange.refused(reason)
        exchange.finish(Exit.void)
        assert.deepInclude(completed(), { status: meaningOf[reason].status, reason, tries: 0, backend: undefined })
      })
  )

  it.effect("does not blame a backend for what its client did", () =>
    Effect.gen(function*() {
      const { ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.failed("client_aborted")
      exchange.begin(b)
      // The engine found out only now that the request cannot be sent to anybody.
      exchange.failed("bad_request")
      assert.deepStrictEqual(ended.map(([id, outcome]) => [id, outcome]), [["a", "aborted"], ["b", "aborted"]])
    }))
})

describe("an exchange that ends early", () => {
  it.effect("because the client left before the head: no status was sent, and the time until then is the try's", () =>
    Effect.gen(function*() {
      const { completed, ended, exchange } = yield* open(head)
      yield* TestClock.adjust(1_000)
      exchange.begin(a)
      yield* TestClock.adjust(30)
      exchange.finish(clientLeft)
      assert.deepStrictEqual(ended, [["a", "aborted", 30]])
      assert.deepInclude(completed(), { status: 499, reason: "client_aborted", durationMs: 1_030 })
    }))

  it.effect("does not take the answer of an earlier try for the last one's", () =>
    Effect.gen(function*() {
      const { ended, exchange } = yield* open(head)
      exchange.begin(a)
      yield* TestClock.adjust(5)
      exchange.failed("connect_failed")
      exchange.begin(b)
      yield* TestClock.adjust(40)
      exchange.finish(clientLeft)
      assert.deepStrictEqual(ended, [["a", "failure", 5], ["b", "aborted", 40]])
    }))

  it.effect("because the client left in the middle of the body: the status that it got is kept", () =>
    Effect.gen(function*() {
      const { completed, ended, exchange } = yield* open(head)
      exchange.begin(a)
      yield* TestClock.adjust(3)
      exchange.answered({ status: 200, statusText: "", fields: [], body: undefined })
      yield* TestClock.adjust(100)
      exchange.finish(clientLeft)
      assert.deepStrictEqual(ended, [["a", "aborted", 3]])
      assert.deepInclude(completed(), { status: 200, reason: "client_aborted" })
    }))

  it.effect("because of a bug of ours: that is no fault of the backend", () =>
    Effect.gen(function*() {
      const { completed, ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.finish(Exit.die(new Error("a bug")))
      assert.deepStrictEqual(ended, [["a", "aborted", 0]])
      assert.strictEqual(completed().reason, "internal_error")
    }))

  it.effect("because the balancer shuts down", () =>
    Effect.gen(function*() {
      const { completed, ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.finish(Exit.failCause(Cause.interrupt()))
      assert.deepStrictEqual(ended, [["a", "aborted", 0]])
      assert.strictEqual(completed().reason, "draining")
    }))

  it.effect("because the backend broke off in the middle of the body: that is a failure of the backend", () =>
    Effect.gen(function*() {
      const { completed, ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.answered({ status: 200, statusText: "", fields: [], body: undefined })
      exchange.finish(Exit.fail(TransportFailure.make({ reason: "reset_mid_body", message: "Connection reset" })))
      assert.deepStrictEqual(ended, [["a", "failure", 0]])
      assert.deepInclude(completed(), { status: 200, reason: "reset_mid_body" })
    }))
})

describe("the log of an exchange", () => {
  it.effect("never has the query", () =>
    Effect.gen(function*() {
      const { entries, exchange } = yield* open({ ...head, target: "/a?password=secret?x" })
      exchange.begin(a)
      exchange.answered({ status: 200, statusText: "", fields: [], body: undefined })
      exchange.finish(Exit.void)
      assert.notInclude(JSON.stringify(entries), "secret")
    }))
})
