import { assert, describe, it } from "@effect/vitest"
import { isAuthority, isHost, mistakeIn } from "../../src/services/Target.ts"

const characters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))

describe("a host", () => {
  it("has the characters of RFC 3986 §3.2.2 and no other, wherever in it and whatever is around them", () => {
    const allowed = new Set([
      ..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
      ..."-._~%!$&'()*+;="
    ])
    for (const character of characters) {
      for (const text of [character, `${character}b.c`, `a${character}c`, `a+${character}:80`]) {
        // A colon there begins the port.
        if (character !== ":") assert.strictEqual(isHost(text), allowed.has(character), JSON.stringify(text))
      }
      const isInAddress = /[\da-f:.]/i.test(character)
      assert.strictEqual(isHost(`[${character}::1]:80`), isInAddress, JSON.stringify(character))
    }
  })

  it("may have a port, which is digits or nothing, and may be missing where it need not be an authority", () => {
    const port = (text: string) => [isHost(text), isAuthority(text)]
    for (const text of ["a:80", "a:", "[::1]:80", "a"]) assert.deepStrictEqual(port(text), [true, true], text)
    for (const text of ["", ":80", ":"]) assert.deepStrictEqual(port(text), [true, false], text)
    for (const text of ["a:b", "a:80:80", "::1", "a:-1"]) assert.deepStrictEqual(port(text), [false, false], text)
  })
})

describe("the target of CONNECT", () => {
  it("is a host and a port, and no user", () => {
    assert.isUndefined(mistakeIn("CONNECT", "example.com:443"))
    for (const target of ["example.com", "example.com:", ":443", "user@example.com:443", "/:443"]) {
      assert.strictEqual(mistakeIn("CONNECT", target), "the target of CONNECT is not a host and a port", target)
    }
  })
})
