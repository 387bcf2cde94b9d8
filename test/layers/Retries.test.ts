/** Whole forwarders over fake backends: which requests are tried again, when, and what the client gets in the end. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Balancer from "../../src/layers/Balancer.ts"
import * as Drain from "../../src/layers/Drain.ts"
import * as Ejection from "../../src/layers/Ejection.ts"
import * as Forwarder from "../../src/layers/Forwarder.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import * as RoundRobin from "../../src/layers/strategies/RoundRobin.ts"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../src/layers/testing/FakeServer.ts"
import { type Entry, pretty } from "../../src/services/AccessLog.ts"
import { Affinity } from "../../src/services/Affinity.ts"
import * as Backend from "../../src/services/Backend.ts"
import {
  Balancer as BalancerService,
  defaultOptions as defaultLimits,
  type Options as BalancerOptions
} from "../../src/services/Balancer.ts"
import { TransportFailure } from "../../src/services/Failure.ts"
import { defaultOptions, Forwarder as ForwarderService, type Options } from "../../src/services/Forwarder.ts"
import type { Signal } from "../../src/services/Health.ts"
import { attachRequestHead, type RequestHead } from "../../src/services/Message.ts"
import { Pool } from "../../src/services/Pool.ts"
import { defaultPolicy, type Policy } from "../../src/services/RetryPolicy.ts"

const { delayed, handle, hangs, inTurn, onPath, refuses, resets, respond, trickles, unreachable } = FakeBackends
const Fakes = FakeBackends.FakeBackends

interface Wishes extends Partial<Omit<Options, "retry">> {
  readonly limits?: Partial<BalancerOptions>
  readonly retry?: Partial<Policy>
  /** The balancer in place of the one that there is. */
  readonly balancer?: (balancer: BalancerService["Service"]) => BalancerService["Service"]
}

/** A forwarder between fake clients and fake backends, which are all offered traffic, in turn. */
const lab = (
  scripts: Readonly<Record<string, FakeBackends.Behaviour>>,
  { balancer = identity, limits, retry, ...options }: Wishes = {},
  entries: Array<Entry> = []
) =>
  LoadBalancer.layerServe.pipe(
    Layer.provideMerge(Layer.effectDiscard(
      Effect.flatMap(Pool, (pool) => pool.reconcile(Object.keys(scripts).map((origin) => Backend.make(origin))))
    )),
    Layer.provideMerge(Forwarder.layer({ ...defaultOptions, ...options, retry: { ...defaultPolicy, ...retry } })),
    Layer.provide(Drain.layer()),
    Layer.provide(Layer.effect(BalancerService, Effect.map(BalancerService, balancer))),
    Layer.provide(Balancer.layer({ ...defaultLimits, ...limits })),
    Layer.provide(Ejection.layerNone),
    Layer.provide([RoundRobin.layer, AccessLog.layerMemory(entries)]),
    Layer.provideMerge([PoolLayer.layer(), FakeBackends.layer(scripts), FakeServer.layer])
  )

const receivedBy = (origin: string) => Effect.map(Fakes, ({ received }) => received(origin))

const loads = Effect.gen(function*() {
  const { members } = yield* Ref.get((yield* Pool).state)
  return members.map((
    { endpoint: { backend, load } }
  ) => [backend.origin.slice(7), load.total, load.failed, load.inFlight])
})

/** What has become of a request after this much time: its status and its text. */
const after = (ms: number, request: ReturnType<typeof FakeServer.request>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(request)
    yield* TestClock.adjust(ms)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) return "nothing yet"
    return Exit.isSuccess(exit) ? `${exit.value.status} ${exit.value.text.split("\n").at(-2) ?? exit.value.text}` : exit
  })

const get = (ms = 25) => after(ms, FakeServer.request("/"))
const post = (ms = 25) => after(ms, FakeServer.request(HttpClientRequest.post("http://lb/")))

/** Forwards a request of an engine that knows more of it than the platform does, and gives the status. */
const forward = (method: string, known: Partial<RequestHead>) => {
  const request = HttpServerRequest.fromWeb(new Request("http://lb/", { method, body: known.body ? "text" : null }))
  const head = { method, target: "/", fields: ["Host", "lb"], body: undefined, ...known }
  return Effect.flatMap(ForwarderService, ({ handle }) =>
    handle.pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, attachRequestHead(request, head)),
      Effect.scoped,
      Effect.map(({ status }) => status)
    ))
}

/** The last line of the log. */
const last = (entries: ReadonlyArray<Entry>): string => pretty(entries.at(-1)!)

const fails = (text: string, headers: Readonly<Record<string, string>> = {}, status = 503) =>
  respond(text, { status, headers })

const slow = (ms: number) => delayed(ms, respond(`after ${ms} ms`))

