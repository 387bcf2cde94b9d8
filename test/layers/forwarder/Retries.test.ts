/** Which requests are tried again, and what the client gets in the end. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as FakeBackends from "../../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import { type Entry, pretty } from "../../../src/services/AccessLog.ts"
import { Affinity } from "../../../src/services/Affinity.ts"
import * as Backend from "../../../src/services/Backend.ts"
import { TransportFailure } from "../../../src/services/Failure.ts"
import type { Signal } from "../../../src/services/Health.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { after, fails, Fakes, forward, get, lab, last, loads, post, receivedBy, resetsLate, slow } from "./Lab.ts"

const { delayed, handle, hangs, inTurn, refuses, resets, respond, trickles, unreachable } = FakeBackends
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

  it.effect("is given up as well when it has waited for room between such tries for 10 s", () => {
    const names = Array.from({ length: 15 }, (_, i) => `http://${i}`)
    const busyThenDown = names.map((name, i) => [name, inTurn(slow(900 * (i + 1)), refuses)])
    return Effect.gen(function*() {
      for (const _ of names) yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(0)
      // After the first wait there are 12 more, the last of which ends after 10.8 s.
      assert.strictEqual(yield* post(900 + 10_800), "502 reason: connect_failed")
    }).pipe(Effect.provide(
      lab(Object.fromEntries(busyThenDown), { limits: { maxInFlight: 1 } })
    ))
  })
})

describe("a request that fails where its backend has been before it moved", () => {
  it.effect.each([["GET", resetsLate], ["POST", unreachable]] as const)(
    "goes to where that is now, although it is the only one: %s",
    ([method, old]) =>
      Effect.gen(function*() {
        const { reconcile } = yield* Pool
        yield* reconcile([Backend.make("http://old", { id: "a" })])
        const request = FakeServer.request(HttpClientRequest.make(method)("http://lb/"))
        const client = yield* Effect.forkChild(request, { startImmediately: true })
        yield* TestClock.adjust(100)
        yield* reconcile([Backend.make("http://new", { id: "a" })])
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* Fiber.join(client)).text, "here")
      }).pipe(Effect.provide(lab({ "http://old": old, "http://new": respond("here") })))
  )
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

  it.effect("is let go for one that comes after it, which is kept in its place", () => {
    const busy = trickles(1, "1 second", respond("not now", { status: 503 }))
    return Effect.gen(function*() {
      yield* Effect.forkChild(FakeServer.request("/"))
      yield* TestClock.adjust(500)
      const { inFlight } = yield* Fakes
      assert.deepStrictEqual(["http://a", "http://b", "http://c"].map(inFlight), [0, 1, 1])
    }).pipe(Effect.provide(
      lab({ "http://a": busy, "http://b": busy, "http://c": hangs }, {
        retry: { tries: 3, budget: { ratio: 0, perSecond: 1 } }
      })
    ))
  })

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

describe("a request that was not sent", () => {
  it.effect("keeps its place among all that may be in flight, whoever waits for one", () =>
    Effect.gen(function*() {
      const fibers = yield* Effect.replicateEffect(
        Effect.forkChild(FakeServer.request(HttpClientRequest.post("/")), { startImmediately: true }),
        4
      )
      yield* TestClock.adjust(500)
      const texts = yield* Effect.forEach(fibers, (fiber) => Effect.map(Fiber.join(fiber), ({ text }) => text))
      assert.deepStrictEqual(texts, ["b", "b", "b", "b"])
      assert.deepStrictEqual(yield* loads, [["a", 4, 4, 0], ["b", 4, 0, 0]])
    }).pipe(Effect.provide(lab(
      { "http://a": delayed(1, refuses), "http://b": delayed(100, respond("b")) },
      { limits: { maxTotalInFlight: 1 } }
    ))))
})

describe("a request that no backend has seen", () => {
  const scripts = { "http://a": refuses, "http://b": delayed(100, respond("b")) }
  const limits = { maxInFlight: 1 }

  it.effect("waits for room again where the next backend has none", () =>
    Effect.gen(function*() {
      const fibers = yield* Effect.replicateEffect(Effect.forkChild(post(500)), 4)
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), ["200 b", "200 b", "200 b", "200 b"])
      assert.deepStrictEqual(yield* loads, [["a", 4, 4, 0], ["b", 4, 0, 0]])
    }).pipe(Effect.provide(lab(scripts, { limits }))))

  it.effect("waits for as long as any other, and has its own failure then", () =>
    Effect.gen(function*() {
      const ask = Effect.forkChild(FakeServer.request(HttpClientRequest.post("/")), { startImmediately: true })
      const [served, waiting] = [yield* ask, yield* ask]
      yield* TestClock.adjust(900)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(100)
      assert.include((yield* Fiber.join(waiting)).text, "connect_failed")
      yield* TestClock.adjust(500)
      assert.strictEqual((yield* Fiber.join(served)).text, "b")
      assert.deepStrictEqual(yield* loads, [["a", 2, 2, 0], ["b", 1, 0, 0]])
    }).pipe(Effect.provide(lab({ ...scripts, "http://b": delayed(1_500, respond("b")) }, { limits }))))
})

describe("a request that a backend has lost", () => {
  const scripts = { "http://a": delayed(1, resets), "http://b": delayed(100, respond("b")) }

  it.effect.each([{ maxInFlight: 1 }, { maxTotalInFlight: 1 }])(
    "waits for room again with %j",
    (limits) =>
      Effect.gen(function*() {
        const ask = Effect.forkChild(FakeServer.request("/"), { startImmediately: true })
        const fibers = yield* Effect.replicateEffect(ask, 4)
        yield* TestClock.adjust(800)
        const answers = yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(answers.map(({ text }) => text), ["b", "b", "b", "b"])
        assert.isTrue((yield* loads).every(([, , , inFlight]) => inFlight === 0))
      }).pipe(Effect.provide(lab(scripts, { limits })))
  )

  it.effect("neither waits nor asks for a try where nobody else is left", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* get(0), "502 reason: reset_before_headers")
      assert.deepInclude(entries.at(-1), { tries: 1, isOverBudget: undefined })
    }).pipe(Effect.provide(lab({ "http://a": resets }, { retry: { budget: { ratio: 0, perSecond: 0 } } }, entries)))
  })
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

  it.effect("is not used up by retries that wait for room in vain", () => {
    const ask = Effect.forkChild(FakeServer.request("/"), { startImmediately: true })
    return Effect.gen(function*() {
      const { script } = yield* Fakes
      yield* ask
      yield* TestClock.adjust(25)
      for (let i = 0; i < 20; i++) {
        yield* ask
        yield* TestClock.adjust(25)
      }
      yield* TestClock.adjust(1_000)
      yield* script("http://c", respond("c"))
      yield* (yield* Pool).reconcile(["http://a", "http://b", "http://c"].map((origin) => Backend.make(origin)))
      for (let i = 0; i < 4; i++) assert.strictEqual(yield* get(), "200 c")
    }).pipe(Effect.provide(lab({ "http://a": FakeBackends.stalls(1, respond("long")), "http://b": resets }, {
      limits: { maxInFlight: 1 },
      retry: { budget: { ratio: 0, perSecond: 1 } }
    })))
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
