import { assert, describe, it } from "@effect/vitest"
import { TransportFailure } from "../../src/services/Failure.ts"
import { fromFailure, originToCheck, type Place } from "../../src/services/Probe.ts"

describe("originToCheck", () => {
  it.each<readonly [origin: string, place: Place, expected: string]>([
    ["http://a:3001", {}, "http://a:3001"],
    ["unix:/run/app.sock", {}, "unix:/run/app.sock"],
    ["postgres://a:5432", {}, "postgres://a:5432"],
    ["http://a:3001", { port: 9000 }, "http://a:9000"],
    ["http://a", { port: 80 }, "http://a"],
    ["http://a:3001", { address: "b" }, "http://b:3001"],
    ["http://a:3001", { address: "[::1]" }, "http://[::1]:3001"],
    ["http://[::1]:3001", { address: "b", port: 1 }, "http://b:1"],
    ["postgres://a:5432", { port: 8080 }, "postgres://a:8080"],
    ["postgres://a:5432", { address: "b" }, "postgres://b:5432"],
    ["https://a", { address: "b" }, "https://b"],
    ["https://a", { port: 8443 }, "https://a:8443"],
    ["unix:/run/app.sock", { port: 9000 }, "http://localhost:9000"],
    ["unix:/run/app.sock", { address: "b", port: 9000 }, "http://b:9000"]
  ])("of %s with %j is %s", (origin, place, expected) => {
    assert.strictEqual(originToCheck(origin, place), expected)
  })
})

describe("fromFailure", () => {
  it("blames the backend for everything but what this process lacks", () => {
    assert.strictEqual(
      fromFailure(TransportFailure.make({ reason: "connect_failed", message: "x" }))._tag,
      "ProbeFailed"
    )
    assert.strictEqual(
      fromFailure(TransportFailure.make({ reason: "protocol_error", message: "x" }))._tag,
      "ProbeFailed"
    )
    assert.strictEqual(fromFailure(TransportFailure.make({ reason: "overloaded", message: "x" }))._tag, "ProbeSkipped")
  })
})
