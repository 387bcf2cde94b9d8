import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { nearest, words } from "../../src/services/Suggestion.ts"

describe("a suggestion", () => {
  const known = ["health.path", "health.interval", "timeout.idle", "to"]

  it("is the known word that was mistyped", () => {
    assert.strictEqual(nearest("helth.path", known), "health.path")
    assert.strictEqual(nearest("health.intervla", known), "health.interval")
    assert.strictEqual(nearest("TIMEOUT.IDLE", known), "timeout.idle")
    assert.strictEqual(nearest("ot", known), "to")
  })

  it("is the nearest of several, and the first of equally near ones", () => {
    assert.strictEqual(nearest("header", ["reader", "headers", "header:"]), "reader")
    assert.strictEqual(nearest("wieght", ["wight", "eight", "weight"]), "wight")
  })

  it("is not made when nothing is near", () => {
    assert.strictEqual(nearest("colour", known), undefined)
    assert.strictEqual(nearest("", known), undefined)
    assert.strictEqual(nearest("xy", known), undefined)
    // Only a letter here and there that looks like a swap; and a swap is a mistake as well.
    assert.strictEqual(nearest("xbd", ["bcd"]), undefined)
    assert.strictEqual(nearest("cxd", ["bcd"]), undefined)
    assert.strictEqual(nearest("bacdxy", ["abcdef"]), undefined)
  })

  it("is the word itself when that is known, whatever else is", () => {
    fc.assert(fc.property(fc.array(fc.string({ minLength: 1 }), { minLength: 1 }), fc.nat(), (candidates, n) => {
      const word = candidates[n % candidates.length]!
      assert.strictEqual(nearest(word, candidates)?.toLowerCase(), word.toLowerCase())
    }))
  })

  it("survives one typing mistake in a word of six letters or more", () => {
    const word = fc.string({ unit: fc.constantFrom(..."abcdefgh"), minLength: 6, maxLength: 12 })
    fc.assert(fc.property(word, fc.nat(), fc.constantFrom("x", "", "yx"), (candidate, at, instead) => {
      const i = at % candidate.length
      assert.strictEqual(nearest(candidate.slice(0, i) + instead + candidate.slice(i + 1), [candidate]), candidate)
    }))
  })

  it("reads as a question, and as nothing when there is none", () => {
    assert.strictEqual(words("to"), " (did you mean \"to\"?)")
    assert.strictEqual(words(undefined), "")
  })

  it("is no longer than a value that is shown", () => {
    assert.strictEqual(words("x".repeat(100)), ` (did you mean "${"x".repeat(59)}...?)`)
  })
})
