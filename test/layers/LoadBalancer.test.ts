import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as Static from "../../src/layers/discovery/Static.ts"
import * as Forwarder from "../../src/layers/Forwarder.ts"
import * as HealthChecker from "../../src/layers/HealthChecker.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import * as RoundRobin from "../../src/layers/strategies/RoundRobin.ts"
import * as Zones from "../../src/layers/strategies/Zones.ts"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../src/layers/testing/FakeServer.ts"
import * as Traffic from "../../src/layers/testing/Traffic.ts"
import * as WireClient from "../../src/layers/wire/WireClient.ts"
import * as WireServer from "../../src/layers/wire/WireServer.ts"
import { type Entry, pretty } from "../../src/services/AccessLog.ts"
import * as Backend from "../../src/services/Backend.ts"
import { Balancer, defaultOptions } from "../../src/services/Balancer.ts"
import * as Ejection from "../../src/services/Ejection.ts"
import { defaultOptions as forwarding } from "../../src/services/Forwarder.ts"
import type { Outcome } from "../../src/services/Outcome.ts"
import { defaultPolicy, Pool } from "../../src/services/Pool.ts"
import { Probe, ProbeFailed } from "../../src/services/Probe.ts"
import { anonymous } from "../../src/services/Strategy.ts"

const { breaksOff, delayed, handle, hangs, inTurn, onPath, refuses, resets, respond, sometimes, unreachable } =
  FakeBackends
const Fakes = FakeBackends.FakeBackends

type Input = NonNullable<Parameters<typeof Configuration.make>[0]>

/** The whole load balancer with fakes at both ends, and its log. */
const lab = (
  scripts: Readonly<Record<string, FakeBackends.Behaviour>>,
  input: Input = {},
  entries: Array<Entry> = [],
  options: LoadBalancer.Options = {}
) =>
  LoadBalancer.layer(Configuration.make({ to: Object.keys(scripts), strategy: "round-robin", ...input }), options).pipe(
    Layer.provide(AccessLog.layerMemory(entries)),
    Layer.provideMerge([FakeBackends.layer(scripts), FakeServer.layer])
  )

const three = { "http://a": respond("a"), "http://b": respond("b"), "http://c": respond("c") }

const text = Effect.map(FakeServer.request("/"), (reply) => reply.text)

/** The lines of the log about health, without those of the requests. */
const healthLines = (entries: ReadonlyArray<Entry>) =>
  entries.filter(({ _tag }) => _tag === "HealthChanged").map(pretty)

const loads = Effect.gen(function*() {
  const { members } = yield* Ref.get((yield* Pool).state)
  return members.map(({ endpoint }) => endpoint.load)
})

