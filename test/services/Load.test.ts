import { assert, describe, it } from "@effect/vitest"
import * as Load from "../../src/services/Load.ts"

describe("Load", () => {
  it("starts at zero", () => {
    assert.deepStrictEqual(Load.make(), { inFlight: 0, total: 0, failed: 0, consecutiveFailures: 0 })
  })

  it("is a new object for each backend", () => {
    assert.notStrictEqual(Load.make(), Load.make())
  })

  it("counts a try from its begin to its end", () => {
    const load = Load.make()
    Load.begin(load)
    Load.begin(load)
    assert.deepStrictEqual(load, { inFlight: 2, total: 2, failed: 0, consecutiveFailures: 0 })
    Load.end(load, "success")
    assert.deepStrictEqual(load, { inFlight: 1, total: 2, failed: 0, consecutiveFailures: 0 })
  })

  it("counts failures in a row until a success", () => {
    const load = Load.make()
    const attempt = (outcome: Load.Outcome) => {
      Load.begin(load)
      Load.end(load, outcome)
    }
    attempt("failure")
    attempt("failure")
    assert.deepStrictEqual(load, { inFlight: 0, total: 2, failed: 2, consecutiveFailures: 2 })
    attempt("success")
    assert.deepStrictEqual(load, { inFlight: 0, total: 3, failed: 2, consecutiveFailures: 0 })
  })

  it("draws no conclusion about a backend from a client that left", () => {
    const load = Load.make()
    Load.begin(load)
    Load.end(load, "failure")
    Load.begin(load)
    Load.end(load, "aborted")
    assert.deepStrictEqual(load, { inFlight: 0, total: 2, failed: 1, consecutiveFailures: 1 })
  })
})
