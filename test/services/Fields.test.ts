/** Fields are found by their names in any case, and sets of names have what a set of lower-case names has. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { elementsOf, isNamed, linesWhere, Names, valueOf, withoutBlanks } from "../../src/services/Fields.ts"

const mixed = (name: string): fc.Arbitrary<string> =>
  fc.mixedCase(fc.constant(name), { toggleCase: (char) => char.toUpperCase() })

/** Names of fields, most of them alike: of few letters and few lengths. */
const name = fc.oneof(
  fc.stringMatching(/^[a-c_@`-]{1,3}$/),
  fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,40}$/)
)

describe("a field", () => {
  it("has its name in any case", () => {
    assert.isTrue(isNamed("Content-LENGTH", "content-length"))
    assert.isFalse(isNamed("Content-Lengthy", "content-length"))
    assert.isFalse(isNamed("Content_Length", "content-length"))
  })

  it("is the first one of its name", () => {
    const fields = ["A", "1", "b", "2", "B", "3"]
    assert.strictEqual(valueOf(fields, "b"), "2")
    assert.isUndefined(valueOf(fields, "c"))
    assert.isUndefined(valueOf(["a", "b"], "b"))
  })

  it("is one of those that are looked for by its name or its value, and keeps both as they are", () => {
    const fields = ["A", "1", "a", "2", "B", "A"]
    assert.deepStrictEqual(linesWhere(fields, (name) => name === "A"), ["A", "1"])
    assert.deepStrictEqual(linesWhere(fields, (_, value) => value !== "2"), ["A", "1", "B", "A"])
  })
})

describe("a value", () => {
  it("has no blanks around it, and those that it has within", () => {
    assert.strictEqual(withoutBlanks(" \t a \tb \t"), "a \tb")
    assert.strictEqual(withoutBlanks("a"), "a")
    assert.strictEqual(withoutBlanks(" \t "), "")
    assert.strictEqual(withoutBlanks("\u00a0\u00a0"), "\u00a0\u00a0")
  })

  it("is looked at once, however many blanks it has within", () => {
    // What looks at each blank as often as there are some takes half a minute for 200,000 of them.
    const long = `a${" ".repeat(200_000)}b`
    assert.strictEqual(withoutBlanks(long), long)
    assert.deepStrictEqual(elementsOf(`${long}, c`), [long, "c"])
  })
})

describe("a set of names", () => {
  it("has each of its names in any case", () => {
    const sample = fc.array(name, { minLength: 1 }).chain((names) =>
      fc.constantFrom(...names).chain(mixed).map((any) => ({ names, any }))
    )
    fc.assert(fc.property(sample, ({ any, names }) => {
      const set = new Names(names)
      assert.isTrue(set.mayHave(any))
      assert.isTrue(set.has(any))
    }))
  })

  it("has no others", () => {
    fc.assert(fc.property(fc.array(name), name, (names, other) => {
      assert.strictEqual(new Names(names).has(other), names.includes(other))
    }))
  })

  it("says of most other names that it cannot have them, without a look at all of their letters", () => {
    const set = new Names(["connection", "te", "transfer-encoding"])
    const others = ["Accept", "Cookie", "ETag", "Host", "User-Agent", "X-Request-Id"]
    assert.deepStrictEqual(others.filter((name) => set.mayHave(name)), [])
    assert.isTrue(set.mayHave("TX"))
  })
})
