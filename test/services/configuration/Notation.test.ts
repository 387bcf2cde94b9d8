import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import {
  BalanceFactor,
  Bytes,
  CookieAge,
  Count,
  ErrorStatus,
  Factor,
  Method,
  Network,
  Percent,
  PositiveDuration,
  UrlPath,
  WholeNumber
} from "../../../src/services/configuration/Notation.ts"

/** The value that is written so, or `undefined` for what is no notation. */
const read = <T, E>(codec: Schema.Codec<T, E>) => (input: unknown): T | undefined =>
  Result.getOrUndefined(Schema.decodeUnknownResult(codec)(input))

describe("a duration", () => {
  const millis = (text: unknown) => {
    const duration = read(PositiveDuration)(text)
    return duration === undefined ? undefined : Duration.toMillis(duration)
  }

  it.each([
    ["5s", 5_000],
    ["500ms", 500],
    ["1m", 60_000],
    ["1h", 3_600_000],
    ["20d", 1_728_000_000],
    ["1.5s", 1_500],
    ["1m 30s", 90_000],
    ["1m30s", 90_000],
    ["5 seconds", 5_000],
    ["1 second", 1_000],
    ["2 minutes", 120_000],
    ["250 millis", 250],
    [" 5s ", 5_000]
  ])("may be written %s", (text, expected) => assert.strictEqual(millis(text), expected))

  it.each(["", "5", "s", "abc", "5x", "-5s", "0s", "0.5ms", "21d", "5s abc", "Infinity", "1e3s", 5, null, {}])(
    "may not be written %j",
    (input) => assert.strictEqual(millis(input), undefined)
  )

  it("can be read again as it is written", () => {
    fc.assert(fc.property(fc.oneof(fc.integer({ min: 1, max: 1_728_000_000 }), fc.constant(1.5)), (n) => {
      const text = Schema.encodeSync(PositiveDuration)(Duration.millis(n))
      assert.strictEqual(millis(text), n, text)
    }))
  })
})

describe("the age of a cookie", () => {
  it("may be as long as browsers keep one, which no other duration may", () => {
    for (const text of ["1h", "30d", "365 days", "400d"]) assert.isDefined(read(CookieAge)(text), text)
    assert.isUndefined(read(CookieAge)("401d"))
  })
})

describe("a factor", () => {
  it.each([["1", 1], [1.5, 1.5], ["0.1", 0.1], [10, 10]])(
    "may be written %j",
    (input, expected) => assert.strictEqual(read(Factor)(input), expected)
  )

  it.each(["", "0", "-1", "11", 0.05, "1e1", ".5", null])(
    "may not be written %j",
    (input) => assert.strictEqual(read(Factor)(input), undefined)
  )
})

describe("a share", () => {
  it.each([["50%", 0.5], ["0%", 0], ["100 %", 1], ["0.5%", 0.005]])(
    "may be written %s",
    (text, expected) => assert.strictEqual(read(Percent)(text), expected)
  )

  it.each(["", "50", "%", "101%", "-1%", "1e1%", 0.5, null])(
    "may not be written %j",
    (input) => assert.strictEqual(read(Percent)(input), undefined)
  )
})

describe("a network", () => {
  it.each([
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["127.0.0.1", "127.0.0.1/32"],
    ["fd00::/8", "fd00::/8"],
    ["::1", "::1/128"]
  ])("may be written %s", (text, expected) => {
    const network = read(Network)(text)
    assert.strictEqual(network === undefined ? undefined : IpNetwork.format(network), expected)
  })

  it.each(["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0", "::1/129", "localhost", 10])(
    "may not be written %j",
    (input) => assert.strictEqual(read(Network)(input), undefined)
  )
})

describe("a number of bytes", () => {
  it.each([
    [1, 1],
    ["16384", 16_384],
    ["16KiB", 16_384],
    ["16k", 16_384],
    ["8 KB", 8_192],
    ["1MiB", 1_048_576],
    ["2g", 2_147_483_648],
    ["5b", 5]
  ])("may be written as %j", (input, bytes) => {
    assert.strictEqual(read(Bytes)(input), bytes)
  })

  it.each([0, -1, 1.5, "0", "-1", "1.5k", "", "k", "16x", "1kk", "1e3", null, Infinity])("may not be %j", (input) => {
    assert.strictEqual(read(Bytes)(input), undefined)
  })
})

describe("a balance factor", () => {
  it.each([[125, 1.25], ["125", 1.25], ["150%", 1.5], ["101 %", 1.01], [10_000, 100]])(
    "may be written as %j",
    (input, factor) => {
      assert.strictEqual(read(BalanceFactor)(input), factor)
      assert.strictEqual(read(BalanceFactor)(Schema.encodeSync(BalanceFactor)(factor)), factor)
    }
  )

  it.each([0, 100, "100", "1.25", 1.25, -125, 10_001, "", "%", "x", null, Infinity])("may not be %j", (input) => {
    assert.strictEqual(read(BalanceFactor)(input), undefined)
  })
})

describe("a count and a path", () => {
  it("may be what they are", () => {
    assert.strictEqual(read(Count)(3), 3)
    assert.strictEqual(read(Count)("3"), 3)
    assert.strictEqual(read(UrlPath)("/healthz?full=1"), "/healthz?full=1")
  })

  it.each([0, -1, 1.5, "0", "-1", "1.5", "", "x", "1e3", null, true, Infinity])("may not be the count %j", (input) => {
    assert.strictEqual(read(Count)(input), undefined)
  })

  it.each(["", "healthz", "http://a/", "/a b", "/a#b", "/\u00e4", "/a\nb", 1])("may not be the path %j", (input) => {
    assert.strictEqual(read(UrlPath)(input), undefined)
  })
})

describe("a whole number", () => {
  it("may be 0", () => {
    assert.deepStrictEqual([0, "0", "12"].map(read(WholeNumber)), [0, 0, 12])
    assert.deepStrictEqual([-1, "-1", 1.5, "", "x", null].map(read(WholeNumber)), Array(6).fill(undefined))
  })
})

describe("the status of an error", () => {
  it("is from 400 to 599", () => {
    assert.deepStrictEqual([400, "503", 599].map(read(ErrorStatus)), [400, 503, 599])
    assert.deepStrictEqual([399, 600, "200", "5xx", 503.5].map(read(ErrorStatus)), Array(5).fill(undefined))
  })
})

describe("a method", () => {
  it("is in upper case", () => {
    assert.deepStrictEqual(["GET", "M-SEARCH"].map(read(Method)), ["GET", "M-SEARCH"])
    assert.deepStrictEqual(["get", "", "GET POST", "G\r\n", 1].map(read(Method)), Array(5).fill(undefined))
  })
})
