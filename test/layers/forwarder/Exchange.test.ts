import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as TestClock from "effect/testing/TestClock"
import { Exchange } from "../../../src/layers/forwarder/Exchange.ts"
import type { Completed, Entry } from "../../../src/services/AccessLog.ts"
import { TransportFailure } from "../../../src/services/Failure.ts"
import * as HashKey from "../../../src/services/HashKey.ts"
import type { Endpoint, Stage } from "../../../src/services/Load.ts"
import type { RequestHead } from "../../../src/services/Message.ts"
import type { Outcome } from "../../../src/services/Outcome.ts"
import { meaningOf, type Reason, reasons } from "../../../src/services/Reason.ts"
import type { PickContext } from "../../../src/services/Strategy.ts"
import { backend, endpoint, idsOf } from "../../endpoints.ts"

const head: RequestHead = { method: "GET", target: "/orders?token=secret", fields: [], body: undefined }

/** An exchange with books that can be read. */
const open = (
  head: RequestHead,
  endpoints: ReadonlyArray<Endpoint> = [],
  hashKey: HashKey.Extract = HashKey.client,
  withdraw = () => true
) =>
  Effect.gen(function*() {
    const entries: Array<Entry> = []
    const began: Array<Endpoint> = []
    const answered: Array<readonly [id: string, latencyMs: number, at: number, stage: Stage]> = []
    const proven: Array<readonly [id: string, millis: number]> = []
    const again: Array<string> = []
    const bypassed: Array<string> = []
    const ended: Array<readonly [id: string, outcome: Outcome, millis: number]> = []
    const stages: Array<Stage | undefined> = []
    const whys: Array<string | undefined> = []
    const selections: Array<readonly [context: PickContext, tried: ReadonlyArray<Endpoint>]> = []
    const exchange = new Exchange(
      {
        clock: yield* Clock.Clock,
        hashKey,
        withdraw,
        log: { write: (entry) => void entries.push(entry) },
        balancer: {
          use: () => Effect.die("an exchange takes the three steps"),
          wait: () => Effect.die("there is always room"),
          answered: ({ backend }, latencyMs, at, stage) => void answered.push([backend.id, latencyMs, at, stage]),
          proven: ({ backend }, millis) => void proven.push([backend.id, millis]),
          bypass: ({ backend }) => void bypassed.push(backend.id),
          beforeOthers: (f) => f(),
          isHopeless: () => true,
          untilIdle: () => Effect.die("nobody drains"),
          canTake: () => true,
          swap: () => Effect.die("nobody asks for another strategy"),
          select: (context, tried = []) => {
            selections.push([context, [...tried]])
            return endpoints.find((endpoint) => !tried.includes(endpoint))
          },
          begin: (endpoint, isAgain) => void (isAgain ? again.push(endpoint.backend.id) : began.push(endpoint)),
          end: ({ backend }, outcome, millis, why, stage) => {
            ended.push([backend.id, outcome, millis])
            whys.push(why)
            stages.push(stage)
          }
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
    return { exchange, entries, began, again, answered, proven, bypassed, ended, stages, whys, selections, completed }
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
        reason: undefined,
        isOverBudget: undefined
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
        failed: [{ backend: "http://a.test", reason: "connect_failed" }],
        reason: undefined
      })
    }))

  it.effect("ends no try twice", () =>
    Effect.gen(function*() {
      const { ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.failed("reset_before_headers")
      exchange.ending.refuse("reset_before_headers")
      exchange.finish(Exit.void)
      assert.strictEqual(ended.length, 1)
    }))

  it.effect.each(Object.keys(reasons))(
    "answers %s with its status and says the reason",
    (word) =>
      Effect.gen(function*() {
        const { completed, exchange } = yield* open(head)
        const reason = word as Reason
        exchange.ending.refuse(reason)
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

  it.effect("because the client left in the middle of an answer of our own, whose status is kept", () =>
    Effect.gen(function*() {
      const { completed, exchange } = yield* open(head)
      exchange.ending.refuse("no_backend")
      exchange.finish(clientLeft)
      assert.deepInclude(completed(), { status: 503, reason: "client_aborted" })
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
      const { completed, ended, exchange, whys } = yield* open(head)
      exchange.begin(a)
      exchange.answered({ status: 200, statusText: "", fields: [], body: undefined })
      exchange.finish(Exit.fail(TransportFailure.make({ reason: "reset_mid_body", message: "Connection reset" })))
      assert.deepStrictEqual([ended, whys], [[["a", "failure", 0]], ["reset_mid_body"]])
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

describe("the failed tries in the log", () => {
  it.effect("are in the order of the tries, each with its reason, without the one that the client got", () =>
    Effect.gen(function*() {
      const { completed, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.failed("connect_timeout")
      exchange.begin(a)
      exchange.answered(answer(504))
      exchange.setAside()
      exchange.begin(b)
      exchange.failed("protocol_error")
      exchange.begin(a)
      exchange.answered(answer(503))
      exchange.setAside()
      exchange.takeBack()
      exchange.finish(Exit.void)
      assert.deepInclude(completed(), {
        backend: "http://a.test",
        status: 503,
        tries: 4,
        failed: [
          { backend: "http://a.test", reason: "connect_timeout" },
          { backend: "http://a.test", reason: 504 },
          { backend: "http://b.test", reason: "protocol_error" }
        ]
      })
    }))

  it.effect("are none where there was one try, whatever came of it", () =>
    Effect.gen(function*() {
      const { completed, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.failed("reset_before_headers")
      exchange.ending.refuse("reset_before_headers")
      exchange.finish(Exit.void)
      assert.deepInclude(completed(), { backend: "http://a.test", tries: 1, failed: undefined })
      const other = yield* open(head)
      other.exchange.begin(a)
      other.exchange.answered(answer(503))
      other.exchange.setAside()
      other.exchange.takeBack()
      other.exchange.finish(Exit.void)
      assert.deepInclude(other.completed(), { backend: "http://a.test", status: 503, failed: undefined })
    }))
})

const answer = (status: number, released: Array<number> = []) => ({
  status,
  statusText: "",
  fields: [],
  body: { received: 0, isBroken: false, release: () => void released.push(status) }
})

describe("an answer that is set aside", () => {
  it.effect("has ended for its backend, and is among the failures when there is a better one", () =>
    Effect.gen(function*() {
      const { completed, ended, exchange, whys } = yield* open(head)
      exchange.begin(a)
      yield* TestClock.adjust(3)
      exchange.answered(answer(503))
      exchange.setAside()
      yield* TestClock.adjust(20)
      exchange.begin(b)
      assert.deepStrictEqual([ended, whys], [[["a", "failure", 3]], ["answered 503"]])
      exchange.answered(answer(200))
      exchange.accept()
      assert.strictEqual(ended.length, 1)
      exchange.finish(Exit.void)
      assert.deepStrictEqual([ended[1], whys[1]], [["b", "success", 0], undefined])
      assert.deepInclude(completed(), {
        status: 200,
        backend: "http://b.test",
        failed: [{ backend: "http://a.test", reason: 503 }]
      })
      assert.strictEqual(exchange.reached, 2)
    }))

  it.effect("is the client's when there is no better one, with its time and its backend", () =>
    Effect.gen(function*() {
      const released: Array<number> = []
      const { again, completed, ended, exchange, stages, whys } = yield* open(head)
      exchange.begin(a)
      yield* TestClock.adjust(3)
      exchange.answered(answer(503, released))
      exchange.setAside()
      exchange.begin(b)
      yield* TestClock.adjust(20)
      exchange.failed("reset_before_headers")
      assert.deepStrictEqual(again, [])
      exchange.takeBack()
      // It is in flight until its body is read, and teaches nothing more.
      assert.deepStrictEqual(again, ["a"])
      assert.deepStrictEqual([ended, released], [[["a", "failure", 3], ["b", "failure", 20]], []])
      yield* TestClock.adjust(7)
      exchange.finish(Exit.void)
      assert.deepStrictEqual([ended[2], stages[2]], [["a", "aborted", 7], "unmeasured"])
      assert.deepStrictEqual([released, whys.slice(0, 2)], [[503], ["answered 503", "reset_before_headers"]])
      assert.deepInclude(completed(), {
        status: 503,
        backend: "http://a.test",
        failed: [{ backend: "http://b.test", reason: "reset_before_headers" }]
      })
    }))

  it.effect("is no status of an exchange whose client leaves before it gets it", () =>
    Effect.gen(function*() {
      const { completed, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.answered(answer(503))
      exchange.setAside()
      exchange.finish(clientLeft)
      assert.deepInclude(completed(), { status: 499, reason: "client_aborted", backend: "http://a.test" })
    }))

  it.effect("is let go when the client leaves", () =>
    Effect.gen(function*() {
      const released: Array<number> = []
      const { ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.answered(answer(503, released))
      exchange.setAside()
      exchange.begin(b)
      exchange.finish(clientLeft)
      assert.deepStrictEqual([ended, released], [[["a", "failure", 0], ["b", "aborted", 0]], [503]])
    }))

  it.effect("may be asked for again at the same endpoint", () =>
    Effect.gen(function*() {
      const { exchange } = yield* open(head, [a])
      exchange.begin(a)
      exchange.answered(answer(503))
      exchange.setAside()
      assert.deepStrictEqual([exchange.select(), exchange.selectAgain()], [undefined, a])
    }))

  it.effect("is asked for again at its endpoint and not at one that has failed before", () =>
    Effect.gen(function*() {
      const { exchange } = yield* open(head, [a, b])
      exchange.begin(a)
      exchange.failed("reset_before_headers")
      exchange.begin(b)
      exchange.answered(answer(503))
      exchange.setAside()
      assert.strictEqual(exchange.selectAgain(), b)
    }))

  it.effect("may be asked once more also when its weight has changed meanwhile", () =>
    Effect.gen(function*() {
      const heavier = { ...a, backend: backend("a", 9) }
      const { exchange, selections } = yield* open(head)
      for (const endpoint of [a, heavier]) {
        exchange.begin(endpoint)
        exchange.answered(answer(503))
        exchange.setAside()
      }
      exchange.selectAgain()
      assert.deepStrictEqual(selections.at(-1)?.[1], [])
    }))
})

describe("two tries at a time", () => {
  it.effect("end once each, whoever wins", () =>
    Effect.gen(function*() {
      for (const firstWins of [true, false]) {
        const { completed, ended, exchange } = yield* open(head)
        exchange.begin(a)
        yield* TestClock.adjust(10)
        exchange.beginBeside(b)
        yield* TestClock.adjust(5)
        exchange.endRace(firstWins, undefined)
        exchange.answered(answer(200))
        exchange.finish(Exit.void)
        assert.deepStrictEqual(
          ended,
          firstWins
            ? [["b", "aborted", 5], ["a", "success", 15]]
            : [["a", "aborted", 15], ["b", "success", 5]]
        )
        assert.deepInclude(completed(), {
          backend: firstWins ? "http://a.test" : "http://b.test",
          tries: 2,
          failed: undefined
        })
      }
    }))

  it.effect("end the one that failed with its reason, and leave a backend alone that is not to blame", () =>
    Effect.gen(function*() {
      for (
        const [failure, outcome, why] of [[503, "failure", "answered 503"], [
          "overloaded",
          "aborted",
          "overloaded"
        ]] as const
      ) {
        const { completed, ended, exchange, whys } = yield* open(head)
        exchange.begin(a)
        exchange.beginBeside(b)
        exchange.endRace(true, failure)
        assert.deepStrictEqual([ended, whys], [[["b", outcome, 0]], [why]])
        exchange.failed("reset_before_headers")
        exchange.ending.refuse("reset_before_headers")
        exchange.finish(Exit.void)
        // Of two failures the log names the one that the client got to know.
        assert.deepInclude(completed(), {
          backend: "http://a.test",
          reason: "reset_before_headers",
          failed: [{ backend: "http://b.test", reason: failure }]
        })
      }
    }))

  it.effect("end both when the client leaves", () =>
    Effect.gen(function*() {
      const { completed, ended, exchange } = yield* open(head)
      exchange.begin(a)
      exchange.beginBeside(b)
      exchange.finish(clientLeft)
      assert.deepStrictEqual(ended.map(([id, outcome]) => [id, outcome]), [["a", "aborted"], ["b", "aborted"]])
      assert.deepInclude(completed(), { backend: "http://b.test", failed: undefined })
    }))
})

describe("the head of an answer that the client gets", () => {
  it.effect("is when its latency is told, and the end is when all of it was over", () =>
    Effect.gen(function*() {
      const { answered, ended, exchange, stages } = yield* open(head)
      exchange.begin(a)
      yield* TestClock.adjust(20)
      exchange.answered(answer(200))
      exchange.accept()
      assert.isFalse(exchange.isTrial)
      assert.deepStrictEqual(answered, [["a", 20, 20, "answered"]])
      yield* TestClock.adjust(60_000)
      exchange.finish(Exit.void)
      assert.deepStrictEqual([ended, stages], [[["a", "success", 60_020]], ["answered"]])
      assert.strictEqual(answered.length, 1)
    }))

  it.effect("may begin a tunnel", () =>
    Effect.gen(function*() {
      const { answered, exchange, stages } = yield* open(head)
      exchange.begin(a)
      exchange.answered(answer(101))
      exchange.accept()
      assert.isFalse(exchange.isTrial)
      exchange.finish(Exit.void)
      assert.deepStrictEqual([answered, stages], [[["a", 0, 0, "tunnel"]], ["tunnel"]])
    }))

  it.effect.each([502, 503, 504])(
    "says nothing good with a status of %d: its latency is that of a failure",
    (status) =>
      Effect.gen(function*() {
        const { answered, ended, exchange, stages } = yield* open(head)
        exchange.begin(a)
        yield* TestClock.adjust(3)
        exchange.answered(answer(status))
        exchange.accept()
        yield* TestClock.adjust(500)
        exchange.finish(Exit.void)
        assert.deepStrictEqual([answered, ended, stages], [[], [["a", "failure", 3]], ["sent"]])
      })
  )

  it.effect("is not that of one which is set aside, unless it is taken back", () =>
    Effect.gen(function*() {
      for (const isBetter of [true, false]) {
        const { answered, ended, exchange } = yield* open(head)
        exchange.begin(a)
        yield* TestClock.adjust(3)
        exchange.answered(answer(500))
        exchange.setAside()
        assert.deepStrictEqual(ended, [["a", "success", 3]])
        exchange.begin(b)
        yield* TestClock.adjust(20)
        assert.deepStrictEqual(answered, [])
        if (isBetter) {
          exchange.answered(answer(200))
          exchange.accept()
        } else {
          exchange.failed("reset_before_headers")
          exchange.takeBack()
        }
        exchange.finish(Exit.void)
        assert.deepStrictEqual(
          [answered, ended],
          isBetter
            ? [[["b", 20, 23, "answered"]], [["a", "success", 3], ["b", "success", 20]]]
            : [[], [["a", "success", 3], ["b", "failure", 20], ["a", "aborted", 0]]]
        )
      }
    }))

  it.effect("is that of the winner of two tries at a time", () =>
    Effect.gen(function*() {
      const { answered, ended, exchange, stages } = yield* open(head)
      exchange.begin(a)
      yield* TestClock.adjust(10)
      exchange.beginBeside(b)
      yield* TestClock.adjust(5)
      exchange.endRace(true, undefined)
      exchange.answered(answer(200))
      exchange.accept()
      yield* TestClock.adjust(100)
      exchange.finish(Exit.void)
      assert.deepStrictEqual(answered, [["a", 15, 15, "answered"]])
      assert.deepStrictEqual(ended, [["b", "aborted", 5], ["a", "success", 115]])
      assert.deepStrictEqual(stages, ["sent", "answered"])
    }))

  it.effect("leaves the rest to be watched where the backend is on trial", () =>
    Effect.gen(function*() {
      const { exchange, proven } = yield* open(head)
      const c = endpoint("c")
      c.load.isOnTrial = true
      exchange.begin(c)
      yield* TestClock.adjust(20)
      exchange.answered(answer(200))
      exchange.accept()
      assert.isTrue(exchange.isTrial)
      yield* TestClock.adjust(5_000)
      exchange.proven()
      assert.deepStrictEqual(proven, [["c", 5_020]])
      exchange.finish(Exit.void)
      exchange.proven()
      assert.strictEqual(proven.length, 1)
    }))

  it.effect("has taken the time of its try, and where that was a second one beside it, of the first of the two", () =>
    Effect.gen(function*() {
      const { exchange } = yield* open(head)
      yield* TestClock.adjust(5)
      exchange.begin(a)
      yield* TestClock.adjust(7)
      exchange.failed("reset_before_headers")
      exchange.begin(b)
      yield* TestClock.adjust(9)
      exchange.answered(answer(503))
      assert.strictEqual(exchange.answeredAfter, 9)
      exchange.setAside()
      exchange.begin(a)
      yield* TestClock.adjust(20)
      exchange.beginBeside(b)
      yield* TestClock.adjust(4)
      exchange.endRace(false, undefined)
      exchange.answered(answer(200))
      assert.strictEqual(exchange.answeredAfter, 24)
    }))
})

describe("what counts for another try", () => {
  it.effect("is whether a backend may have seen the request, and how long nobody has", () =>
    Effect.gen(function*() {
      const { exchange } = yield* open(head)
      exchange.begin(a)
      yield* TestClock.adjust(7)
      exchange.failed("connect_timeout")
      exchange.begin(b)
      yield* TestClock.adjust(9)
      exchange.failed("headers_timeout")
      assert.deepInclude(exchange, { attempt: 2, reached: 1, unsentMs: 7 })
    }))

  it.effect("is a backend's fault when it had half of the deadline or more, and nobody's when others had", () =>
    Effect.gen(function*() {
      const { ended, exchange } = yield* open(head)
      yield* TestClock.adjust(10)
      exchange.begin(a)
      yield* TestClock.adjust(10)
      exchange.failed("deadline_exceeded")
      exchange.begin(b)
      yield* TestClock.adjust(10)
      exchange.failed("deadline_exceeded")
      assert.deepStrictEqual(ended.map(([, outcome]) => outcome), ["failure", "aborted"])
    }))
})

describe("a request that is lost with a connection that was kept", () => {
  it.effect("is sent once more, and the failure is in the log", () =>
    Effect.gen(function*() {
      const { completed, exchange } = yield* open(head)
      exchange.mayResend = true
      exchange.begin(a)
      assert.isTrue(exchange.resend(a.backend.origin))
      assert.isFalse(exchange.mayResend)
      exchange.answered(answer(200))
      exchange.finish(Exit.void)
      const failed = [{ backend: "http://a.test", reason: "reset_before_headers" as const }]
      assert.deepInclude(completed(), { status: 200, tries: 1, failed, isOverBudget: undefined })
    }))

  it.effect("is not sent again beyond the budget", () =>
    Effect.gen(function*() {
      const { completed, exchange } = yield* open(head, [], HashKey.client, () => false)
      exchange.begin(a)
      assert.isFalse(exchange.resend(a.backend.origin))
      exchange.failed("reset_before_headers")
      exchange.ending.refuse("reset_before_headers")
      exchange.finish(Exit.void)
      assert.deepInclude(completed(), { status: 502, failed: undefined, isOverBudget: true })
    }))
})