describe("a request that no backend has seen", () => {
  it.effect("goes to every endpoint at once, and to none twice", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* post(0), "200 here")
      assert.strictEqual(
        last(entries),
        "RESPONSE: POST / <- http://e [200] 0ms, 5 tries (" +
          "http://a connect_failed, http://b connect_failed, http://c connect_failed, http://d connect_failed)"
      )
      yield* (yield* Fakes).script("http://e", refuses)
      assert.strictEqual(yield* post(0), "502 reason: connect_failed")
      assert.deepStrictEqual(yield* loads, ["a", "b", "c", "d", "e"].map((name) => [name, 2, name === "e" ? 1 : 2, 0]))
    }).pipe(Effect.provide(
      lab(
        {
          "http://a": refuses,
          "http://b": refuses,
          "http://c": refuses,
          "http://d": refuses,
          "http://e": respond("here")
        },
        { retry: { tries: 1, budget: { ratio: 0, perSecond: 0 } } },
        entries
      )
    ))
  })

  it.effect("does not count as tried after one that was sent", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(), "200 here")
    }).pipe(Effect.provide(
      lab({ "http://a": refuses, "http://b": resets, "http://c": refuses, "http://d": respond("here") })
    )))

  it.effect("is given up when nobody has accepted a connection for 10 s", () => {
    const names = ["a", "b", "c", "d", "e", "f", "g"]
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(9_999), "nothing yet")
      assert.strictEqual(yield* get(10_000), "504 reason: connect_timeout")
      // Two requests, of five tries each.
      assert.strictEqual((yield* loads).reduce((sum, [, total]) => sum + Number(total), 0), 10)
    }).pipe(Effect.provide(lab(Object.fromEntries(names.map((name) => [`http://${name}`, unreachable])))))
  })
})

describe("a request that a backend may have seen", () => {
  it.effect("is tried on one other endpoint, after up to 25 ms, if its method is idempotent", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(), "200 b")
      const { durationMs, ...entry } = { durationMs: NaN, ...entries.at(-1)! }
      const failed = [{ backend: "http://a", reason: "reset_before_headers" as const }]
      assert.deepInclude(entry, { backend: "http://b", tries: 2, failed, reason: undefined })
      assert.isBelow(durationMs, 25)
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": resets, "http://b": respond("b") }, {}, entries)))
  })

  it.effect("is never delivered twice if its method is not", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* post(), "502 reason: reset_before_headers")
      assert.strictEqual(yield* post(15_000), "504 reason: headers_timeout")
      assert.strictEqual(yield* post(), "503 busy")
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 1, 0], ["c", 1, 1, 0]])
    }).pipe(Effect.provide(lab({ "http://a": resets, "http://b": hangs, "http://c": fails("busy") }))))

  it.effect("does not go to a backend that was taken out while it waited", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(FakeServer.request("/"), { startImmediately: true })
      yield* TestClock.adjust(0)
      yield* (yield* Pool).signal("http://b", { _tag: "ModeSet", mode: "Disabled", why: "maintenance" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).text, "c")
      assert.deepStrictEqual(yield* receivedBy("http://b"), [])
    }).pipe(
      Effect.provide(
        lab({ "http://a": resets, "http://b": respond("b"), "http://c": respond("c") }, { retry: { backoff: 500 } })
      ),
      // A wait that is drawn below a millisecond is none.
      Random.withSeed(1)
    ))

  it.effect("is tried on two backends and not on a third", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(100), "502 reason: reset_before_headers")
      assert.deepStrictEqual(yield* receivedBy("http://c"), [])
    }).pipe(Effect.provide(lab({ "http://a": resets, "http://b": resets, "http://c": respond("c") }))))

  it.effect("is tried as often and for those methods that the policy says", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* post(100), "200 c")
      assert.strictEqual(yield* get(), "502 reason: reset_before_headers")
    }).pipe(Effect.provide(
      lab(
        { "http://a": resets, "http://b": resets, "http://c": respond("c") },
        { retry: { tries: 3, methods: new Set(["POST"]) } }
      )
    )))

  it.effect("goes on when a backend has not answered for 15 s", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(15_025), "200 b")
    }).pipe(Effect.provide(lab({ "http://a": hangs, "http://b": respond("b") }))))

  const put = HttpClientRequest.put("http://lb/").pipe(HttpClientRequest.bodyText("text"))

  it.effect("is not sent again when its body may be half gone", () => {
    const readsAndResets: FakeBackends.Behaviour = (attempt) =>
      Effect.map(
        resets(attempt),
        (answer) => Effect.andThen(Effect.ignore(Stream.runDrain(attempt.request.stream)), answer)
      )
    return Effect.gen(function*() {
      assert.strictEqual(yield* after(25, FakeServer.request(put)), "502 reason: reset_before_headers")
    }).pipe(Effect.provide(lab({ "http://a": readsAndResets, "http://b": respond("b") })))
  })

  it.effect("is sent again when nothing of its body was read", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* after(25, FakeServer.request(put)), "200 b")
      assert.strictEqual((yield* Fakes).received("http://b")[0]?.body, "text")
    }).pipe(Effect.provide(lab({ "http://a": resets, "http://b": respond("b") }))))

  it.effect.each<readonly [method: string, tries: number, kept: ReadonlyArray<number>]>([
    ["PUT", 2, [1_000]],
    ["PUT", 1, []],
    ["POST", 2, []]
  ])("has its body kept only where it may be sent again (%s, %i tries)", ([method, tries, expected]) => {
    const kept: Array<number> = []
    const body = {
      keep: (maxBytes: number) => void kept.push(maxBytes),
      isWhole: true,
      isAwaited: false,
      whenComplete: (done: () => void) => done(),
      settle: () => {}
    }
    return Effect.gen(function*() {
      assert.strictEqual(yield* forward(method, { fields: ["Host", "lb", "Content-Length", "4"], body }), 200)
      assert.deepStrictEqual(kept, expected)
    }).pipe(Effect.provide(lab({ "http://a": respond("a") }, { retry: { tries, bodyLimit: 1_000 } })))
  })

  it.effect("is over at once when its client leaves during the wait", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0]])
      assert.include(last(entries), "client_aborted")
    }).pipe(Effect.provide(
      lab({ "http://a": fails("busy", { "retry-after": "1" }) }, {}, entries)
    ))
  })

  it.effect("has its failed try in the log also when the client leaves before the next one", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(100)
      yield* Fiber.interrupt(fiber)
      assert.deepInclude(entries.at(-1), {
        reason: "client_aborted",
        tries: 1,
        failed: [{ backend: "http://a", reason: 503 }]
      })
    }).pipe(
      Effect.provide(lab({ "http://a": fails("busy", { "retry-after": "1" }) }, {}, entries))
    )
  })
})

