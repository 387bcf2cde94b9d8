import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { Authority, HeaderField, HostName, Port, Statuses } from "../../../src/services/configuration/CheckNotation.ts"

const read = <T, E>(codec: Schema.Codec<T, E>) => (input: unknown): T | undefined =>
  Result.getOrUndefined(Schema.decodeUnknownResult(codec)(input))

describe("statuses", () => {
  it.each<readonly [number | string, ReadonlyArray<readonly [number, number]>]>([
    ["200", [[200, 200]]],
    [204, [[204, 204]]],
    ["200-399", [[200, 399]]],
    ["200-299,401", [[200, 299], [401, 401]]],
    [" 200-200 , 599 ", [[200, 200], [599, 599]]]
  ])("may be written %j", (input, expected) => {
    assert.deepStrictEqual(read(Statuses)(input), expected.map(([first, last]) => ({ first, last })))
  })

  it.each(["", ",", "200,", "100", "600", "2xx", "399-200", "200-", "200 - 299", 99, 1.5, null, []])(
    "may not be written %j",
    (input) => assert.strictEqual(read(Statuses)(input), undefined)
  )

  it("can be read again as they are written", () => {
    const status = fc.integer({ min: 200, max: 599 })
    const range = fc.tuple(status, status).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }))
    fc.assert(fc.property(fc.array(range, { minLength: 1 }), (ranges) => {
      assert.deepStrictEqual(read(Statuses)(Schema.encodeSync(Statuses)(ranges)), ranges)
    }))
  })
})

describe("a header field", () => {
  it.each([
    ["X-Check: deep", "X-Check", "deep"],
    ["X-Check:deep", "X-Check", "deep"],
    ["Authorization: Bearer a:b", "Authorization", "Bearer a:b"],
    ["X-Empty:", "X-Empty", ""],
    ["  x:  a  b  ", "x", "a  b"]
  ])("may be written %j", (input, name, value) => assert.deepStrictEqual(read(HeaderField)(input), { name, value }))

  it.each([
    "",
    "x",
    ": y",
    "a b: c",
    "x: a\nb: c",
    "x: \u00e4",
    "Host: a",
    "Content-Length: 3",
    "connection: close",
    1
  ])(
    "may not be written %j",
    (input) => assert.strictEqual(read(HeaderField)(input), undefined)
  )
})

describe("a host to say", () => {
  it.each(["example.com", "example.com:8080", "[::1]", "[::1]:80", "127.0.0.1"])("may be %s", (input) => {
    assert.strictEqual(read(Authority)(input), input)
  })

  it.each(["", ":80", "a b", "http://a", "a/b", "a,b", 1])("may not be %j", (input) => {
    assert.strictEqual(read(Authority)(input), undefined)
  })
})

describe("a host to connect to", () => {
  it.each([
    ["agent.local", "agent.local"],
    ["10.0.0.1", "10.0.0.1"],
    ["::1", "[::1]"],
    ["[::1]", "[::1]"]
  ])("may be %s", (input, expected) => assert.strictEqual(read(HostName)(input), expected))

  it.each(["", "a:80", "[a]", "a b", "http://a", "[::1]:80", "user@a", "10.0.0.300", "10.0.0.0.1", "a.1", 1])(
    "may not be %j",
    (input) => {
      assert.strictEqual(read(HostName)(input), undefined)
    }
  )
})

describe("a port", () => {
  it.each([[1, 1], ["9000", 9000], [65_535, 65_535]])("may be %j", (input, port) => {
    assert.strictEqual(read(Port)(input), port)
  })

  it.each([0, 65_536, "", "0", "65536", "x", "-1", 1.5, null])("may not be %j", (input) => {
    assert.strictEqual(read(Port)(input), undefined)
  })
})