describe("LoadBalancer", () => {
  it.effect("offers traffic from its first moment, before any check", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.replicateEffect(text, 6), ["a", "b", "c", "a", "b", "c"])
    }).pipe(Effect.provide(lab(three))))

  it.effect("uses the strategy and the weights of the settings", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.replicateEffect(text, 7)).join(""), "aaabaac")
    }).pipe(Effect.provide(lab(three, {
      to: ["http://a,weight=5", "http://b", "http://c"],
      strategy: "weighted-round-robin"
    }))))

  it.effect("asks a backup only while no other backend is eligible, whatever the strategy", () =>
    Effect.gen(function*() {
      const { start, stop } = yield* Fakes
      assert.strictEqual((yield* Effect.replicateEffect(text, 6)).join(""), "bcbcbc")
      yield* stop("http://b")
      yield* TestClock.adjust(6_000)
      assert.strictEqual((yield* Effect.replicateEffect(text, 3)).join(""), "ccc")
      yield* stop("http://c")
      yield* TestClock.adjust(6_000)
      assert.strictEqual((yield* Effect.replicateEffect(text, 3)).join(""), "aaa")
      yield* start("http://b")
      yield* TestClock.adjust(6_000)
      assert.strictEqual((yield* Effect.replicateEffect(text, 3)).join(""), "bbb")
    }).pipe(Effect.provide(lab(three, { to: ["http://a,backup", "http://b", "http://c"] }))))

  it.effect("prefers its own zone, and any other to none", () =>
    Effect.gen(function*() {
      const { stop } = yield* Fakes
      assert.strictEqual((yield* Effect.replicateEffect(text, 4)).join(""), "bbbb")
      yield* stop("http://b")
      yield* TestClock.adjust(6_000)
      assert.strictEqual((yield* Effect.replicateEffect(text, 4)).toSorted().join(""), "aacc")
    }).pipe(Effect.provide(lab(three, { to: ["http://a,zone=x", "http://b,zone=y", "http://c,zone=z"], zone: "y" }))))

  it.effect("takes a stopped backend out within 6 s and brings it back within 5, whatever the chance", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 20; seed++) {
        const entries: Array<Entry> = []
        yield* Effect.gen(function*() {
          const { start, stop } = yield* Fakes
          const isOffered = Effect.map(Effect.replicateEffect(text, 3), (texts) => texts.includes("b"))
          // The backend may stop at any time between two checks.
          yield* TestClock.adjust(10_000 + seed * 250)
          yield* stop("http://b")
          yield* TestClock.adjust(6_000)
          assert.isFalse(yield* isOffered)
          yield* TestClock.adjust(60_000)
          assert.isFalse(yield* isOffered)
          yield* start("http://b")
          yield* TestClock.adjust(5_000)
          assert.isTrue(yield* isOffered)
        }).pipe(Effect.provide(lab(three, {}, entries)), Random.withSeed(seed))
        assert.deepStrictEqual(healthLines(entries), [
          "HEALTH: HEALTHY http://a - status: 200",
          "HEALTH: HEALTHY http://b - status: 200",
          "HEALTH: HEALTHY http://c - status: 200",
          "HEALTH: UNHEALTHY http://b - Connection refused",
          "HEALTH: HEALTHY http://b - status: 200"
        ])
      }
    }))

  it.effect("answers every request while a backend is dead and not yet found out", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(1_000)
      yield* (yield* Fakes).stop("http://b")
      assert.deepStrictEqual(yield* Effect.replicateEffect(text, 6), ["a", "c", "a", "c", "a", "c"])
    }).pipe(Effect.provide(lab(three))))

  it.effect("answers 503 while all are down, and recovers", () =>
    Effect.gen(function*() {
      const { start, stop } = yield* Fakes
      for (const origin of Object.keys(three)) yield* stop(origin)
      yield* TestClock.adjust(6_000)
      const reply = yield* FakeServer.request("/")
      assert.deepStrictEqual([reply.status, reply.headers["retry-after"]], [503, "2"])
      yield* start("http://c")
      yield* TestClock.adjust(5_000)
      assert.deepStrictEqual(yield* Effect.replicateEffect(text, 2), ["c", "c"])
    }).pipe(Effect.provide(lab(three))))

  it.effect("checks as the settings say", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const { probes, received, script } = yield* Fakes
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual(received("http://a"), [])
      assert.isAtLeast(probes("http://a").length, 5)
      assert.isAtMost(probes("http://a").length, 8)
      assert.deepInclude(probes("http://a")[0], { method: "GET", target: "/ready?deep", outcome: "success", at: 0 })

      // How many checks with this outcome it takes until the health changes.
      const untilChange = Effect.fnUntraced(function*(outcome: Outcome) {
        const seen = () => probes("http://a").filter((probe) => probe.outcome === outcome).length
        const before = seen()
        const changes = healthLines(entries).length
        while (healthLines(entries).length === changes) yield* TestClock.adjust(100)
        return seen() - before
      })
      yield* script("http://a", onPath("/ready", hangs, respond("a")))
      assert.strictEqual(yield* untilChange("aborted"), 3)
      yield* script("http://a", onPath("/ready", respond(""), respond("a")))
      assert.strictEqual(yield* untilChange("success"), 4)
      assert.deepStrictEqual(healthLines(entries), [
        "HEALTH: HEALTHY http://a - status: 200",
        "HEALTH: UNHEALTHY http://a - no answer within 3s",
        "HEALTH: HEALTHY http://a - status: 200"
      ])
    }).pipe(Effect.provide(lab(
      { "http://a": onPath("/ready", respond("ready"), respond("a")) },
      { health: { path: "/ready?deep", interval: "10s", timeout: "3s", rise: 4, fall: 3 } },
      entries
    )))
  })

  it.effect("checks by connecting alone where the settings say so", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const { probes, start, stop } = yield* Fakes
      yield* TestClock.adjust(20_000)
      yield* stop("http://a")
      yield* TestClock.adjust(6_000)
      yield* start("http://a")
      yield* TestClock.adjust(5_000)
      assert.deepStrictEqual(healthLines(entries), [
        "HEALTH: HEALTHY http://a - connected",
        "HEALTH: HEALTHY http://b - connected",
        "HEALTH: UNHEALTHY http://c - no answer within 1s",
        "HEALTH: UNHEALTHY http://a - Connection refused",
        "HEALTH: HEALTHY http://a - connected"
      ])
      assert.deepStrictEqual(probes("http://a"), [])
    }).pipe(Effect.provide(lab(
      // One that hangs is none the worse for being connected to.
      { "http://a": respond("a"), "http://b": hangs, "http://c": unreachable },
      { health: { kind: "tcp", timeout: "1s" } },
      entries
    )))
  })

  it.effect("says what is missing for TCP checks where there is no engine to connect with", () =>
    Effect.gen(function*() {
      const settings = Configuration.make({ health: { kind: "tcp" } })
      const ends = Layer.merge(
        Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.never)),
        FakeServer.layer
      )
      const balancer = LoadBalancer.layer(settings).pipe(Layer.provide([AccessLog.layerNone, ends]))
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(balancer)))
      assert.match(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), /TCP checks need a Connector/)
    }))

  it.effect("checks nobody where checks are off, and offers traffic to all, whatever the initial state", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const { probes, stop } = yield* Fakes
      yield* stop("http://b")
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual(healthLines(entries), [])
      assert.deepStrictEqual([probes("http://a"), probes("http://c")], [[], []])
      assert.deepStrictEqual(yield* Effect.replicateEffect(text, 3), ["a", "c", "a"])
    }).pipe(Effect.provide(lab(three, { health: { kind: "off", initial: "down" } }, entries)))
  })

  it.effect("waits at the start for no backend that nothing is known of, once the others have passed their checks", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* Effect.replicateEffect(text, 4), ["a", "c", "a", "c"])
    }).pipe(Effect.provide(lab({ ...three, "http://b": unreachable }))))

  it.effect("offers traffic at once where nobody has passed a check yet", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* text, "a")
    }).pipe(Effect.provide(lab({ "http://a": onPath("/up", unreachable, respond("a")) }, { health: { path: "/up" } }))))

  it.effect("offers no traffic before the first pass where the settings say so, and logs what it found", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* TestClock.adjust(200)
      assert.strictEqual((yield* FakeServer.request("/")).status, 503)
      yield* TestClock.adjust(400)
      assert.deepStrictEqual(yield* Effect.replicateEffect(text, 3), ["a", "a", "a"])
      assert.deepStrictEqual(healthLines(entries), [
        "HEALTH: UNHEALTHY http://b - status: 500",
        "HEALTH: HEALTHY http://a - status: 200"
      ])
    }).pipe(Effect.provide(lab(
      { "http://a": onPath("/up", delayed(500, respond("")), respond("a")), "http://b": respond("b", { status: 500 }) },
      { health: { path: "/up", initial: "down", panic: "0%" } },
      entries
    )))
  })

  it.effect("expects of checks what the settings say", () => {
    const entries: Array<Entry> = []
    const answer = handle((request) =>
      Effect.succeed(HttpServerResponse.text(`ready ${request.headers["x-check"]}`, { status: 418 }))
    )
    return Effect.gen(function*() {
      const { probes } = yield* Fakes
      yield* TestClock.adjust(0)
      assert.deepInclude(probes("http://a:9000")[0], { method: "POST", target: "/up" })
      assert.strictEqual(probes("http://a:9000")[0]?.headers["host"], "shop.example")
      assert.deepStrictEqual(healthLines(entries), ["HEALTH: HEALTHY http://a - status: 418"])
    }).pipe(Effect.provide(lab({ "http://a:9000": answer }, {
      to: ["http://a"],
      health: {
        path: "/up",
        method: "POST",
        headers: ["X-Check: deep and wide"],
        host: "shop.example",
        status: "200,400-499",
        body: "ready deep and wide",
        port: 9000
      }
    }, entries)))
  })

  it.effect("forwards the target as it came, and the fake backend shows it so", () =>
    Effect.gen(function*() {
      yield* FakeServer.request("/a/../b/%2e%2e//c?x=%20")
      assert.strictEqual((yield* Fakes).received("http://a")[0]?.target, "/a/../b/%2e%2e//c?x=%20")
    }).pipe(Effect.provide(lab({ "http://a": respond("a") }, { health: { kind: "off" } }))))

  it.effect("forwards as the settings say", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.get("http://shop/", { headers: { "x-forwarded-for": "192.0.2.9" } })
      yield* FakeServer.request(request, { from: "10.1.2.3" })
      yield* FakeServer.request(request, { from: "11.1.2.3" })
      const seen = (yield* Fakes).received("http://a:81").map((
        { headers }
      ) => [headers["host"], headers["x-forwarded-for"]])
      assert.deepStrictEqual(seen, [["a:81", "192.0.2.9, 10.1.2.3"], ["a:81", "11.1.2.3"]])
    }).pipe(Effect.provide(lab({ "http://a:81": respond("a") }, {
      hostHeader: "backend",
      trustedProxies: ["10.0.0.0/8"]
    }))))

  it.effect("hashes what a function of the program makes of a request", () => {
    /** The tenant, which is the first part of the path, whoever asks. */
    const hashKey: LoadBalancer.Options["hashKey"] = ({ target }) => target.split("/")[1]
    return Effect.gen(function*() {
      const owners = new Set<string>()
      for (let tenant = 0; tenant < 20; tenant++) {
        const get = (path: string) => Effect.map(FakeServer.request(`/t${tenant}/${path}`), (reply) => reply.text)
        const [owner, ...others] = [yield* get("a"), yield* get("b"), yield* get("c")]
        assert.deepStrictEqual(others, [owner, owner])
        owners.add(owner!)
      }
      assert.strictEqual(owners.size, 3)
    }).pipe(Effect.provide(lab(three, { strategy: "maglev" }, [], { hashKey })))
  })

  it.effect("hashes and checks as the settings say where a program has an option undefined", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* TestClock.adjust("1 second")
      const get = Effect.map(FakeServer.request("/", { from: "192.0.2.7" }), (reply) => reply.text)
      const [owner, ...others] = yield* Effect.replicateEffect(get, 10)
      assert.deepStrictEqual(others, Array(9).fill(owner))
      assert.strictEqual(healthLines(entries).length, 3)
    }).pipe(Effect.provide(lab(three, { strategy: "maglev" }, entries, { hashKey: undefined, probe: undefined })))
  })

  it.effect("checks with a probe of the program, by the settings and with the client of the traffic", () => {
    const asked: Array<string> = []
    const probe = Layer.effect(
      Probe,
      Effect.map(HttpClient.HttpClient, (client) => ({
        check: ({ origin }) => {
          asked.push(origin)
          return client.get(`${origin}/ready`).pipe(
            Effect.flatMap(({ text }) => text),
            Effect.mapError((error) => ProbeFailed.make({ message: error.message })),
            Effect.flatMap((text) => text === "yes" ? Effect.succeed("ready") : ProbeFailed.make({ message: text })),
            Effect.delay("1 second")
          )
        }
      }))
    )
    const scripts = {
      "http://a": onPath("/ready", respond("yes"), respond("a")),
      "http://b": onPath("/ready", respond("no"), respond("b"))
    }
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      // Nobody has requests before it has passed, as the settings say.
      assert.strictEqual((yield* FakeServer.request("/")).status, 503)
      yield* TestClock.adjust("1 second")
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* FakeServer.request("/")).text, "a")
      assert.deepStrictEqual(
        entries.flatMap((entry) =>
          entry._tag === "HealthChanged" ? [`${entry.backend} ${entry.status}: ${entry.why}`] : []
        ),
        ["http://a Up: ready", "http://b Down: no"]
      )
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(asked.filter((origin) => origin === "http://a").length, 4)
    }).pipe(
      Effect.provide(lab(scripts, { health: { initial: "down", interval: "20s", panic: "0%" } }, entries, { probe }))
    )
  })

  it.effect("checks with no probe where checks are off", () => {
    const probe = Layer.succeed(Probe, { check: () => ProbeFailed.make({ message: "no" }) })
    return Effect.gen(function*() {
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* FakeServer.request("/")).text, "a")
    }).pipe(Effect.provide(lab(three, { health: { kind: "off" } }, [], { probe })))
  })

  it.effect("balances what is not HTTP over the same pool", () =>
    Effect.gen(function*() {
      const balancer = yield* Balancer
      const use = balancer.use(anonymous, (endpoint) => Effect.succeed(endpoint.backend.origin))
      assert.deepStrictEqual(yield* Effect.replicateEffect(use, 3), ["http://a", "http://b", "http://c"])
    }).pipe(Effect.provide(lab(three))))
})