describe("a backend's 502, 503 or 504", () => {
  it.effect("is not seen by the client while another backend can answer, and its body is not read", () => {
    const entries: Array<Entry> = []
    const endless = handle(() =>
      Effect.succeed(
        HttpServerResponse.stream(Stream.concat(Stream.succeed(new Uint8Array(3)), Stream.never), { status: 503 })
      )
    )
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(), "200 b")
      assert.strictEqual((yield* receivedBy("http://a"))[0]?.outcome, "aborted")
      const failed = [{ backend: "http://a", reason: 503 }]
      assert.deepInclude(entries.at(-1), { backend: "http://b", status: 200, failed, reason: undefined })
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": endless, "http://b": respond("b") }, {}, entries)))
  })

  it.effect("is let go while the better answer of another backend still comes", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(1_000)
      const { inFlight, received } = yield* Fakes
      assert.deepStrictEqual([received("http://a")[0]?.outcome, inFlight("http://b")], ["aborted", 1])
    }).pipe(Effect.provide(lab({
      "http://a": trickles(1, "1 second", respond("not now", { status: 503 })),
      "http://b": trickles(1, "1 second", respond("at last"))
    }))))

  it.effect.each([502, 503, 504])("reaches the client when the other one fails worse (%i)", (status) => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(), `${status} their own words`)
      assert.deepInclude(entries.at(-1), {
        backend: "http://a",
        status,
        tries: 2,
        failed: [{ backend: "http://b", reason: "reset_before_headers" }],
        reason: undefined
      })
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 1, 0]])
    }).pipe(Effect.provide(
      lab({ "http://a": fails("their own words", {}, status), "http://b": resets }, {}, entries)
    ))
  })

  it.effect("makes room for the try on another backend, where one request at a time is allowed", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(), "200 b")
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 0, 0]])
    }).pipe(Effect.provide(lab(
      { "http://a": fails("busy"), "http://b": respond("b") },
      { limits: { maxTotalInFlight: 1 } }
    ))))

  it.effect("counts in flight until its body has been read, when it is handed over after all", () => {
    const entries: Array<Entry> = []
    const slow = handle(() =>
      Effect.succeed(HttpServerResponse.stream(
        Stream.fromEffect(Effect.as(Effect.sleep(1_000), new TextEncoder().encode("slow"))),
        { status: 503 }
      ))
    )
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 1], ["b", 1, 1, 0]])
      yield* TestClock.adjust(1_000)
      assert.strictEqual((yield* Fiber.join(fiber)).text, "slow")
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 1, 0]])
    }).pipe(Effect.provide(lab({ "http://a": slow, "http://b": resets }, {}, entries)))
  })

  it.effect("gives way to the next one, which is newer", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(), "504 second")
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 1, 0]])
    }).pipe(Effect.provide(lab({ "http://a": fails("first"), "http://b": fails("second", {}, 504) }))))

  it.effect("is an answer as any other where the policy does not name it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(0), "503 busy")
    }).pipe(Effect.provide(
      lab({ "http://a": fails("busy"), "http://b": respond("b") }, { retry: { statuses: new Set() } })
    )))
})

describe("an answer that was kept in vain for a better one", () => {
  it.effect("teaches nothing of the past when something newer is known", () =>
    Effect.gen(function*() {
      const kept = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* get(0), "200 a")
      const { members } = yield* Ref.get((yield* Pool).state)
      const { load } = members[0]!.endpoint
      assert.deepStrictEqual([load.total, load.latencyAt], [2, 500])
      yield* TestClock.adjust(1_000)
      assert.strictEqual((yield* Fiber.join(kept)).status, 429)
      assert.isAtLeast(load.latencyAt, 500)
    }).pipe(Effect.provide(
      lab({ "http://a": inTurn(fails("slow down", {}, 429), respond("a")), "http://b": hangs }, {
        retry: { tries: 2, statuses: new Set([429]) },
        tryTimeout: 1_000
      })
    )))
})

