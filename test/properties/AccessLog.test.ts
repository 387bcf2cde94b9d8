/** Whatever a client sends, the log is one printable line for each fact. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Completed, type FailedTry, type HealthChanged, json, pretty } from "../../src/services/AccessLog.ts"

const anyText = fc.string({ unit: "binary" })

const entry: fc.Arbitrary<Completed | HealthChanged> = fc.oneof(
  fc.record({
    _tag: fc.constant("Completed"),
    method: anyText,
    path: anyText,
    backend: anyText,
    client: anyText,
    status: fc.integer({ min: 100, max: 599 }),
    durationMs: fc.nat(),
    tries: fc.nat(),
    failed: fc.option(
      fc.array(fc.record({ backend: anyText, reason: fc.constantFrom<FailedTry["reason"]>("connect_failed", 503) })),
      { nil: undefined }
    ),
    reason: fc.constantFrom(undefined, "no_backend", "client_aborted")
  }),
  fc.record({
    _tag: fc.constant("HealthChanged"),
    backend: anyText,
    status: fc.constantFrom("Up", "Down", "Trial"),
    why: anyText
  })
)

// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

describe("the log", () => {
  it("is printable, and as JSON says exactly what was said", () => {
    fc.assert(
      fc.property(entry, fc.nat(), (entry, at) => {
        assert.notMatch(pretty(entry), unprintable)
        const line = json(entry, at)
        assert.notMatch(line, unprintable)
        const parsed: unknown = JSON.parse(line)
        assert.propertyVal(parsed, "timestamp", new Date(at).toISOString())
        if (entry._tag === "Completed") {
          assert.propertyVal(parsed, "url.path", entry.path)
          const failed = entry.failed?.map(({ backend, reason }) => ({ backend, reason: String(reason) }))
          if (failed !== undefined) assert.deepNestedPropertyVal(parsed, "lb\\.failed", failed)
        }
        if (entry._tag === "HealthChanged") assert.propertyVal(parsed, "lb.why", entry.why)
      }),
      { numRuns: 1_000 }
    )
  })
})
