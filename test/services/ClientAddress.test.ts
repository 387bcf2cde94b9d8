import { assert, describe, it } from "@effect/vitest"
import { original, plain } from "../../src/services/ClientAddress.ts"

const isTrusted = (address: string): boolean => address.startsWith("10.")

const xff = (...lines: ReadonlyArray<string>) => lines.flatMap((line) => ["X-Forwarded-For", line])

describe("the address of a client", () => {
  it.each<readonly [fields: ReadonlyArray<string>, address: string | undefined, client: string | undefined]>([
    [[], "203.0.113.9", "203.0.113.9"],
    [[], "10.0.0.1", "10.0.0.1"],
    [[], undefined, undefined],
    [xff("198.51.100.7"), undefined, undefined]
  ])("is that of the connection when nobody says another: %j from %s", (fields, address, client) => {
    assert.strictEqual(original(fields, address, isTrusted), client)
  })

  it("is that of the connection when who says another is not trusted", () => {
    assert.strictEqual(original(xff("198.51.100.7"), "203.0.113.9", isTrusted), "203.0.113.9")
  })

  it.each<readonly [lines: ReadonlyArray<string>, client: string]>([
    [["198.51.100.7"], "198.51.100.7"],
    [["198.51.100.7, 10.0.0.2"], "198.51.100.7"],
    [["6.6.6.6, 198.51.100.7 ,10.0.0.2, 10.0.0.3"], "198.51.100.7"],
    [["6.6.6.6", "198.51.100.7, 10.0.0.2", "10.0.0.3"], "198.51.100.7"],
    [["10.0.0.9, 10.0.0.8"], "10.0.0.9"],
    [["198.51.100.7:4711"], "198.51.100.7"],
    [["[2001:db8::1]:4711"], "2001:db8::1"],
    [["2001:db8::1"], "2001:db8::1"],
    [["198.51.100.7, , 10.0.0.2,"], "198.51.100.7"],
    [["198.51.100.7", ""], "198.51.100.7"],
    [["6.6.6.6, unknown"], "unknown"]
  ])("is the last one that is no trusted proxy of %j, when a trusted proxy says so", (lines, client) => {
    const fields = ["Host", "a.test", ...xff(...lines), "X-Real-IP", "7.7.7.7"]
    assert.strictEqual(original(fields, "10.0.0.1", isTrusted), client)
  })
})

describe("the address that is shown", () => {
  it.each<readonly [address: string, shown: string]>([
    ["::ffff:198.51.100.7", "198.51.100.7"],
    ["198.51.100.7", "198.51.100.7"],
    ["2001:db8::ffff:1:2", "2001:db8::ffff:1:2"]
  ])("of %s is %s", (address, shown) => {
    assert.strictEqual(plain(address), shown)
  })
})
