import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { formatListen, Listen } from "../../../src/services/configuration/ListenAddress.ts"

/** The value that is written so, or `undefined` for what is no notation. */
const read = (input: unknown) => Result.getOrUndefined(Schema.decodeUnknownResult(Listen)(input))

describe("an address to listen on", () => {
  it.each([
    ["3000", undefined, 3000],
    [":3000", undefined, 3000],
    [3000, undefined, 3000],
    [0, undefined, 0],
    [":0", undefined, 0],
    ["65535", undefined, 65_535],
    ["127.0.0.1:8080", "127.0.0.1", 8080],
    ["localhost:8080", "localhost", 8080],
    ["[::1]:8080", "::1", 8080],
    ["[::]:80", "::", 80]
  ])("may be written %j", (input, host, port) => assert.deepStrictEqual(read(input), { host, port }))

  it.each([
    "",
    ":",
    "65536",
    "-1",
    -1,
    1.5,
    "localhost",
    "::1:80",
    "[::1]",
    "[x]:80",
    "[127.0.0.1]:80",
    "a b:80",
    "http://a:80",
    "a:80/",
    ":08x",
    null
  ])("may not be written %j", (input) => assert.strictEqual(read(input), undefined))

  it("can be read again as it is written", () => {
    const host = fc.oneof(fc.constant(undefined), fc.ipV4(), fc.domain(), fc.constant("::1"))
    fc.assert(fc.property(host, fc.integer({ min: 0, max: 65_535 }), (host, port) => {
      assert.deepStrictEqual(read(formatListen({ host, port })), { host, port })
    }))
  })
})
