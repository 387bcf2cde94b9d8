import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as Balancer from "../../src/services/Balancer.ts"
import * as Ejection from "../../src/services/Ejection.ts"
import { defaultOptions } from "../../src/services/Forwarder.ts"
import * as Policies from "../../src/services/Policies.ts"
import * as Pool from "../../src/services/Pool.ts"
import type { Reason } from "../../src/services/Reason.ts"

describe("the policy of the pool", () => {
  it("follows from the settings, and is the same by default", () => {
    assert.deepStrictEqual(Policies.pool(Configuration.make()), { ...Pool.defaultPolicy, initial: "checking" })
  })

  it("has everything that a setting says", () => {
    const health = { rise: 7, fall: 6, panic: "15%", initial: "down" } as const
    const ejection = { time: "3s", maxTime: "70s", maxShare: "35%" }
    assert.deepStrictEqual(Policies.pool(Configuration.make({ health, ejection })), {
      rise: 7,
      fall: 6,
      initial: "down",
      panicThreshold: 0.15,
      ejectionTime: Duration.seconds(3),
      maxEjectionTime: Duration.seconds(70),
      maxEjected: 0.35
    })
  })

  it("has all backends up from the start where nobody checks them", () => {
    assert.strictEqual(Policies.pool(Configuration.make({ health: { kind: "off", initial: "down" } })).initial, "up")
  })
})

describe("the policy of ejections", () => {
  it("follows from the settings, and is the same by default", () => {
    assert.deepStrictEqual(Policies.ejection(Configuration.make()), Ejection.defaultPolicy)
  })

  it("has everything that a setting says", () => {
    const settings = Configuration.make({ ejection: { failures: 7, successRate: "65%", volume: 33 } })
    assert.deepStrictEqual(Policies.ejection(settings), {
      consecutiveFailures: 7,
      successRate: 0.65,
      minimumVolume: 33
    })
  })
})

describe("the options of the balancer", () => {
  it("follow from the settings, and are the same by default", () => {
    assert.deepStrictEqual(Policies.balancer(Configuration.make()), Balancer.defaultOptions)
  })

  it("have everything that a setting says", () => {
    const settings = Configuration.make({
      limit: { inFlight: 9, inFlightPerBackend: 4 },
      queue: { order: "newest", size: 12, timeout: "3s" },
      slowStart: { duration: "20s", from: "25%", aggression: 2 }
    })
    assert.deepStrictEqual(Policies.balancer(settings), {
      maxInFlight: 4,
      adaptive: false,
      maxTotalInFlight: 9,
      queue: { order: "newest", size: 12, timeout: Duration.seconds(3) },
      slowStart: { duration: Duration.seconds(20), from: 0.25, aggression: 2 }
    })
  })

  it("have an adaptive limit below the fixed one when that is wished", () => {
    const { adaptive } = Policies.balancer(
      Configuration.make({ limit: { adaptive: "gradient", inFlightPerBackend: 300 } })
    )
    assert.isTrue(adaptive)
  })
})

describe("the options of the forwarder", () => {
  it("follow from the settings, and are the same by default", () => {
    const { hashKey: _, isTrustedProxy: __, ...options } = Policies.forwarder(Configuration.make())
    const { hashKey: ___, isTrustedProxy: ____, ...defaults } = defaultOptions
    assert.deepStrictEqual(options, defaults)
  })

  it("have everything that a setting says", () => {
    const { hashKey: _, isTrustedProxy, ...options } = Policies.forwarder(Configuration.make({
      hostHeader: "backend",
      trustedProxies: ["10.0.0.0/8"],
      timeout: { try: "3s", exchange: "10s" },
      retry: {
        tries: 3,
        on: ["connect_failed"],
        statuses: [429],
        methods: ["GET", "POST"],
        bodyLimit: 10,
        backoff: "10ms",
        maxWait: "5s",
        budget: "10%",
        minPerSecond: 0
      },
      hedge: { after: "99%", budget: "1%" }
    }))
    assert.deepStrictEqual(options, {
      hostHeader: "backend",
      exchangeTimeout: 10_000,
      tryTimeout: 3_000,
      retry: {
        tries: 3,
        reasons: new Set<Reason>(["connect_failed"]),
        statuses: new Set([429]),
        methods: new Set(["GET", "POST"]),
        bodyLimit: 10,
        backoff: 10,
        maxWait: 5_000,
        budget: { ratio: 0.1, perSecond: 0 }
      },
      hedge: { after: 0.99, budget: 0.01 }
    })
    assert.deepStrictEqual(["10.1.2.3", "11.1.2.3"].map(isTrustedProxy), [true, false])
  })
})
