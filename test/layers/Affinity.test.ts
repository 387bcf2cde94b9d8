import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Affinity from "../../src/layers/Affinity.ts"
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
import type { Policy } from "../../src/services/Affinity.ts"
import * as Backend from "../../src/services/Backend.ts"
import { defaultOptions, type Options } from "../../src/services/Balancer.ts"
import * as ForwarderService from "../../src/services/Forwarder.ts"
import { Pool } from "../../src/services/Pool.ts"
import { defaultPolicy as retryPolicy } from "../../src/services/RetryPolicy.ts"

const { delayed, refuses, respond } = FakeBackends
const Fakes = FakeBackends.FakeBackends

const policy: Policy = { cookie: "lb", keys: [Redacted.make("0123456789abcdef")], path: "/", sameSite: "lax" }

const { defaultOptions: forwarding } = ForwarderService

const join = (...origins: ReadonlyArray<string>) =>
  Effect.flatMap(Pool, (pool) => pool.reconcile(origins.map((origin) => Backend.make(origin))))

/** A forwarder with sticky sessions between fake clients and fake backends. */
const lab = (
  scripts: Readonly<Record<string, FakeBackends.Behaviour>>,
  { ejection = Ejection.layerNone, entries = [], keys = policy.keys, limits = {}, options = {}, path = "/" }: {
    readonly ejection?: ReturnType<typeof Ejection.layer>
    readonly options?: Partial<ForwarderService.Options>
    readonly path?: string
    readonly entries?: Array<Entry>
    readonly keys?: Policy["keys"]
    readonly limits?: Partial<Options>
  } = {}
) =>
  LoadBalancer.layerServe.pipe(
    Layer.provideMerge(Layer.effectDiscard(join(...Object.keys(scripts)))),
    Layer.provideMerge(Forwarder.layer({ ...forwarding, ...options })),
    Layer.provide(Affinity.layer({ ...policy, keys, path })),
    Layer.provide(Drain.layer()),
    Layer.provide(Balancer.layer({ ...defaultOptions, ...limits })),
    Layer.provide(ejection),
    Layer.provide([RoundRobin.layer, AccessLog.layerMemory(entries)]),
    Layer.provideMerge([PoolLayer.layer(), FakeBackends.layer(scripts), FakeServer.layer])
  )

/** A request with this cookie. Gives what was answered, and the cookie to go on with. */
const visit = (cookie?: string, url = "http://shop.test/") => {
  const request = HttpClientRequest.get(url, cookie === undefined ? undefined : { headers: { cookie } })
  return Effect.map(FakeServer.request(request), ({ setCookie, status, text }) => ({
    text: status === 200 ? text : String(status),
    set: setCookie[0],
    cookie: setCookie[0]?.split(";")[0] ?? cookie
  }))
}

