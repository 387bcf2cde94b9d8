import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Load from "../../src/services/Load.ts"
import type { Outcome } from "../../src/services/Outcome.ts"

/** One try that takes so many milliseconds and ends at this time. */
const attempt = (load: Load.Load, outcome: Outcome, latency = 1, now = 0): void => {
  Load.begin(load)
  Load.end(load, outcome, latency, now)
}

describe("the counters", () => {
  it("start at zero", () => {
    const load = Load.make()
    assert.deepInclude(load, { inFlight: 0, total: 0, failed: 0, consecutiveFailures: 0, latency: 0 })
    assert.deepStrictEqual(Load.recent(load, 0), { total: 0, succeeded: 0 })
  })

  it("are a new object for each backend", () => {
    assert.notStrictEqual(Load.make(), Load.make())
    assert.notStrictEqual(Load.make().window, Load.make().window)
  })

  it("count a try from its begin to its end", () => {
    const load = Load.make()
    Load.begin(load)
    Load.begin(load)
    assert.deepInclude(load, { inFlight: 2, total: 2, failed: 0, consecutiveFailures: 0 })
    Load.end(load, "success", 1, 0)
    assert.deepInclude(load, { inFlight: 1, total: 2, failed: 0, consecutiveFailures: 0 })
  })

  it("have one in flight again that goes on after its end, and no other one", () => {
    const load = Load.make()
    attempt(load, "failure")
    Load.begin(load, true)
    assert.deepInclude(load, { inFlight: 1, total: 1, failed: 1 })
    Load.end(load, "aborted", 60_000, 0, "answered")
    assert.deepInclude(load, { inFlight: 0, total: 1, failed: 1, latency: 1_000 })
  })

  it("count failures in a row until a success", () => {
    const load = Load.make()
    attempt(load, "failure")
    attempt(load, "failure")
    assert.deepInclude(load, { inFlight: 0, total: 2, failed: 2, consecutiveFailures: 2 })
    attempt(load, "success")
    assert.deepInclude(load, { inFlight: 0, total: 3, failed: 2, consecutiveFailures: 0 })
  })

  it("draw no conclusion about a backend from a client that left", () => {
    const load = Load.make()
    attempt(load, "failure")
    attempt(load, "aborted")
    assert.deepInclude(load, { inFlight: 0, total: 2, failed: 1, consecutiveFailures: 1 })
    assert.deepStrictEqual(Load.recent(load, 0), { total: 1, succeeded: 0 })
  })
})

describe("a try whose request is still coming at its end", () => {
  it("counts, but has no latency, and a failure is that of a second", () => {
    const load = Load.make()
    const end = (outcome: Outcome) => {
      Load.begin(load)
      Load.end(load, outcome, 60_000, 0, "unmeasured")
    }
    end("aborted")
    end("success")
    assert.deepInclude(load, { inFlight: 0, total: 2, failed: 0, latency: 0 })
    assert.deepStrictEqual(Load.recent(load, 0), { total: 1, succeeded: 1 })
    end("failure")
    assert.deepInclude(load, { inFlight: 0, consecutiveFailures: 1, latency: 1_000 })
    end("aborted")
    assert.strictEqual(load.latency, 1_000)
  })
})

describe("an answer whose head came before its end", () => {
  it("teaches its latency at its head only", () => {
    const load = Load.make()
    Load.begin(load)
    Load.answered(load, 20, 1_000, "answered")
    assert.deepInclude(load, { inFlight: 1, latency: 20, latencyAt: 1_000 })
    assert.strictEqual(Load.recent(load, 1_000).total, 0)
    Load.end(load, "success", 60_000, 61_000, "answered")
    assert.deepInclude(load, { inFlight: 0, latency: 20, latencyAt: 1_000 })
    assert.deepStrictEqual(Load.recent(load, 61_000), { total: 1, succeeded: 1 })
  })

  it("teaches nothing when its client leaves, and a second when it breaks off, however long it went on", () => {
    const load = Load.make()
    for (let i = 0; i < 2; i++) {
      Load.begin(load)
      Load.answered(load, 20, 0, "answered")
    }
    Load.end(load, "aborted", 60_000, 60_000, "answered")
    assert.strictEqual(load.latency, 20)
    Load.end(load, "failure", 60_000, 60_000, "answered")
    assert.deepInclude(load, { latency: 1_000, latencyAt: 60_000, consecutiveFailures: 1 })
  })

  it("is counted as a tunnel while it is one", () => {
    const load = Load.make()
    Load.begin(load)
    Load.answered(load, 20, 0, "tunnel")
    assert.deepInclude(load, { inFlight: 1, tunnels: 1, latency: 20 })
    Load.end(load, "success", 60_000, 60_000, "tunnel")
    assert.deepInclude(load, { inFlight: 0, tunnels: 0 })
  })

  it.each(["answered", "tunnel"] as const)("is a success when its client leaves (%s)", (stage) => {
    const load = Load.make()
    attempt(load, "failure", 1, 60_000)
    Load.begin(load)
    Load.answered(load, 20, 60_000, stage)
    Load.end(load, "aborted", 60_000, 60_000, stage)
    assert.deepInclude(load, { consecutiveFailures: 0, tunnels: 0 })
    assert.deepStrictEqual(Load.recent(load, 60_000), { total: 2, succeeded: 1 })
  })
})