describe("the numbers of what is in flight", () => {
  const endless = handle(() =>
    Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.succeed(new Uint8Array(5)), Stream.never)))
  )
  const behaviours: ReadonlyArray<FakeBackends.Behaviour> = [
    respond("ok"),
    respond("no", { status: 503 }),
    delayed("700 millis", respond("late")),
    refuses,
    unreachable,
    resets,
    hangs,
    endless,
    breaksOff(1, delayed("300 millis", respond("broken"))),
    sometimes(0.5, resets, respond("lucky")),
    inTurn(refuses, hangs, respond("third"))
  ]

  /** A backend's behaviour, when it stops and whether it starts again. */
  const backend = fc.record({
    behaviour: fc.nat(behaviours.length - 1),
    stopsAt: fc.option(fc.nat(4_000)),
    isDownFor: fc.option(fc.nat(4_000))
  })

  /** When a client comes, and how long it waits at the most. */
  const client = fc.record({ at: fc.nat(4_000), patience: fc.option(fc.nat(3_000)) })

  type BackendCase = typeof backend extends fc.Arbitrary<infer A> ? A : never
  type ClientCase = typeof client extends fc.Arbitrary<infer A> ? A : never

  const run = (backends: ReadonlyArray<BackendCase>, clients: ReadonlyArray<ClientCase>, seed: number) => {
    const scripts = Object.fromEntries(
      backends.map(({ behaviour }, i) => [`http://b${i}`, onPath("/health", respond("well"), behaviours[behaviour]!)])
    )
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const { inFlight, start, stop } = yield* Fakes
      yield* Effect.forEach(backends, ({ isDownFor, stopsAt }, i) =>
        Effect.gen(function*() {
          if (stopsAt === null) return
          yield* Effect.delay(stop(`http://b${i}`), stopsAt)
          if (isDownFor !== null) yield* Effect.delay(start(`http://b${i}`), isDownFor)
        }).pipe(Effect.forkScoped))
      const fibers = yield* Effect.forEach(clients, ({ at, patience }) =>
        FakeServer.request("/").pipe(
          Effect.timeout(patience ?? 20_000),
          Effect.delay(at),
          Effect.exit,
          Effect.forkScoped
        ))
      yield* TestClock.adjust(30_000)
      const exits = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))

      assert.isFalse(exits.some(Exit.hasDies))
      for (const load of yield* loads) {
        assert.strictEqual(load.inFlight, 0)
        assert.isAtMost(load.failed, load.total)
      }
      assert.deepStrictEqual(Object.keys(scripts).map(inFlight), backends.map(() => 0))
      assert.strictEqual(entries.filter(({ _tag }) => _tag === "Completed").length, clients.length)
      const sent = (yield* loads).reduce((sum, load) => sum + load.total, 0)
      assert.strictEqual(entries.filter(({ _tag }) => _tag === "Sent").length, sent)
      return sent
    }).pipe(
      Effect.provide(lab(scripts, { health: { path: "/health" } }, entries)),
      Random.withSeed(seed),
      Effect.scoped
    )
  }

  it("return to zero after any mix of success, failure, clients that leave and backends that die", async () => {
    let sent = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(backend, { minLength: 1, maxLength: 4 }),
        fc.array(client, { maxLength: 12, size: "max" }),
        fc.integer(),
        async (backends, clients, seed) => {
          sent += await Effect.runPromise(Effect.provide(run(backends, clients, seed), TestClock.layer()))
        }
      ),
      { numRuns: 100 }
    )
    // Otherwise nothing was tested.
    assert.isAbove(sent, 300)
  })
})