describe("Retry-After", () => {
  it.effect("is not waited for while there is another backend", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(), "200 b")
    }).pipe(Effect.provide(lab({ "http://a": fails("busy", { "retry-after": "1" }), "http://b": respond("b") }))))

  it.effect("is waited for rather than that one is asked who is only ejected, if there is time for it", () => {
    const busy = fails("busy", { "retry-after": "1" })
    const scripts = { "http://a": inTurn(busy, respond("a"), busy), "http://b": inTurn(resets, respond("b")) }
    return Effect.gen(function*() {
      yield* (yield* Pool).signal("http://b", { _tag: "Tripped", why: "5 failures in a row" })
      assert.strictEqual(yield* get(1_025), "200 a")
      yield* (yield* Fakes).script("http://a", fails("busy", { "retry-after": "3" }))
      assert.strictEqual(yield* get(), "503 busy")
      assert.strictEqual(yield* get(), "200 b")
    }).pipe(Effect.provide(lab(scripts)))
  })

  it.effect("is waited for where there is none, and the same backend is asked again", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      assert.strictEqual(yield* get(999), "nothing yet")
      yield* TestClock.adjust(26)
      assert.deepInclude(entries.at(-1), { status: 200, tries: 2, failed: [{ backend: "http://a", reason: 503 }] })
      const date = "Thu, 01 Jan 2026 00:00:03 GMT"
      yield* (yield* Fakes).script(
        "http://a",
        inTurn(resets, resets, fails("busy", { "retry-after": date }), respond("a"))
      )
      assert.strictEqual(yield* get(2_100), "200 a")
    }).pipe(Effect.provide(
      lab({ "http://a": inTurn(fails("busy", { "retry-after": "1" }), respond("a")) }, {}, entries)
    ))
  })

  it.effect("is waited for where the backend may have one request in flight: the answer that is kept is none", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(999), "nothing yet")
      yield* TestClock.adjust(26)
      assert.deepStrictEqual(yield* loads, [["a", 2, 1, 0]])
      assert.strictEqual(yield* get(0), "200 a")
    }).pipe(Effect.provide(lab(
      { "http://a": inTurn(fails("busy", { "retry-after": "1" }), respond("a")) },
      { limits: { maxInFlight: 1 } }
    ))))

  it.effect("is not waited for where the backend could not be asked again, because it was taken out meanwhile", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(50)
      yield* (yield* Pool).signal("http://a", { _tag: "ModeSet", mode: "Disabled", why: "a deploy" })
      yield* TestClock.adjust(50)
      assert.deepInclude(yield* fiber.pollUnsafe() ?? Effect.die("it waits"), { status: 503, text: "busy" })
    }).pipe(Effect.provide(lab({ "http://a": delayed(100, fails("busy", { "retry-after": "1" })) }))))

  it.effect("is waited for with other statuses as well, which are no failures of a backend", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(999), "nothing yet")
      yield* TestClock.adjust(26)
      assert.deepStrictEqual(yield* loads, [["a", 2, 0, 0]])
    }).pipe(Effect.provide(lab(
      { "http://a": inTurn(fails("slow down", { "retry-after": "1" }, 429), respond("a")) },
      { limits: { maxInFlight: 1 }, retry: { statuses: new Set([429]) } }
    ))))

  it.effect("is waited for a little longer by each, so that not all who were told the same come back at once", () => {
    const requests = 10
    const busy = fails("busy", { "retry-after": "1" })
    const recovering: FakeBackends.Behaviour = (attempt) => (attempt.turn < requests ? busy : respond("a"))(attempt)
    return Effect.gen(function*() {
      for (let i = 0; i < requests; i++) yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(1_025)
      const again = (yield* receivedBy("http://a")).slice(requests).map(({ at }) => at)
      assert.lengthOf(again, requests)
      for (const at of again) assert.isAtLeast(at, 1_000)
      assert.isAbove(new Set(again).size, requests / 2)
    }).pipe(Effect.provide(lab({ "http://a": recovering })), Random.withSeed(1))
  })

  it.effect("is waited for up to 2 s without a deadline, and as long as fits the deadline with one", () => {
    /** What has become after so many milliseconds of a request to a backend that asks for so many seconds. */
    const asked = (seconds: number, ms: number, wishes: Wishes) =>
      get(ms).pipe(Effect.provide(
        lab({ "http://a": inTurn(fails("busy", { "retry-after": `${seconds}` }), respond("a")) }, wishes)
      ))
    const deadline = { exchangeTimeout: 10_000 }
    const limited = { exchangeTimeout: 10_000, retry: { maxWait: 4_000 } }
    return Effect.gen(function*() {
      for (const [wishes, longest] of [[{}, 2], [deadline, 9], [limited, 4]] as const) {
        assert.strictEqual(yield* asked(longest, longest * 1_000 + 25, wishes), "200 a")
        assert.strictEqual(yield* asked(longest + 1, 0, wishes), "503 busy")
      }
    })
  })
})

describe("a lack of this process", () => {
  it.effect("is said once in a while, with its cause, however many requests meet it", () => {
    const entries: Array<Entry> = []
    const full: FakeBackends.Behaviour = () =>
      Effect.fail(TransportFailure.make({ reason: "overloaded", message: "Too many open files" }))
    const lines = () => entries.filter(({ _tag }) => _tag === "Notice").map(pretty)
    return Effect.gen(function*() {
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* FakeServer.request("/")).status, 503)
      yield* TestClock.adjust(9_999)
      yield* FakeServer.request("/")
      assert.deepStrictEqual(lines(), ["WARN: No connection to a backend was to be had: Too many open files"])
      yield* TestClock.adjust(1)
      yield* FakeServer.request("/")
      assert.lengthOf(lines(), 2)
    }).pipe(Effect.provide(lab({ "http://a": full }, {}, entries)))
  })
})

