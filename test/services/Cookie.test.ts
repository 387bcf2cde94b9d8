import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Cookie from "../../src/services/Cookie.ts"

describe("a cookie", () => {
  it.each<readonly [fields: ReadonlyArray<string>, value: string | undefined]>([
    [["Cookie", "lb=1"], "1"],
    [["COOKIE", "a=0; lb=1; b=2"], "1"],
    [["Cookie", "a=0;lb=1"], "1"],
    [["Cookie", "a=0;\t lb=1\t"], "1"],
    [["Cookie", "a=0", "Cookie", "lb=1"], "1"],
    [["Cookie", "lb=first; lb=second"], "first"],
    [["Cookie", "lb="], ""],
    [["Cookie", "lb=a=b"], "a=b"],
    [["Cookie", "a=lb=1; xlb=2; LB=3; lb"], undefined],
    [["X-Cookie", "lb=1"], undefined],
    [[], undefined]
  ])("in %j is found", (fields, value) => {
    assert.strictEqual(Cookie.valueOf(fields, "lb"), value)
  })
})

describe("without a cookie", () => {
  it.each<readonly [line: string, rest: string | undefined]>([
    ["lb=1", undefined],
    ["lb=1; lb=2", undefined],
    ["a=0; lb=1; b=2", "a=0; b=2"],
    ["lb=1; b=2", "b=2"],
    ["a=0; lb=1", "a=0"],
    ["a=0; lb=1; b=2; lb=3; c=\"4, 5\"", "a=0; b=2; c=\"4, 5\""],
    // What is odd about the others is not ours to mend.
    ["a;;b = 2;lb=1;lbx=3", "a;;b = 2;lbx=3"]
  ])("%j is %j", (line, rest) => {
    const others = ["Host", "a", "X-Note", "a=0; lb=1", "Cookie", "x=1", "Cookie", ""]
    const expected = rest === undefined ? others : [...others, "cookie", rest]
    assert.deepStrictEqual(Cookie.without([...others, "cookie", line], "lb"), expected)
  })

  it("the other cookies stay byte for byte, wherever it stood", () => {
    const pair = fc.stringMatching(/^[a-k]{1,3}=[!#-+\--:<-~]{0,5}$/)
    fc.assert(
      fc.property(fc.array(pair), fc.nat(), (pairs, n) => {
        const at = n % (pairs.length + 1)
        const line = [...pairs.slice(0, at), "lb=token", ...pairs.slice(at)].join("; ")
        const rest = pairs.length === 0 ? [] : ["Cookie", pairs.join("; ")]
        assert.deepStrictEqual(Cookie.without(["Cookie", line], "lb"), rest)
        assert.strictEqual(Cookie.valueOf(["Cookie", line], "lb"), "token")
      })
    )
  })
})

describe("without what sets a cookie", () => {
  it("are all lines of a response but those that set a cookie of this name", () => {
    const kept = ["Set-Cookie", "LB=1", "set-cookie", "lb2=1; Path=/", "Set-Cookie", "a=lb=1; lb=2", "X-Cookie", "lb=1"]
    kept.push("Set-Cookie", "lb", "Set-Cookie", "lb; a=1", "Set-Cookie", "lbs")
    assert.deepStrictEqual(
      Cookie.withoutSet(["Set-Cookie", "lb=1", ...kept, "set-cookie", " lb=; HttpOnly", "Set-Cookie", "lb\t =1"], "lb"),
      kept
    )
  })
})
