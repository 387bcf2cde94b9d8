// A test under traffic: what do clients see while a backend falls ill? Nine seconds of it, on virtual time.
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import * as AccessLog from "evenkeel/layers/AccessLog"
import * as Configuration from "evenkeel/layers/Configuration"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as FakeBackends from "evenkeel/layers/testing/FakeBackends"
import * as FakeServer from "evenkeel/layers/testing/FakeServer"
import * as Traffic from "evenkeel/layers/testing/Traffic"

const well = (name: string) => FakeBackends.delayed("20 millis", FakeBackends.respond(name))

// From the second to the fifth second it resets every connection after the request. Its health
// checks see nothing of it.
const ill = FakeBackends.onPath(
  "/health",
  FakeBackends.respond("well"),
  FakeBackends.during({ from: "2 seconds", until: "5 seconds" }, FakeBackends.resets, well("a"))
)

const settings = Configuration.make({ to: ["http://a", "http://b", "http://c"], health: { path: "/health" } })

const Balancer = LoadBalancer.layer(settings).pipe(
  Layer.provide(AccessLog.layerNone),
  Layer.provideMerge([
    FakeServer.layer,
    FakeBackends.layer({ "http://a": ill, "http://b": well("b"), "http://c": well("c") })
  ])
)

it.effect("no GET fails while a backend resets its connections, and few POSTs do", () =>
  Effect.gen(function*() {
    const traffic = yield* Effect.forkChild(
      Traffic.run({ rate: 100, duration: "9 seconds", methods: { GET: 3, POST: 1 } })
    )
    yield* TestClock.adjust("1 minute")
    const seen = yield* Fiber.join(traffic)

    const { GET = 0, POST = 0 } = Traffic.failures(seen)
    assert.strictEqual(GET, 0)
    assert.isAtMost(POST, 6)
    assert.strictEqual(Traffic.slower(seen, "1 second"), 0)
    // In the last second all three have their share again.
    const { a = 0 } = Traffic.spread(seen.filter(({ at }) => at > 8_000))
    assert.isAtLeast(a, 20)
  }).pipe(Effect.provide(Balancer), Random.withSeed(1)))