describe("the latency", () => {
  it("is the first one that was seen", () => {
    const load = Load.make()
    attempt(load, "success", 20)
    assert.strictEqual(load.latency, 20)
  })

  it("rises at once", () => {
    const load = Load.make()
    attempt(load, "success", 20, 1_000)
    attempt(load, "success", 900, 1_001)
    assert.strictEqual(load.latency, 900)
  })

  it("falls with time: by 63 % of the way in half a second", () => {
    const load = Load.make()
    attempt(load, "success", 1_020, 0)
    attempt(load, "success", 20, 500)
    assert.closeTo(load.latency, 20 + 1_000 * Math.exp(-1), 1e-9)
  })

  it("does not fall for many answers at one moment", () => {
    const load = Load.make()
    attempt(load, "success", 1_000, 5)
    for (let i = 0; i < 100; i++) attempt(load, "success", 1, 5)
    assert.strictEqual(load.latency, 1_000)
  })

  it("is at least a second after a failure, however fast that was", () => {
    const load = Load.make()
    attempt(load, "success", 20)
    attempt(load, "failure", 1, 1)
    assert.strictEqual(load.latency, 1_000)
    attempt(load, "failure", 3_000, 2)
    assert.strictEqual(load.latency, 3_000)
  })

  it("learns from a client that gave up that it would have taken longer, and nothing else", () => {
    const load = Load.make()
    attempt(load, "aborted", 5_000)
    assert.strictEqual(load.latency, 0)
    attempt(load, "success", 20)
    attempt(load, "aborted", 1, 1)
    assert.strictEqual(load.latency, 20)
    attempt(load, "aborted", 5_000, 2)
    assert.strictEqual(load.latency, 5_000)
  })

  it("stays between the least and the greatest that was seen", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.double({ min: 1e-3, max: 1e6, noNaN: true }), fc.nat(60_000)), { minLength: 1 }),
      (seen) => {
        const load = Load.make()
        let now = 0
        for (const [latency, pause] of seen) attempt(load, "success", latency, now += pause)
        const latencies = seen.map(([latency]) => latency)
        assert.isAtLeast(load.latency, Math.min(...latencies) * (1 - 1e-9))
        assert.isAtMost(load.latency, Math.max(...latencies))
      }
    ))
  })
})

describe("the window", () => {
  it("holds what happened in the last 30 seconds", () => {
    const load = Load.make()
    attempt(load, "failure", 1, 0)
    attempt(load, "success", 1, 15_000)
    attempt(load, "success", 1, 29_999)
    assert.deepStrictEqual(Load.recent(load, 29_999), { total: 3, succeeded: 2 })
    assert.deepStrictEqual(Load.recent(load, 30_000), { total: 2, succeeded: 2 })
    assert.deepStrictEqual(Load.recent(load, 45_000), { total: 1, succeeded: 1 })
    assert.deepStrictEqual(Load.recent(load, 1e12), { total: 0, succeeded: 0 })
  })

  it("counts what falls into the same bucket a turn later from zero", () => {
    const load = Load.make()
    attempt(load, "failure", 1, 1_000)
    attempt(load, "success", 1, 31_000)
    assert.deepStrictEqual(Load.recent(load, 31_000), { total: 1, succeeded: 1 })
  })

  it("is empty after any pause of 30 seconds or more", () => {
    for (let pause = 10; pause <= 30; pause++) {
      const load = Load.make()
      for (let bucket = 0; bucket < 10; bucket++) attempt(load, bucket % 2 ? "success" : "failure", 1, bucket * 3_000)
      assert.deepStrictEqual(Load.recent(load, (9 + pause) * 3_000), { total: 0, succeeded: 0 })
    }
  })

  it("agrees with a list of all that happened, whenever it is asked", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(20_000)), { maxLength: 60, size: "max" }), (events) => {
        const load = Load.make()
        const seen: Array<readonly [ok: boolean, bucket: number]> = []
        let now = 0
        for (const [ok, pause] of events) {
          now += pause
          attempt(load, ok ? "success" : "failure", 1, now)
          seen.push([ok, Math.floor(now / 3_000)])
          const within = seen.filter(([, bucket]) => bucket > Math.floor(now / 3_000) - 10)
          assert.deepStrictEqual(Load.recent(load, now), {
            total: within.length,
            succeeded: within.filter(([ok]) => ok).length
          })
        }
      })
    )
  })

  it("is empty once the backend is forgiven", () => {
    const load = Load.make()
    for (const at of [1_000, 4_000]) {
      attempt(load, "success", 1, at)
      attempt(load, "failure", 1, at)
    }
    Load.forgive(load, 0)
    assert.deepStrictEqual(Load.recent(load, 4_000), { total: 0, succeeded: 0 })
    assert.deepInclude(load, { failed: 2, total: 4, consecutiveFailures: 0 })
  })
})

describe("a failure of a try from before its backend was forgiven", () => {
  it("is one of all and nothing more", () => {
    const load = Load.make()
    for (let i = 0; i < 4; i++) Load.begin(load)
    Load.forgive(load, 2_000)
    Load.end(load, "failure", 300, 2_400, "sent", 1_999)
    assert.deepInclude(load, { failed: 1, failures: 0, consecutiveFailures: 0, inFlight: 3, latency: 0 })
    Load.end(load, "failure", 401, 2_400)
    assert.deepInclude(load, { failed: 2, failures: 0, consecutiveFailures: 0, latency: 0 })
    Load.end(load, "failure", 400, 2_400)
    assert.deepInclude(load, { failed: 3, failures: 1, consecutiveFailures: 1 })
  })
})