describe("an answer that is kept", () => {
  it.effect.each([503, 429])("takes no room from the next try (%i)", (status) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(25), "200 b")
    }).pipe(Effect.provide(lab(
      { "http://a": fails("kept", {}, status), "http://b": respond("b") },
      { limits: { maxTotalInFlight: 1 }, retry: { statuses: new Set([503, 429]) } }
    ))))
})

describe("the place of a trial", () => {
  const signal = (signal: Signal) => Effect.flatMap(Pool, (pool) => pool.signal("http://a", signal))
  const tripped = signal({ _tag: "Tripped", why: "5 failures in a row", random: 0 })
  const limitOfFirst = Effect.map(Pool, (pool) => Ref.getUnsafe(pool.state).members[0]!.endpoint.load.limit)

  it.effect("is not lost to an answer from before that is kept and handed over after all", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"), { startImmediately: true })
      yield* TestClock.adjust(1)
      yield* tripped
      yield* TestClock.adjust(10_000)
      yield* signal({ _tag: "Elapsed" })
      yield* TestClock.adjust(10_000)
      assert.strictEqual(yield* limitOfFirst, 1)
    }).pipe(Effect.provide(lab(
      { "http://a": delayed(15_000, fails("no")), "http://b": respond("b") },
      { retry: { budget: { ratio: 0, perSecond: 0 } } }
    ))))

  it.effect("is beside an answer from before that is handed over while it is one, however long that takes", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"), { startImmediately: true })
      yield* TestClock.adjust(30)
      yield* tripped
      yield* TestClock.adjust(10_000)
      yield* signal({ _tag: "Elapsed" })
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual([(yield* loads)[0]?.[3], yield* limitOfFirst], [1, 2])
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual([(yield* loads)[0]?.[3], yield* limitOfFirst], [0, 1])
    }).pipe(Effect.provide(lab({ "http://a": trickles(1, "20 seconds", fails("no")), "http://b": hangs }))))

  it.effect("is not lost to the client of a trial that leaves, whose request came before it was one", () =>
    Effect.gen(function*() {
      yield* tripped
      yield* TestClock.adjust(10_000)
      const clients = []
      for (let i = 0; i < 3; i++) {
        clients.push(yield* Effect.forkChild(FakeServer.request("/"), { startImmediately: true }))
      }
      yield* TestClock.adjust(1)
      yield* signal({ _tag: "Elapsed" })
      yield* TestClock.adjust(1)
      for (const client of clients) yield* Fiber.interrupt(client)
      assert.deepStrictEqual((yield* loads)[0], ["a", 1, 0, 0])
      assert.strictEqual(yield* limitOfFirst, 1)
    }).pipe(Effect.provide(
      lab({ "http://a": hangs, "http://b": hangs }).pipe(
        // Cookies are read while the trial begins.
        Layer.provide(Layer.succeed(Affinity, { read: () => Effect.as(Effect.sleep(2), undefined) }))
      )
    )))
})

describe("the retry budget", () => {
  it.effect("lets no more tries through than a share of the requests, and the log says so", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const fibers = yield* Effect.forEach(Array.from({ length: 100 }), () => Effect.forkChild(FakeServer.request("/")))
      yield* TestClock.adjust(25)
      const replies = yield* Effect.forEach(fibers, Fiber.join)
      const good = replies.filter(({ status }) => status === 200).length
      const over = entries.filter((entry) => entry._tag === "Completed" && entry.isOverBudget === true)
      // Round-robin gives the other backend all second tries, so that every first one fails.
      assert.deepStrictEqual([good, over.length], [0.2 * 100 + 10, 70])
      assert.include(pretty(over[0]!), "[503] 0ms, retry budget used up")
    }).pipe(Effect.provide(
      lab(
        { "http://a": fails("busy"), "http://b": respond("b") },
        { retry: { budget: { ratio: 0.2, perSecond: 1 } } },
        entries
      )
    ))
  })

  it.effect("is not asked where there is no other backend, and the log does not say that it is used up", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      for (let i = 0; i < 20; i++) assert.strictEqual(yield* get(25), "502 reason: reset_before_headers")
      for (const entry of entries) assert.notInclude(pretty(entry), "budget")
    }).pipe(Effect.provide(
      lab({ "http://a": resets }, { retry: { budget: { ratio: 0, perSecond: 1 } } }, entries)
    ))
  })
})

const resetsLate: FakeBackends.Behaviour = (attempt) =>
  Effect.map(resets(attempt), (answer) => Effect.andThen(Effect.sleep(900), answer))

describe("an answer with a transfer coding that nobody asked for", () => {
  const coded = respond("coded", { headers: { "transfer-encoding": "gzip" } })

  it.effect("is none, and is let go while the answer of another backend still comes", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(25), "nothing yet")
      assert.strictEqual((yield* receivedBy("http://a"))[0]?.outcome, "aborted")
      assert.lengthOf(yield* receivedBy("http://b"), 1)
      yield* (yield* Fakes).script("http://b", coded)
      assert.strictEqual(yield* post(), "502 reason: protocol_error")
    }).pipe(Effect.provide(lab({ "http://a": coded, "http://b": trickles(1, "1 second", respond("b")) }))))
})