describe("a cookie", () => {
  it.effect("is known by any cookie of the name, also behind one that nobody knows", () =>
    Effect.gen(function*() {
      const first = yield* visit()
      for (const cookie of [`lb=gone; ${first.cookie}`, `${first.cookie}; lb=gone`]) {
        for (let i = 0; i < 3; i++) {
          const again = yield* visit(cookie)
          assert.deepStrictEqual([again.text, again.set], [first.text, undefined], cookie)
        }
      }
    }).pipe(Effect.provide(lab({ "http://a": respond("a"), "http://b": respond("b") }))))

  it.effect("is the only one of its name: one that a backend sets does not reach the client", () => {
    const sets = (text: string) =>
      FakeBackends.handle(() =>
        Effect.succeed(HttpServerResponse.setCookieUnsafe(HttpServerResponse.text(text), "lb", "mine"))
      )
    const scripts = { "http://a": sets("a"), "http://b": sets("b") }
    return Effect.gen(function*() {
      const first = yield* FakeServer.request("/")
      assert.strictEqual(first.setCookie.length, 1)
      assert.notInclude(first.setCookie[0], "mine")
      const cookie = first.setCookie[0]!.split(";")[0]!
      const again = yield* FakeServer.request(HttpClientRequest.get("/", { headers: { cookie } }))
      assert.deepStrictEqual([again.text, again.setCookie], [first.text, []])
    }).pipe(Effect.provide(lab(scripts)))
  })

  it.effect("is for TLS only when the client's own connection is", () =>
    Effect.gen(function*() {
      assert.include((yield* visit(undefined, "https://shop.test/")).set, "; Secure;")
      assert.notInclude((yield* visit()).set, "Secure")
    }).pipe(Effect.provide(lab({ "http://a": respond("a") }))))

  it.effect("is for TLS where a trusted proxy says that the client's connection to it is, and only there", () => {
    const proxies = { "http://a": respond("a") }
    const through = (protocol: string) => {
      const request = HttpClientRequest.get("/", { headers: { "x-forwarded-proto": protocol } })
      return Effect.map(FakeServer.request(request), ({ setCookie }) => setCookie[0])
    }
    const cookies = Effect.all([through("https"), through("http")])
    return Effect.gen(function*() {
      const [overTls, inClear] = yield* cookies.pipe(
        Effect.provide(lab(proxies, { options: { isTrustedProxy: () => true } }))
      )
      assert.include(overTls, "; Secure;")
      assert.notInclude(inClear, "Secure")
      const [untrusted] = yield* cookies.pipe(Effect.provide(lab(proxies)))
      assert.notInclude(untrusted, "Secure")
    })
  })

  it.effect("is there for who joins later, too, and not for who has left", () =>
    Effect.gen(function*() {
      const a = yield* visit()
      yield* join("http://b")
      const b = yield* visit(a.cookie)
      assert.deepStrictEqual([a.text, b.text], ["a", "b"])
      assert.isDefined(b.set)
      yield* join("http://a", "http://b")
      // With the same key, a backend that is back is the same as before.
      for (const { cookie, text } of [a, b, a, b]) {
        assert.deepStrictEqual(yield* visit(cookie), { cookie, text, set: undefined })
      }
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          Layer.effectDiscard(join("http://a")),
          lab({ "http://a": respond("a"), "http://b": respond("b") })
        )
      )
    ))

  it.effect("names the backend that answered in the end, and not the one that was tried first", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      const first = yield* visit()
      assert.strictEqual(first.text, "a")
      yield* script("http://a", refuses)
      const second = yield* visit(first.cookie)
      assert.strictEqual(second.text, "b")
      assert.isDefined(second.set)
      yield* script("http://a", respond("a"))
      assert.deepStrictEqual(yield* visit(second.cookie), { ...second, set: undefined })
    }).pipe(Effect.provide(lab({ "http://a": respond("a"), "http://b": respond("b") }))))

  it.effect("leads to another backend when its own fails all requests while it drains, also where there are two", () =>
    Effect.gen(function*() {
      const first = yield* visit()
      assert.strictEqual(first.text, "a")
      const { signal } = yield* Pool
      yield* signal("http://a", { _tag: "ModeSet", mode: "Draining", why: "deploy" })
      yield* (yield* Fakes).script("http://a", FakeBackends.resets)
      const seen: Array<string> = []
      for (let i = 0; i < 7; i++) {
        const headers = { cookie: String(first.cookie) }
        const { status, text } = yield* FakeServer.request(HttpClientRequest.post("/", { headers }))
        seen.push(status === 200 ? text : String(status))
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(seen, ["502", "502", "502", "502", "502", "b", "b"])
    }).pipe(
      Effect.provide(lab({ "http://a": respond("a"), "http://b": respond("b") }, { ejection: Ejection.layer() }))
    ))

  it.effect("is neither read nor set outside its path, where browsers do not send it", () =>
    Effect.gen(function*() {
      const inside = yield* visit(undefined, "/shop/cart")
      assert.deepStrictEqual([inside.text, inside.set?.includes("Path=/shop;")], ["a", true])
      assert.deepStrictEqual(yield* visit(undefined, "/"), { text: "b", set: undefined, cookie: undefined })
      assert.strictEqual((yield* visit(inside.cookie, "/shop")).text, "a")
    }).pipe(Effect.provide(lab({ "http://a": respond("a"), "http://b": respond("b") }, { path: "/shop" }))))

  it.effect("is set by the answer that is the best of all tries", () => {
    const retry = { ...retryPolicy, statuses: new Set([500]), backoff: 0 }
    const broken = (name: string) => respond(name, { status: 500 })
    return Effect.gen(function*() {
      const { script } = yield* Fakes
      const first = yield* visit()
      assert.deepStrictEqual([first.text, first.set?.slice(0, 3)], ["500", "lb="])
      yield* script("http://a", respond("a"))
      assert.deepStrictEqual(yield* visit(first.cookie), { ...first, text: "a", set: undefined })
    }).pipe(Effect.provide(lab({ "http://a": broken("a"), "http://b": refuses }, { options: { retry } })))
  })

  it.effect.each([502, 503, 504])(
    "is not set by a %d, whose backend is no place to stay",
    (status) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* visit(), { text: String(status), set: undefined, cookie: undefined })
      }).pipe(Effect.provide(lab({ "http://a": respond("busy", { status }) })))
  )

  it.effect("is nothing for backends, whether it is known or not", () =>
    Effect.gen(function*() {
      const { cookie } = yield* visit()
      yield* visit(`x=1; ${cookie}`)
      yield* visit("x=2; lb=gone")
      const { received } = yield* Fakes
      assert.deepStrictEqual(received("http://a").map(({ headers }) => headers.cookie), [
        undefined,
        "x=1",
        "x=2"
      ])
    }).pipe(Effect.provide(lab({ "http://a": respond("a") }))))

  it.effect("is there for who joins while the exchange is under way", () =>
    Effect.gen(function*() {
      const { script } = yield* Fakes
      yield* join("http://a")
      yield* visit()
      yield* script("http://a", (attempt) => Effect.andThen(Effect.sleep(100), refuses(attempt)))
      const fiber = yield* Effect.forkChild(visit(), { startImmediately: true })
      yield* TestClock.adjust(50)
      yield* join("http://a", "http://b")
      yield* TestClock.adjust(100)
      const { set, text } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([text, set?.slice(0, 3)], ["b", "lb="])
    }).pipe(Effect.provide(lab({ "http://a": respond("a"), "http://b": respond("b") }))))

  it.effect("is not set for who leaves while the exchange is under way", () =>
    Effect.gen(function*() {
      // The cookies are made, which takes a time that no clock of a test knows.
      yield* visit()
      yield* (yield* Fakes).script("http://a", delayed(100, respond("a")))
      const pending = yield* Effect.forkChild(visit("lb=gone"), { startImmediately: true })
      yield* join("http://b")
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* Fiber.join(pending), { text: "a", set: undefined, cookie: "lb=gone" })
    }).pipe(Effect.provide(lab({ "http://a": respond("a") }))))

  it.effect("is of no use where there is no backend, and does no harm", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* visit("lb=gone")).text, "503")
    }).pipe(Effect.provide(lab({}))))

  it.effect("is there for who joins while cookies are being made", () =>
    Effect.gen(function*() {
      yield* join("http://a")
      const first = yield* Effect.forkChild(visit(), { startImmediately: true })
      yield* join("http://a", "http://b")
      yield* Fiber.join(first)
      for (let i = 0; i < 2; i++) assert.isDefined((yield* visit()).set)
    }).pipe(Effect.provide(lab({ "http://a": respond("a"), "http://b": respond("b") }))))

  it.effect("is not set by an answer of our own", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* visit(), { text: "502", set: undefined, cookie: undefined })
    }).pipe(Effect.provide(lab({ "http://a": refuses }))))

  it.effect("of a process without a key is of use to that process only", () =>
    Effect.gen(function*() {
      const once = Effect.provide(visit(), lab({ "http://a": respond("a") }, { keys: [] }))
      const [one, other] = [yield* once, yield* once]
      assert.match(one.cookie ?? "", /^lb=[\w-]{22}$/)
      assert.notStrictEqual(one.cookie, other.cookie)
    }))

  it.effect("is set on first sight also when many come at once", () =>
    Effect.gen(function*() {
      const all = yield* Effect.all(Array.from({ length: 20 }, () => visit()), { concurrency: "unbounded" })
      assert.deepStrictEqual(new Set(all.map(({ cookie }) => cookie)).size, 2)
    }).pipe(Effect.provide(lab({ "http://a": respond("a"), "http://b": respond("b") }))))
})