describe("an ejection that leaves nobody else", () => {
  const { down } = FakeBackends
  const well = delayed(20, respond("well"))

  /** What clients see of these backends in so many milliseconds, with two hundred GETs a second. */
  const seen = (scripts: Readonly<Record<string, FakeBackends.Behaviour>>, duration: number, input: Input = {}) =>
    Effect.gen(function*() {
      const traffic = yield* Effect.forkChild(Traffic.run({ rate: 200, duration }))
      yield* TestClock.adjust("1 minute")
      return Traffic.failures(yield* Fiber.join(traffic))
    }).pipe(Effect.provide(lab(scripts, input)))

  it.effect("does not make an outage of two restarts, one shortly after the other", () =>
    Effect.gen(function*() {
      const scripts = {
        "http://a": down({ from: 1_000, until: 1_200 }, well),
        "http://b": down({ from: 2_200, until: 2_400 }, well)
      }
      assert.deepStrictEqual(yield* seen(scripts, 5_000), {})
      assert.deepStrictEqual(yield* seen(scripts, 5_000, { health: { kind: "off" } }), {})
    }))

  it.effect("does not make an outage where the other one is drained, or the only backup of two dies", () =>
    Effect.gen(function*() {
      const ill = respond("ill", { status: 503 })
      const [a, b] = ["http://a", "http://b"]
      const scripts = { [a]: FakeBackends.during({ from: 1_000, until: 1_100 }, ill, well), [b]: well }
      const drained = Effect.gen(function*() {
        const traffic = yield* Effect.forkChild(Traffic.run({ rate: 200, duration: 5_000 }))
        yield* TestClock.adjust(1_500)
        yield* (yield* Pool).signal(b, { _tag: "ModeSet", mode: "Draining", why: "a deploy" })
        yield* TestClock.adjust("1 minute")
        return Traffic.failures(yield* Fiber.join(traffic))
      })
      assert.deepStrictEqual(yield* Effect.provide(drained, lab(scripts)), {})
      const backup = { ...scripts, [b]: down({ from: 1_500, until: 4_000 }, well) }
      assert.deepStrictEqual(yield* seen(backup, 5_000, { to: [a, `${b},backup`] }), {})
    }))

  it.effect.each([["is drained", well], ["resets", resets]] as const)(
    "does not make an outage when it ends with a trial whose answer takes its time, and the other one %s",
    ([what, other]) => {
      const scripts = { "http://a": delayed(1_500, well), "http://b": other }
      return Effect.gen(function*() {
        const { signal } = yield* Pool
        yield* signal("http://a", { _tag: "Tripped", why: "5 failures in a row" })
        yield* signal("http://a", { _tag: "ProbePassed", why: "status: 200" })
        if (what === "is drained") yield* signal("http://b", { _tag: "ModeSet", mode: "Draining", why: "a deploy" })
        const traffic = yield* Effect.forkChild(Traffic.run({ rate: 50, duration: 4_000 }))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(Traffic.failures(yield* Fiber.join(traffic)), {})
      }).pipe(Effect.provide(lab(scripts, { health: { kind: "off" }, retry: { budget: "100%" } })))
    }
  )

  it.effect("is not in the way of a retry, which goes to whoever is only ejected", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      yield* pool.signal("http://a", { _tag: "Tripped", why: "5 failures in a row" })
      const reply = yield* Effect.forkChild(text)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(reply), "a")
      yield* pool.signal("http://a", { _tag: "ModeSet", mode: "Disabled", why: "a repair" })
      const another = yield* Effect.forkChild(text)
      yield* TestClock.adjust("1 second")
      assert.include(yield* Fiber.join(another), "reset_before_headers")
    }).pipe(Effect.provide(lab({ "http://a": respond("a"), "http://b": resets }, { health: { kind: "off" } }))))
})