describe("the deadline of an exchange", () => {
  it.effect("is 504 deadline_exceeded, and the work on it ends", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* post(1_000), "504 reason: deadline_exceeded")
      assert.strictEqual((yield* receivedBy("http://a"))[0]?.outcome, "aborted")
      assert.deepInclude(entries.at(-1), { reason: "deadline_exceeded", status: 504, durationMs: 1_000, tries: 1 })
      // It had all of the time for itself.
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0]])
    }).pipe(Effect.provide(lab({ "http://a": hangs }, { exchangeTimeout: 1_000 }, entries)))
  })

  it.effect("is one for all tries, and a backend is not blamed for what the others have used up", () =>
    Effect.gen(function*() {
      // Its back-off may end within a millisecond.
      assert.strictEqual(yield* get(1_001), "504 reason: deadline_exceeded")
      assert.deepStrictEqual(yield* loads, [["a", 1, 1, 0], ["b", 1, 0, 0]])
    }).pipe(Effect.provide(
      lab({ "http://a": resetsLate, "http://b": delayed(500, respond("b")) }, { exchangeTimeout: 1_000 })
    )))

  it.effect("does not end a body that has begun", () =>
    Effect.gen(function*() {
      const body = Stream.fromEffect(Effect.as(Effect.sleep(5_000), new TextEncoder().encode("late")))
      yield* (yield* Fakes).script("http://a", handle(() => Effect.succeed(HttpServerResponse.stream(body))))
      assert.strictEqual(yield* get(5_000), "200 late")
    }).pipe(Effect.provide(lab({ "http://a": hangs }, { exchangeTimeout: 1_000 }))))

  it.effect("brings the answer that was set aside, if there is one", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(1_001), "503 busy")
    }).pipe(Effect.provide(lab({ "http://a": fails("busy"), "http://b": hangs }, { exchangeTimeout: 1_000 }))))

  it.effect("does not blame a backend for the time that its request has waited for room", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(2_000)
      assert.deepStrictEqual(yield* loads, [["a", 2, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": slow(900) }, { exchangeTimeout: 1_000, limits: { maxInFlight: 1 } }))))

  it.effect("ends the wait for room, and nothing is sent then", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(300)
      assert.deepInclude(entries.at(-1), { _tag: "Completed", tries: 0, durationMs: 300, reason: "overloaded" })
    }).pipe(
      Effect.provide(
        lab({ "http://a": FakeBackends.stalls(1, respond("long")) }, {
          exchangeTimeout: 300,
          limits: { maxInFlight: 1 }
        }, entries)
      )
    )
  })

  it.effect("is that of the try where there is room just as the wait ends with it", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(300), "504 reason: deadline_exceeded")
      assert.deepInclude(entries.at(-1), { tries: 1, durationMs: 300 })
      assert.deepStrictEqual(yield* loads, [["a", 1, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": hangs }, {
      exchangeTimeout: 300,
      balancer: (balancer) => ({
        ...balancer,
        select: () => undefined,
        // There is room after 299.9 ms, and whoever has waited has not heard of it.
        wait: (context, tried, take) =>
          Effect.sync(() => take(balancer.select(context, tried)!)).pipe(
            Effect.delay(299.9),
            Effect.andThen(Effect.never)
          )
      })
    }, entries)))
  })

  it.effect("blames a backend that hangs for all of it, also where a hedge has failed meanwhile", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 100; i++) yield* get(20)
      yield* script("http://a", hangs)
      yield* script("http://b", resets)
      assert.strictEqual(yield* get(1_000), "504 reason: deadline_exceeded")
      assert.deepStrictEqual((yield* loads).map(([name, , failed]) => [name, failed]), [["a", 1], ["b", 1]])
    }).pipe(
      Effect.provide(
        lab({ "http://a": slow(20), "http://b": slow(20) }, {
          exchangeTimeout: 1_000,
          hedge: { after: 0.95, budget: 1 }
        })
      )
    ))
})

describe("the deadline of a try", () => {
  it.effect("ends it like a backend that does not answer, so that another one may", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(525), "200 b")
      assert.strictEqual(yield* post(500), "504 reason: headers_timeout")
      assert.deepStrictEqual(yield* loads, [["a", 2, 2, 0], ["b", 1, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": hangs, "http://b": respond("b") }, { tryTimeout: 500 }, entries)))
  })

  it.effect("is that of its exchange where they are equally long, and then there is no other try", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* get(500), "504 reason: deadline_exceeded")
    }).pipe(Effect.provide(
      lab({ "http://a": hangs, "http://b": respond("b") }, { tryTimeout: 500, exchangeTimeout: 500 })
    )))
})

