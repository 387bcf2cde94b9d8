import { assert, describe, it } from "@effect/vitest"
import { TransportFailure } from "../../src/services/Failure.ts"
import { fromFailure, originToCheck, type Place, ProbeFailed } from "../../src/services/Probe.ts"

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
    ["unix:/run/app.sock", { address: "b" }, "unix:/run/app.sock"],
    ["unix:/run/app.sock", { address: "b", port: 9000 }, "http://b:9000"]
  ])("of %s with %j is %s", (origin, place, expected) => {
    assert.strictEqual(originToCheck(origin, place), expected)
  })
})

describe("ProbeFailed", () => {
  it("may say that it does not know whether there was an answer", () => {
    const { answered, silent } = ProbeFailed.make({ message: "no", answered: undefined, silent: undefined })
    assert.deepStrictEqual([answered, silent], [undefined, undefined])
  })
})

describe("fromFailure", () => {
  it("blames the backend for everything but what this process lacks", () => {
    const tagOf = (reason: TransportFailure["reason"]) =>
      fromFailure(TransportFailure.make({ reason, message: "x" }), {}, "http://a")._tag
    assert.strictEqual(tagOf("connect_failed"), "ProbeFailed")
    assert.strictEqual(tagOf("protocol_error"), "ProbeFailed")
    assert.strictEqual(tagOf("overloaded"), "ProbeSkipped")
  })

  it.each<readonly [Place, string]>([
    [{}, "Connection refused"],
    [{ port: 3000 }, "Connection refused"],
    [{ port: 9000 }, "Connection refused at http://a:9000"],
    [{ address: "[::1]" }, "Connection refused at http://[::1]:3000"]
  ])("says where it was, if that is not where the backend is: %j", (place, message) => {
    const failure = TransportFailure.make({ reason: "connect_failed", message: "Connection refused" })
    assert.deepInclude(fromFailure(failure, place, "http://a:3000"), { message })
  })

  it.each<readonly [TransportFailure["reason"], Place, boolean]>([
    ["connect_failed", {}, false],
    ["reset_before_headers", {}, false],
    ["connect_timeout", {}, true],
    ["headers_timeout", {}, true],
    ["connect_failed", { port: 9000 }, true],
    ["connect_failed", { address: "b" }, true],
    ["connect_failed", { address: "a", port: 80 }, false]
  ])("for %s, of a check at %j, leaves a request some hope: %s", (reason, place, silent) => {
    assert.deepInclude(fromFailure(TransportFailure.make({ reason, message: "x" }), place, "http://a"), { silent })
  })
})