describe("two balancers in one program", () => {
  /** One with ends of its own. Everything else that has no parameters is the same value in both. */
  const one = (name: string, entries: Array<Entry>) =>
    LoadBalancer.layer(Configuration.make({ to: [`http://${name}`], health: { kind: "tcp" } })).pipe(
      Layer.provide(AccessLog.layerMemory(entries)),
      Layer.provideMerge([FakeBackends.layer({ [`http://${name}`]: respond(name) }), Layer.fresh(FakeServer.layer)])
    )

  it.effect("have a server, backends, checks and a log each, one inside the other", () => {
    const outer: Array<Entry> = []
    const inner: Array<Entry> = []
    return Effect.gen(function*() {
      assert.strictEqual(yield* text, "a")
      yield* Effect.gen(function*() {
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* text, "b")
      }).pipe(Effect.provide(one("b", inner)))
      assert.strictEqual(yield* text, "a")
      assert.deepStrictEqual(healthLines(outer), ["HEALTH: HEALTHY http://a - connected"])
      assert.deepStrictEqual(healthLines(inner), ["HEALTH: HEALTHY http://b - connected"])
    }).pipe(Effect.provide(one("a", outer)))
  })

  it.effect("that only choose have a pool each, also as parts of one layer", () => {
    const First = Context.Service<Balancer["Service"]>("test/First")
    const Second = Context.Service<Balancer["Service"]>("test/Second")
    const over = (name: string) =>
      LoadBalancer.layerBalancer().pipe(
        Layer.provide([RoundRobin.layer, Static.layer([Backend.make(`http://${name}`)])])
      )
    return Effect.gen(function*() {
      for (const [tag, name] of [[First, "a"], [Second, "b"]] as const) {
        assert.strictEqual((yield* tag).select(anonymous)?.backend.id, `http://${name}`)
      }
    }).pipe(Effect.provide([
      Layer.effect(First, Balancer).pipe(Layer.provide(over("a"))),
      Layer.effect(Second, Balancer).pipe(Layer.provide(over("b")))
    ]))
  })
})

