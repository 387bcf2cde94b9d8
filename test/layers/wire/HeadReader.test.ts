/** What a reader holds between the pieces of a head. That the pieces make no difference is in the tests of heads. */
import { assert, describe, it } from "@effect/vitest"
import { Malformed } from "../../../src/layers/wire/Grammar.ts"
import { defaultLimits } from "../../../src/layers/wire/Head.ts"
import { HeadReader } from "../../../src/layers/wire/HeadReader.ts"
import { latin1, lines } from "./Codec.ts"

const get = lines("GET / HTTP/1.1", "Host: a")
const text = get.slice(0, -2)

describe("a reader", () => {
  it("puts a head together that is longer than most, from pieces of any size", () => {
    const long = lines("GET / HTTP/1.1", ...Array.from({ length: 90 }, (_, i) => `X-${i}: ${String(i).repeat(50)}`))
    for (const size of [1, 100, 1_000]) {
      const reader = new HeadReader("request", defaultLimits)
      let found: unknown
      for (let at = 0; at < long.length; at += size) found = reader.read(latin1(long.slice(at, at + size)), 0)
      assert.propertyVal(found, "text", long.slice(0, -2))
    }
  })

  it("says where in the last piece the head has ended", () => {
    const reader = new HeadReader("request", defaultLimits)
    assert.deepStrictEqual(reader.read(latin1(`xxx${get}body`), 3), { text, rest: 3 + get.length })
    assert.isUndefined(reader.read(latin1(get.slice(0, -1)), 0))
    assert.deepStrictEqual(reader.read(latin1("\nbody"), 0), { text, rest: 1 })
    assert.isUndefined(reader.read(latin1(get.slice(0, 10)), 0))
    assert.deepStrictEqual(reader.read(latin1(`xx${get.slice(10)}body`), 2), { text, rest: 2 + get.length - 10 })
  })

  it("knows whether a head has begun, which empty lines do not (RFC 9112 §2.2)", () => {
    const reader = new HeadReader("request", defaultLimits)
    const hasBegunAfter = (piece: string): boolean => {
      reader.read(latin1(piece), 0)
      return reader.hasBegun
    }
    assert.deepStrictEqual(
      ["", "\r\n", "\r\n\r\n", "\r", "\n", "G", get.slice(1, -1), "\n", `${get}\r\n`, `${get}G`].map(hasBegunAfter),
      [false, false, false, true, false, true, true, false, false, false]
    )
  })

  it("counts the empty lines before each head, and not those before earlier ones", () => {
    const reader = new HeadReader("request", { headBytes: get.length + 10, targetBytes: 10 })
    for (let i = 0; i < 20; i++) {
      assert.isUndefined(reader.read(latin1("\r\n"), 0))
      assert.deepStrictEqual(reader.read(latin1(get), 0), { text, rest: get.length })
    }
  })

  it("does not look at what came before the head", () => {
    const reader = new HeadReader("request", defaultLimits)
    assert.isUndefined(reader.read(latin1(`the end of a body\r${get.slice(0, 10)}`), 18))
    assert.deepStrictEqual(reader.read(latin1(get.slice(10)), 0), { text, rest: get.length - 10 })
  })

  it("keeps no more than it must of what came, and nothing of the buffer that it came in", () => {
    const reader = new HeadReader("request", defaultLimits)
    const buffer = latin1(get)
    reader.read(buffer.subarray(0, 10), 0)
    buffer.fill(0x78, 0, 10)
    assert.deepStrictEqual(reader.read(latin1(get.slice(10)), 0), { text, rest: get.length - 10 })
  })

  it("refuses what cannot be a head before its end: a bare line end, or another protocol", () => {
    const refuses = (kind: "request" | "response", piece: string): boolean =>
      new HeadReader(kind, defaultLimits).read(latin1(piece), 0) instanceof Malformed
    assert.isTrue(refuses("request", "GET / HTTP/1.1\n"))
    assert.isTrue(refuses("request", "GET / HTTP/1.1\rx"))
    assert.isTrue(refuses("request", "\x16\x03"))
    assert.isTrue(refuses("request", "\n"))
    assert.isTrue(refuses("request", "\rG"))
    assert.isTrue(refuses("response", "SSH-2.0"))
    assert.isTrue(refuses("response", "\r\n"))
    assert.isFalse(refuses("request", "GET / HTTP/1.1\r"))
    assert.isFalse(refuses("response", "H"))
  })

  it.each(["X-A: aaaaaaaaaaaa\r\n", "\r\n", "G"])("gives up an endless head of %j, however slowly it comes", (line) => {
    for (const pieces of [[line], Array.from(line)]) {
      const reader = new HeadReader("request", defaultLimits)
      let bytes = 0
      let result: unknown
      while (result === undefined && bytes < 100_000) {
        for (const piece of pieces) {
          bytes += piece.length
          result ??= reader.read(latin1(piece), 0)
        }
      }
      assert.instanceOf(result, Malformed)
      assert.isAtMost(bytes, defaultLimits.headBytes + line.length)
    }
  })
})