describe("a request", () => {
  const quick = { "http://a": respond("a"), "http://b": respond("b") }
  const limits = { maxInFlight: 1 }

  /** From now on the backends take so long. */
  const slowDown = (millis: number, ...origins: ReadonlyArray<string>) =>
    Effect.flatMap(
      Fakes,
      ({ script }) => Effect.forEach(origins, (origin) => script(origin, delayed(millis, respond(origin.at(-1)!))))
    )

  /** Starts so many visits. */
  const visits = (times: number, cookie?: string) =>
    Effect.forEach(Array.from({ length: times }), () => Effect.forkChild(visit(cookie), { startImmediately: true }))

  it.effect("waits for the backend that it is pinned to, and goes to another one in the end", () =>
    Effect.gen(function*() {
      const a = yield* visit()
      yield* slowDown(300, "http://a")
      const both = yield* visits(2, a.cookie)
      yield* TestClock.adjust(600)
      for (const fiber of both) assert.deepStrictEqual(yield* Fiber.join(fiber), { ...a, set: undefined })

      yield* slowDown(60_000, "http://a")
      const [, moved] = yield* visits(2, a.cookie)
      yield* TestClock.adjust(1_000)
      const { set, text } = yield* Fiber.join(moved!)
      assert.strictEqual(text, "b")
      assert.isDefined(set)
    }).pipe(Effect.provide(lab(quick, { limits }))))

  it.effect("is not sent to a second backend for the sake of time when its session is with the first", () =>
    Effect.gen(function*() {
      const warm = yield* Effect.forEach(Array.from({ length: 100 }), () => visit())
      yield* slowDown(1_000, "http://a", "http://b")
      const pinned = yield* Effect.forkChild(visit(warm[0]!.cookie), { startImmediately: true })
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* Fiber.join(pinned), { ...warm[0]!, set: undefined })
      const { received } = yield* Fakes
      assert.lengthOf([...received("http://a"), ...received("http://b")], 101)
      yield* Effect.forkChild(visit(), { startImmediately: true })
      yield* TestClock.adjust(1_000)
      assert.lengthOf([...received("http://a"), ...received("http://b")], 103)
    }).pipe(Effect.provide(lab(quick, { options: { hedge: { after: 0.95, budget: 1 } } }))))

  it.effect("waits for its turn when every backend is full, and is refused when that takes too long", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* visit()
      yield* slowDown(300, "http://a", "http://b")
      const four = yield* visits(4)
      yield* TestClock.adjust(600)
      const replies = yield* Effect.forEach(four, Fiber.join)
      assert.sameMembers(replies.map(({ text }) => text), ["a", "a", "b", "b"])

      yield* slowDown(60_000, "http://a", "http://b")
      const [, , refused] = yield* visits(3)
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* Fiber.join(refused!), { text: "503", set: undefined, cookie: undefined })
      assert.strictEqual(pretty(entries.at(-1)!), "RESPONSE: GET / <- no backend [503] 1000ms overloaded")
    }).pipe(Effect.provide(lab(quick, { limits, entries })))
  })
})
