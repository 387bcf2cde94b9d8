import { assert, describe, it } from "@effect/vitest"
import { show } from "../../src/services/Shown.ts"

describe("a value in a message", () => {
  const endless: { self?: unknown } = {}
  endless.self = endless

  it.each<readonly [text: string, value: unknown]>([
    ["\"a \\\"b\\\"\\n\"", "a \"b\"\n"],
    ["5", 5],
    ["NaN", NaN],
    ["-Infinity", -Infinity],
    ["1n", 1n],
    ["null", null],
    ["{\"a\":[1,NaN,2n]}", { a: [1, NaN, 2n] }],
    ["1970-01-01T00:00:00.000Z", new Date(0)],
    ["Map([[\"a\",1]])", new Map([["a", 1]])],
    ["{\"self\":[Circular]}", endless],
    [`["${"x".repeat(58)}...`, ["x".repeat(60)]],
    ["\"http://***@a\"", "http://ann:secret@a"]
  ])("is %s, as code has it", (text, value) => assert.strictEqual(show(value), text))

  it("is on one line", () => {
    assert.notInclude(show(new Error("a\nb", { cause: "c\nd" })), "\n")
    assert.notInclude(
      show(() => {
        throw new Error("a")
      }),
      "\n"
    )
  })
})
