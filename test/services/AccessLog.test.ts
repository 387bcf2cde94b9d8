import { assert, describe, it } from "@effect/vitest"
import { type Completed, type Entry, json, loggedPath, pretty } from "../../src/services/AccessLog.ts"
import type { Status } from "../../src/services/Health.ts"
import { golden } from "../golden/Golden.ts"

const notice = (message: string, level: "INFO" | "WARN" | "ERROR" = "INFO"): Entry => ({
  _tag: "Notice",
  level,
  message
})

const health = (backend: string, status: Status, why: string): Entry => ({
  _tag: "HealthChanged",
  backend,
  status,
  why
})

const completed = (fields: Partial<Completed>): Entry => ({
  _tag: "Completed",
  method: "GET",
  path: "/",
  backend: "http://localhost:3001",
  client: "127.0.0.1",
  status: 200,
  durationMs: 0,
  tries: 1,
  reason: undefined,
  ...fields
})

const entries: ReadonlyArray<Entry> = [
  notice("Load balancer running on port 3000"),
  notice("Backend servers: http://localhost:3001, http://localhost:3002, http://localhost:3003"),
  notice("Health checker started (checking every 5s)"),
  health("http://localhost:3001", "Up", "status: 200"),
  { _tag: "Sent", method: "GET", path: "/", backend: "http://localhost:3001" },
  completed({ durationMs: 12.345 }),
  health("http://localhost:3002", "Down", "Connection refused"),
  health("http://localhost:3002", "Disabled", "maintenance"),
  health("http://localhost:3002", "Draining", "deploy"),
  health("http://localhost:3002", "Ejected", "5 failures in a row"),
  health("http://localhost:3002", "Trial", "the ejection is over"),
  health("http://localhost:3002", "Checking", "not checked yet"),
  notice("12 log lines were lost", "WARN"),
  notice("port 3000 is in use", "ERROR"),
  { _tag: "Sent", method: "POST", path: "/orders/7", backend: "http://10.0.0.1:8080" },
  completed({ method: "POST", path: "/orders/7", backend: "http://10.0.0.1:8080", status: 500, durationMs: 0.04 }),
  completed({ path: "/slow", status: 504, durationMs: 15_003, reason: "headers_timeout" }),
  completed({
    path: "/retried",
    backend: "http://localhost:3003",
    durationMs: 7.55,
    tries: 3,
    failed: [
      { backend: "http://localhost:3001", reason: "reset_before_headers" },
      { backend: "http://localhost:3002", reason: 503 }
    ]
  }),
  completed({
    path: "/retried",
    backend: "http://localhost:3003",
    status: 502,
    durationMs: 9,
    tries: 3,
    reason: "connect_failed"
  }),
  completed({
    backend: undefined,
    client: undefined,
    status: 503,
    durationMs: 0.1,
    tries: 0,
    reason: "no_backend"
  }),
  completed({ path: "/cut", durationMs: 40, reason: "reset_mid_body" }),
  completed({ path: "/gone", status: 499, durationMs: 31, reason: "client_aborted" }),
  // What is sent again on a fresh connection is no try of its own.
  completed({ path: "/again", failed: [{ backend: "http://localhost:3001", reason: "reset_before_headers" }] }),
  {
    _tag: "Sent",
    method: "GET",
    path: "/\u001b[2J\r\nHEALTH: HEALTHY\u007f\u009b31m\u0000",
    backend: "http://localhost:3001"
  },
  completed({ method: "G\tT", path: "/\u001b[2J\r\nHEALTH: HEALTHY\u007f\u009b31m\u0000", durationMs: 1 }),
  health("http://localhost:3001", "Down", "status: \u001b]0;title\u0007"),
  notice("grüße, 世界"),
  notice("one\u2028two\u0085three")
]

const at = Date.UTC(2026, 10, 5, 12)

/** What there is a line of JSON for: the end of an exchange says all of it. */
const said = entries.filter((entry) => entry._tag !== "Sent")

describe("the log", () => {
  it("reads like this on a terminal", () => {
    assert.deepStrictEqual(entries.map(pretty), golden("log/pretty.txt"))
  })

  it("reads like this as JSON", () => {
    assert.deepStrictEqual(said.map((entry) => json(entry, at)), golden("log/json.txt"))
  })

  it("is one line for each entry, without anything that could move the cursor", () => {
    for (const entry of entries) {
      for (const line of entry._tag === "Sent" ? [pretty(entry)] : [pretty(entry), json(entry, at)]) {
        // oxlint-disable-next-line no-control-regex -- control characters are what this is about
        assert.notMatch(line, /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
      }
    }
  })

  it("as JSON says what was said, control characters included", () => {
    assert.deepStrictEqual(
      said.map((entry) => JSON.parse(json(entry, at))).map((parsed) =>
        parsed["url.path"] ?? parsed["lb.why"] ?? parsed["message"]
      ),
      said.map((entry) => "path" in entry ? entry.path : "why" in entry ? entry.why : entry.message)
    )
  })
})

describe("a retry that the budget did not allow", () => {
  it("is said of the exchange that was not tried again, and of no other", () => {
    const entry = completed({ status: 503, isOverBudget: true })
    assert.include(pretty(entry), "[503] 0ms, retry budget used up")
    assert(entry._tag === "Completed")
    assert.strictEqual(JSON.parse(json(entry, 0))["lb.over_budget"], true)
    for (const isOverBudget of [false, undefined]) {
      const other = completed({ status: 503, isOverBudget })
      assert(other._tag === "Completed")
      assert.notInclude(pretty(other) + json(other, 0), "budget")
    }
  })
})

describe("loggedPath", () => {
  it.each([
    ["/", "/"],
    ["/a/b", "/a/b"],
    ["/a?token=secret", "/a"],
    ["/?", "/"],
    ["/a?b?c", "/a"],
    ["/a%3Fb?c", "/a%3Fb"],
    ["*", "*"],
    ["?secret", ""],
    ["http://example.com/a?secret", "http://example.com/a"],
    ["/a#secret", "/a"],
    ["/a#b?secret", "/a"],
    ["http://user:secret@example.com/a", "http://example.com/a"],
    ["http://secret@example.com", "http://example.com"],
    ["/@me/a:b@c", "/@me/a:b@c"],
    ["http://example.com/@me", "http://example.com/@me"]
  ])("of %s is %s: what may be a secret is not logged", (target, path) => {
    assert.strictEqual(loggedPath(target), path)
  })
})