describe("a balancer that only chooses", () => {
  it.effect("ejects nobody for failures, unless a policy is passed", () => {
    const eligibleAfterFailures = (options: LoadBalancer.BalancerOptions) =>
      Effect.gen(function*() {
        const balancer = yield* Balancer
        const failing = Effect.flip(balancer.use(anonymous, () => Effect.fail("no")))
        for (let i = 0; i < 50; i++) yield* failing
        yield* TestClock.adjust("1 second")
        return (yield* Ref.get((yield* Pool).state)).eligible.length
      }).pipe(
        Effect.provide(LoadBalancer.layerBalancer(options)),
        Effect.provide([RoundRobin.layer, Static.layer([Backend.make("http://a"), Backend.make("http://b")])])
      )
    return Effect.gen(function*() {
      assert.strictEqual(yield* eligibleAfterFailures({}), 2)
      assert.strictEqual(yield* eligibleAfterFailures({ ejection: Ejection.defaultPolicy }), 1)
    })
  })
})

describe("options that make no sense", () => {
  const none = Duration.zero
  const { retry } = forwarding
  const headLimits = { headBytes: NaN, fields: 100, targetBytes: 100 }

  it.each<readonly [string, () => unknown, string]>([
    ["limits", () => LoadBalancer.layerBalancer({ limits: { ...defaultOptions, maxInFlight: NaN } }), "maxInFlight: "],
    ["a policy of the pool", () => LoadBalancer.layerBalancer({ pool: { ...defaultPolicy, rise: 0 } }), "rise: "],
    ["a threshold of checks", () => PoolLayer.layer({ ...defaultPolicy, fall: 1.5 }), "fall: "],
    ["the share that may be ejected", () => PoolLayer.layer({ ...defaultPolicy, maxEjected: 50 }), "maxEjected: "],
    ["the longest ejection", () => PoolLayer.layer({ ...defaultPolicy, maxEjectionTime: none }), "maxEjectionTime: "],
    ["panic", () => PoolLayer.layer({ ...defaultPolicy, panicThreshold: NaN }), "panicThreshold: "],
    ["ejections", () => PoolLayer.layer({ ...defaultPolicy, ejectionTime: none }), "ejectionTime: "],
    [
      "thresholds of ejection",
      () => LoadBalancer.layerBalancer({ ejection: { ...Ejection.defaultPolicy, successRate: NaN } }),
      "successRate: "
    ],
    [
      "failures in a row",
      () => LoadBalancer.layerBalancer({ ejection: { ...Ejection.defaultPolicy, consecutiveFailures: 0 } }),
      "consecutiveFailures: "
    ],
    [
      "the volume for a rate",
      () => LoadBalancer.layerBalancer({ ejection: { ...Ejection.defaultPolicy, minimumVolume: NaN } }),
      "minimumVolume: "
    ],
    ["the deadline of all tries", () => Forwarder.layer({ ...forwarding, exchangeTimeout: NaN }), "exchangeTimeout: "],
    ["deadlines", () => Forwarder.layer({ ...forwarding, tryTimeout: NaN }), "tryTimeout: "],
    ["retries", () => Forwarder.layer({ ...forwarding, retry: { ...retry, tries: NaN } }), "retry.tries: "],
    ["hedging", () => Forwarder.layer({ ...forwarding, hedge: { after: 95, budget: 0.02 } }), "hedge.after: "],
    ["a budget", () => Forwarder.layer({ ...forwarding, hedge: { after: 0.95, budget: 2 } }), "hedge.budget: "],
    ["a server's limits", () => WireServer.layer({ port: 0, maxConnections: 0 }), "maxConnections: "],
    ["a server's heads", () => WireServer.layer({ port: 0, headLimits }), "headLimits.headBytes: "],
    ["a client's limits", () => WireClient.layer({ maxConnectionsPerOrigin: NaN }), "maxConnectionsPerOrigin: "],
    ["a timetable", () => HealthChecker.layer({ interval: none }), "interval: "],
    ["the time of a check", () => HealthChecker.layer({ interval: Duration.seconds(5), timeout: none }), "timeout: "],
    ["a bound of the load", () => Zones.layer(undefined, undefined, NaN), "factor: "],
    ["a subset", () => Zones.layer(undefined, { id: "here", size: 0 }), "subset.size: "]
  ])("are refused where they are passed: %s", (_, pass, begin) => {
    assert.throws(pass, RangeError, `${begin}expected `)
  })
})