describe("hedging", () => {
  /** Teaches the forwarder that answers take 20 ms. */
  const warmUp = Effect.gen(function*() {
    const { script } = yield* Fakes
    for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(20))
    for (let i = 0; i < 100; i++) yield* get(20)
  })

  /** Answers at once, and takes a second for the body. */
  const streams = handle(() =>
    Effect.succeed(HttpServerResponse.stream(
      Stream.fromEffect(Effect.as(Effect.sleep(1_000), new TextEncoder().encode("streamed")))
    ))
  )

  const hedging = (entries: Array<Entry> = [], budget = 1) =>
    lab({ "http://a": hangs, "http://b": hangs }, { hedge: { after: 0.95, budget } }, entries)

  it.effect("asks a second backend when the first takes longer than usual, and gives up the slower one", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      yield* script("http://a", slow(5_000))
      assert.strictEqual(yield* get(20), "nothing yet")
      yield* TestClock.adjust(22)
      assert.deepInclude(entries.at(-1), { status: 200, backend: "http://b", tries: 2, failed: undefined })
      assert.strictEqual((yield* receivedBy("http://a")).at(-1)?.outcome, "aborted")
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 51, 0, 0]])
      // The first one may still win.
      yield* script("http://a", slow(30))
      yield* script("http://b", slow(5_000))
      assert.strictEqual(yield* get(30), "200 after 30 ms")
      assert.deepInclude(entries.at(-1), { backend: "http://a", tries: 2, failed: undefined })
      assert.deepStrictEqual(yield* loads, [["a", 52, 0, 0], ["b", 52, 0, 0]])
    }).pipe(Effect.provide(hedging(entries)))
  })

  it.effect("asks nobody who is ejected, however long the first takes", () =>
    Effect.gen(function*() {
      yield* warmUp
      yield* (yield* Pool).signal("http://b", { _tag: "Tripped", why: "5 failures in a row" })
      const { script } = yield* Fakes
      yield* script("http://a", slow(2_000))
      assert.strictEqual(yield* get(2_000), "200 after 2000 ms")
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 50, 0, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("waits for the other one when one of the two fails or is busy", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      yield* script("http://a", slow(100))
      yield* script("http://b", fails("busy"))
      assert.strictEqual(yield* get(100), "200 after 100 ms")
      yield* script("http://b", resetsLate)
      yield* script("http://a", slow(2_000))
      assert.strictEqual(yield* get(2_000), "200 after 2000 ms")
      assert.deepStrictEqual(yield* loads, [["a", 52, 0, 0], ["b", 52, 2, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("brings an answer rather than a failure when neither is good, and no third try", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      yield* script("http://a", resetsLate)
      yield* script("http://b", fails("busy"))
      assert.strictEqual(yield* get(1_000), "503 busy")
      const failed = [{ backend: "http://a", reason: "reset_before_headers" as const }]
      assert.deepInclude(entries.at(-1), { backend: "http://b", tries: 2, failed })
      assert.deepStrictEqual(yield* loads, [["a", 51, 1, 0], ["b", 51, 1, 0]])
    }).pipe(Effect.provide(hedging(entries)))
  })

  it.effect("makes no third try, on a third backend, when both have failed", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 102; i++) yield* get(20)
      yield* script("http://a", resetsLate)
      yield* script("http://b", resetsLate)
      assert.strictEqual(yield* get(2_000), "502 reason: reset_before_headers")
      assert.deepStrictEqual(yield* loads, [["a", 35, 1, 0], ["b", 35, 1, 0], ["c", 34, 0, 0]])
    }).pipe(Effect.provide(
      lab({ "http://a": slow(20), "http://b": slow(20), "http://c": slow(20) }, {
        hedge: { after: 0.95, budget: 1 },
        retry: { tries: 2 }
      })
    )))

  it.effect("leaves a second try alone, or a request could be on three backends", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 102; i++) yield* get(20)
      yield* script("http://a", resets)
      yield* script("http://b", slow(100))
      assert.strictEqual(yield* get(200), "200 after 100 ms")
      assert.deepStrictEqual(yield* loads, [["a", 35, 1, 0], ["b", 35, 0, 0], ["c", 34, 0, 0]])
    }).pipe(Effect.provide(
      lab({ "http://a": slow(20), "http://b": slow(20), "http://c": slow(20) }, { hedge: { after: 0.95, budget: 1 } })
    )))

  it.effect("waits for the only backend that there is", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 100; i++) yield* get(20)
      yield* script("http://a", slow(100))
      assert.strictEqual(yield* get(100), "200 after 100 ms")
      assert.deepStrictEqual(yield* loads, [["a", 101, 0, 0]])
    }).pipe(Effect.provide(lab({ "http://a": slow(20) }, { hedge: { after: 0.95, budget: 1 } }))))

  it.effect("leaves a request with a body alone", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(100))
      const put = HttpClientRequest.put("http://lb/")
      const withBody = HttpClientRequest.bodyText(put, "text")
      assert.strictEqual(yield* after(100, FakeServer.request(withBody)), "200 after 100 ms")
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 50, 0, 0]])
      // Without it, it is hedged as any other.
      assert.strictEqual(yield* after(100, FakeServer.request(put)), "200 after 100 ms")
      assert.deepStrictEqual(yield* loads, [["a", 52, 0, 0], ["b", 51, 0, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("leaves a request for another protocol alone, of which only one backend may know", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(100))
      for (const [upgrade, tries] of [["websocket", 1], [undefined, 2]] as const) {
        const before = (yield* loads).reduce((sum, [, total]) => sum + Number(total), 0)
        const fiber = yield* Effect.forkChild(forward("GET", { upgrade }))
        yield* TestClock.adjust(150)
        assert.strictEqual(yield* Fiber.join(fiber), 200)
        assert.strictEqual((yield* loads).reduce((sum, [, total]) => sum + Number(total), 0) - before, tries)
      }
    }).pipe(Effect.provide(hedging())))

  it.effect("learns what is usual without the time that requests have waited for room", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) {
        const six = yield* Effect.forkChild(
          Effect.forEach(Array(6).keys(), () => FakeServer.request("/"), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust(60)
        yield* Fiber.join(six)
      }
      const { script } = yield* Fakes
      yield* script("http://a", slow(5_000))
      assert.strictEqual(yield* get(50), "200 after 20 ms")
      assert.deepStrictEqual(yield* loads, [["a", 61, 0, 0], ["b", 61, 0, 0]])
    }).pipe(
      Effect.provide(
        lab({ "http://a": slow(20), "http://b": slow(20) }, {
          hedge: { after: 0.95, budget: 1 },
          limits: { maxInFlight: 1 }
        })
      )
    ))

  it.effect("learns what is usual of what may be hedged only: POST may take longer", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(1_000))
      for (let i = 0; i < 20; i++) yield* post(1_000)
      yield* script("http://b", slow(20))
      assert.strictEqual(yield* get(50), "200 after 20 ms")
    }).pipe(Effect.provide(hedging())))

  it.effect("has given up the slower one while the body of the answer still comes", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { inFlight, script } = yield* Fakes
      let interrupted = 0
      yield* script("http://a", handle(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))))
      yield* script("http://b", streams)
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(100)
      assert.strictEqual(interrupted, 1)
      assert.deepStrictEqual(["http://a", "http://b"].map(inFlight), [0, 1])
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 51, 0, 1]])
      yield* TestClock.adjust(1_000)
      assert.strictEqual((yield* Fiber.join(fiber)).text, "streamed")
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 51, 0, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("has let go of a bad answer, from whichever of the two, while the body of the good one still comes", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { inFlight, script } = yield* Fakes
      const bad = delayed(
        50,
        handle(() => Effect.succeed(HttpServerResponse.stream(Stream.never, { status: 503 })))
      )
      for (const [first, second] of [[bad, delayed(100, streams)], [delayed(100, streams), bad]] as const) {
        yield* script("http://a", first)
        yield* script("http://b", second)
        const fiber = yield* Effect.forkChild(FakeServer.request("/"))
        yield* TestClock.adjust(200)
        assert.deepStrictEqual(["http://a", "http://b"].map(inFlight), first === bad ? [0, 1] : [1, 0])
        yield* TestClock.adjust(1_000)
        assert.strictEqual((yield* Fiber.join(fiber)).text, "streamed")
      }
      assert.deepStrictEqual(yield* loads, [["a", 52, 1, 0], ["b", 52, 1, 0]])
    }).pipe(Effect.provide(hedging())))

  it.effect("leaves POST alone, and everything when its budget is used up or nothing is known yet", () =>
    Effect.gen(function*() {
      yield* (yield* Fakes).script("http://a", slow(100))
      assert.strictEqual(yield* get(100), "200 after 100 ms")
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, slow(100))
      assert.strictEqual(yield* post(100), "200 after 100 ms")
      const before = (yield* loads).reduce((sum, [, total]) => sum + Number(total), 0)
      for (let i = 0; i < 10; i++) yield* get(100)
      // 2 % of the 111 requests of the last 10 s, and no part of another.
      assert.strictEqual((yield* loads).reduce((sum, [, total]) => sum + Number(total), 0) - before, 10 + 2)
    }).pipe(Effect.provide(hedging([], 0.02))))

  it.effect("has the budget of the time when a request is sent, however long it has waited for its turn", () => {
    const quick = onPath("/waited", hangs, slow(20))
    return Effect.gen(function*() {
      const { received } = yield* Fakes
      for (const path of ["/first", "/first", "/waited"]) yield* Effect.forkChild(FakeServer.request(path))
      yield* TestClock.adjust(11_000)
      // Those that come later go first, so that it waits for more seconds than the budget remembers.
      for (let i = 0; i < 100; i++) yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(9_000)
      for (const origin of ["http://a", "http://b"]) {
        assert.lengthOf(received(origin).filter(({ target }) => target === "/waited"), 1)
      }
    }).pipe(Effect.provide(
      lab({ "http://a": inTurn(slow(12_000), quick), "http://b": inTurn(slow(12_000), quick) }, {
        hedge: { after: 0.95, budget: 0.02 },
        limits: { maxInFlight: 1, queue: { size: 128, timeout: Duration.minutes(1), order: "newest" } }
      })
    ))
  })

  it.effect("gives both up when the client leaves", () =>
    Effect.gen(function*() {
      yield* warmUp
      const { script } = yield* Fakes
      for (const origin of ["http://a", "http://b"]) yield* script(origin, hangs)
      const fiber = yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(50)
      assert.deepStrictEqual((yield* loads).map(([, , , inFlight]) => inFlight), [1, 1])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* loads, [["a", 51, 0, 0], ["b", 51, 0, 0]])
      for (const origin of ["http://a", "http://b"]) {
        assert.strictEqual((yield* receivedBy(origin)).at(-1)?.outcome, "aborted")
      }
    }).pipe(Effect.provide(hedging())))

  it.effect("does not count a hedge that reached nobody as a try", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      for (let i = 0; i < 102; i++) yield* get(20)
      yield* script("http://a", delayed(100, fails("busy")))
      yield* script("http://b", refuses)
      assert.strictEqual(yield* get(200), "200 after 20 ms")
    }).pipe(
      Effect.provide(
        lab({ "http://a": slow(20), "http://b": slow(20), "http://c": slow(20) }, { hedge: { after: 0.95, budget: 1 } })
      )
    ))
})
