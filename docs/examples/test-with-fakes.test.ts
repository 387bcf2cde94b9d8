// A test with fake backends: no ports, and a minute takes no time.
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as AccessLog from "evenkeel/layers/AccessLog"
import * as Configuration from "evenkeel/layers/Configuration"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as FakeBackends from "evenkeel/layers/testing/FakeBackends"
import * as FakeServer from "evenkeel/layers/testing/FakeServer"

const Balancer = LoadBalancer.layer(Configuration.make({ to: ["http://a", "http://b"], strategy: "round-robin" })).pipe(
  Layer.provide(AccessLog.layerNone),
  Layer.provideMerge([
    FakeServer.layer,
    FakeBackends.layer({
      "http://a": FakeBackends.respond("hello from a"),
      "http://b": FakeBackends.delayed("20 millis", FakeBackends.respond("hello from b"))
    })
  ])
)

it.effect("a backend that dies is not missed", () =>
  Effect.gen(function*() {
    const backends = yield* FakeBackends.FakeBackends

    assert.strictEqual((yield* FakeServer.request("/")).text, "hello from a")

    const slow = yield* Effect.forkChild(FakeServer.request("/"))
    yield* TestClock.adjust("20 millis")
    assert.strictEqual((yield* Fiber.join(slow)).text, "hello from b")

    yield* backends.stop("http://b")
    yield* TestClock.adjust("1 minute")
    for (let i = 0; i < 10; i++) {
      assert.strictEqual((yield* FakeServer.request("/")).text, "hello from a")
    }
    assert.strictEqual(backends.received("http://a").length, 11)
    assert.strictEqual(backends.inFlight("http://a"), 0)
  }).pipe(Effect.provide(Balancer)))
