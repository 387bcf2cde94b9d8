/**
 * Chunks, extensions and trailers: one case for each rule of RFC 9112 §7. Each is read in all ways to cut its bytes.
 */
import { assert, describe, it } from "@effect/vitest"
import { chunkEnd, chunkHead, lastChunk } from "../../../src/layers/wire/Chunks.ts"
import { decoderFor } from "../../../src/layers/wire/Decoders.ts"
import { Malformed } from "../../../src/layers/wire/Grammar.ts"
import type { FieldLines } from "../../../src/services/Fields.ts"
import { inAnyPieces, latin1, lines, readRequests } from "./Codec.ts"

const head = lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")
const next = lines("GET /next HTTP/1.1", "Host: a")
const end = "0\r\n\r\n"

const chunked = (wire: string) => inAnyPieces(head + wire, readRequests)

/** The pieces of a body in this chunk, and what the decoder says about it. */
const decode = (wire: string): { readonly pieces: ReadonlyArray<string>; readonly result: number | Malformed } => {
  const pieces: Array<string> = []
  const result = decoderFor({ _tag: "Chunked" })!.decode(
    latin1(wire),
    0,
    (piece) => pieces.push(piece.toString("latin1"))
  )
  return { pieces, result }
}

describe("a chunked body with", () => {
  it.each<readonly [name: string, wire: string, body: string]>([
    ["no chunks (RFC 9112 §7.1)", end, ""],
    ["several chunks (RFC 9112 §7.1)", `5\r\nhello\r\n7\r\n, world\r\n${end}`, "hello, world"],
    [
      "sizes in hexadecimal (RFC 9112 §7.1)",
      `a\r\n0123456789\r\nF\r\n0123456789abcde\r\n${end}`,
      "01234567890123456789abcde"
    ],
    ["zeros before a size (RFC 9112 §7.1)", "0005\r\nhello\r\n000\r\n\r\n", "hello"],
    ["a size of twelve digits", `000000000005\r\nhello\r\n${end}`, "hello"],
    ["data that looks like framing", `7\r\n\r\n0\r\n\r\n\r\n${end}`, "\r\n0\r\n\r\n"],
    ["bytes of all kinds", `4\r\n\0\xff\r\n\r\n${end}`, "\0\xff\r\n"],
    ["an extension (RFC 9112 §7.1.1)", `5;a\r\nhello\r\n${end}`, "hello"],
    ["extensions with values (RFC 9112 §7.1.1)", `5;a=b;c="d\\"e;\t \xff";f\r\nhello\r\n0;g\r\n\r\n`, "hello"]
  ])("%s is decoded, and what follows is the next request", (_name, wire, body) => {
    const { ending, messages } = chunked(wire + next)
    assert.strictEqual(ending, "clean")
    assert.deepStrictEqual(messages.map(({ body, head }) => [head.target, body]), [["/", body], ["/next", ""]])
  })

  it.each<readonly [name: string, wire: string, status: number, body: string]>([
    ["a size that is no number (RFC 9112 §7.1)", "xyz\r\n", 400, ""],
    ["a size with what comes behind its digits", "5g\r\nhello\r\n", 400, ""],
    ["a size with what comes before its letters", "5@\r\nhello\r\n", 400, ""],
    ["a size with what comes between its digits and its letters", "5:\r\nhello\r\n", 400, ""],
    ["no size (RFC 9112 §7.1)", "\r\nhello\r\n", 400, ""],
    ["an extension without a size", ";a\r\nhello\r\n", 400, ""],
    ["a size with a sign", "+5\r\nhello\r\n", 400, ""],
    ["a negative size", "-5\r\nhello\r\n", 400, ""],
    ["a size with a prefix", "0x5\r\nhello\r\n", 400, ""],
    ["a size with an underscore", "1_0\r\nhello\r\n", 400, ""],
    ["a space before a size", " 5\r\nhello\r\n", 400, ""],
    ["a space after a size (RFC 9112 §7.1.1)", "5 \r\nhello\r\n", 400, ""],
    ["a space before an extension (RFC 9112 §7.1.1)", "5 ;a\r\nhello\r\n", 400, ""],
    ["a size that overflows 64 bits (RFC 9112 §7.1)", "10000000000000005\r\nhello\r\n", 400, ""],
    ["a size that no number can hold (RFC 9112 §7.1)", "20000000000001\r\nhello\r\n", 400, ""],
    ["a size of thirteen digits", "0000000000005\r\nhello\r\n", 400, ""],
    ["zeros without an end", "0".repeat(1_000), 400, ""],
    ["a size line that ends with LF alone (RFC 9112 §7.1)", "5\nhello\r\n", 400, ""],
    ["a size line that ends with CR alone", "5\rhello\r\n", 400, ""],
    ["an extension that ends with LF alone (CVE-2025-22871, CVE-2025-55315)", "5;a\nhello\r\n", 400, ""],
    ["a bare CR in an extension", "5;a\rb\r\nhello\r\n", 400, ""],
    ["a bare CR in a quoted extension", "5;a=\"\r\"\r\nhello\r\n", 400, ""],
    ["a NUL in an extension (RFC 9112 §7.1.1)", "5;a\0\r\nhello\r\n", 400, ""],
    ["an extension without a name (RFC 9112 §7.1.1)", "5;\r\nhello\r\n", 400, ""],
    ["an extension without a value (RFC 9112 §7.1.1)", "5;a=\r\nhello\r\n", 400, ""],
    ["an extension with an open quotation (RFC 9112 §7.1.1)", "5;a=\"b\r\nhello\r\n", 400, ""],
    ["something after a quotation (RFC 9112 §7.1.1)", "5;a=\"b\"c\r\nhello\r\n", 400, ""],
    ["data that is longer than its size (RFC 9112 §7.1)", "4\r\nhello\r\n", 400, "hell"],
    ["data that is shorter than its size (RFC 9112 §7.1)", `6\r\nhello\r\n${end}`, 400, "hello\r"],
    ["data without a line end (RFC 9112 §7.1)", `5\r\nhello${end}`, 400, "hello"],
    ["data that ends with LF alone (RFC 9112 §7.1)", `5\r\nhello\n${end}`, 400, "hello"],
    ["data that ends with another byte and LF", `5\r\nhello!\n${end}`, 400, "hello"],
    ["data that ends with CR and another byte", `5\r\nhello\r!${end}`, 400, "hello"],
    ["data that ends with CR, another byte and LF", `5\r\nhello\r!\n${end}`, 400, "hello"],
    ["data that ends with CR alone", `5\r\nhello\r${end}`, 400, "hello"],
    ["a second chunk that is bad", "5\r\nhello\r\n2\r\nab\r\nx\r\n", 400, "helloab"],
    ["a last chunk that ends with LF alone", "0\r\n\n", 400, ""],
    ["a last chunk that ends with CR alone", "0\r\n\r0", 400, ""],
    ["a last line that ends with LF alone (RFC 9112 §7.1.2)", "0\r\nX-A: 1\r\n\n", 400, ""],
    ["a trailer that ends with LF alone (RFC 9112 §7.1.2)", "0\r\nX-A: 1\nX-B: 2\r\n\r\n", 400, ""],
    ["a trailer with a space before the colon (RFC 9112 §5.1)", "0\r\nX-A : 1\r\n\r\n", 400, ""],
    ["a folded trailer (RFC 9112 §5.2)", "0\r\nX-A: 1\r\n 2\r\n\r\n", 400, ""],
    ["a trailer that begins with a space", "0\r\n X-A: 1\r\n\r\n", 400, ""],
    ["a trailer without a colon", "0\r\nX-A\r\n\r\n", 400, ""],
    ["a request instead of trailers", `0\r\n${next}`, 400, ""],
    ["a length as a trailer (RFC 9110 §6.5.1)", "0\r\nContent-Length: 5\r\n\r\n", 400, ""],
    ["a coding as a trailer (RFC 9110 §6.5.1)", "0\r\ntransfer-encoding: chunked\r\n\r\n", 400, ""],
    ["a Host as a trailer (RFC 9110 §6.5.1)", "0\r\nHOST: b\r\n\r\n", 400, ""]
  ])("%s is refused", (_name, wire, status, body) => {
    const { ending, messages } = chunked(wire)
    assert.propertyVal(ending, "status", status)
    // What came before is not taken back, but it is not taken for the whole either.
    assert.deepStrictEqual(messages.map(({ body, isComplete }) => [body, isComplete]), [[body, false]])
  })
})

describe("trailers (RFC 9112 §7.1.2)", () => {
  it("keep their order, case, repetition and bytes", () => {
    const { messages } = chunked(`0\r\nx-B: 1\r\nX-b:\t\xe4 \r\n__proto__:\r\n\r\n${next}`)
    assert.deepStrictEqual(messages.map(({ trailers }) => trailers), [["x-B", "1", "X-b", "\xe4", "__proto__", ""], []])
  })

  it("are refused when there are too many, or too long", () => {
    const many = (count: number): string => `0\r\n${"X: 1\r\n".repeat(count)}\r\n`
    const long = (bytes: number): string => `0\r\nX: ${"x".repeat(bytes - 7)}\r\n\r\n`
    const endings = [many(50), many(51), long(8 * 1024), long(8 * 1024 + 1), `0\r\n${"X: 1\r\n".repeat(100_000)}`]
      .map((wire) => readRequests([head + wire]).ending)
      .map((ending) => (typeof ending === "string" ? ending : ending.status))
    assert.deepStrictEqual(endings, ["clean", 431, "clean", 431, 431])
  })
})

describe("extensions", () => {
  const extension = (bytes: number): string => `;${"a".repeat(bytes - 1)}`
  const chunk = (size: number, extension: string): string =>
    `${size.toString(16)}${extension}\r\n${"x".repeat(size)}\r\n`
  const ending = (wire: string) => {
    const { ending } = readRequests([head + wire + end])
    return typeof ending === "string" ? ending : ending.status
  }

  it("are refused when one is too long (CVE-2024-22019)", () => {
    assert.strictEqual(ending(chunk(1, extension(256))), "clean")
    assert.strictEqual(ending(chunk(1, extension(257))), 413)
    assert.strictEqual(ending(`1${extension(1_000_000)}`), 413)
  })

  it("are refused when they are more than what they extend (CVE-2024-22019)", () => {
    assert.strictEqual(ending(chunk(1, extension(200)).repeat(80)), "clean")
    assert.strictEqual(ending(chunk(1, extension(200)).repeat(90)), 413)
    assert.strictEqual(ending(chunk(80, extension(200)).repeat(500)), 413)
  })

  it("are not allowed for by a large chunk that came long before", () => {
    assert.strictEqual(ending(chunk(100_000, ";a") + chunk(1, extension(200)).repeat(90)), 413)
  })

  it("may be there in every chunk of a long body, twice as long as its data", () => {
    assert.strictEqual(ending(chunk(100, extension(200)).repeat(500)), "clean")
    assert.strictEqual(ending(chunk(1_000, extension(100)).repeat(1_000)), "clean")
  })
})

describe("a body of a known length", () => {
  it("is cut out of what comes with it, and is over with its last byte", () => {
    const decoder = decoderFor({ _tag: "Length", length: 5 })!
    const pieces: Array<string> = []
    const decode = (wire: string, from: number) =>
      decoder.decode(latin1(wire), from, (piece) => pieces.push(piece.toString("latin1")))
    assert.deepStrictEqual([decode("xxhel", 2), decoder.isDone, decoder.remaining, decoder.end()], [5, false, 2, false])
    assert.deepStrictEqual([decode("loGET", 0), decoder.isDone, decoder.remaining, decoder.end()], [2, true, 0, true])
    assert.deepStrictEqual(pieces, ["hel", "lo"])
  })
})

describe("the decoder", () => {
  it("hands on tiny chunks in one piece", () => {
    const { pieces, result } = decode(`${"1\r\nx\r\n".repeat(10_000)}${end}`)
    assert.deepStrictEqual(pieces, ["x".repeat(10_000)])
    assert.strictEqual(result, 60_005)
  })

  it("hands on what is large as it is, and the bytes stay in order", () => {
    const large = "y".repeat(10_000)
    const wire = `1\r\na\r\n1\r\nb\r\n2710\r\n${large}\r\n1\r\nc\r\n1\r\nd\r\n2710\r\n${large}\r\n`
    assert.deepStrictEqual(decode(wire).pieces, ["ab", `${large}cd`, large])
  })

  it("hands on what came before an error", () => {
    const { pieces, result } = decode("1\r\na\r\n1\r\nb\r\nx")
    assert.deepStrictEqual(pieces, ["ab"])
    assert.instanceOf(result, Malformed)
  })

  it("refuses a bare LF in an extension at once, and does not wait for its end", () => {
    assert.instanceOf(decode("5;a\n").result, Malformed)
  })

  it("hands on a body that comes alone without a copy", () => {
    const chunk = latin1("hello")
    const seen: Array<Buffer> = []
    for (const framing of [{ _tag: "Length", length: 5 } as const, { _tag: "Close" } as const]) {
      decoderFor(framing)?.decode(chunk, 0, (piece) => seen.push(piece))
    }
    assert.isTrue(seen.length === 2 && seen.every((piece) => piece === chunk))
  })

  it("is none where there is no body", () => {
    assert.isUndefined(decoderFor({ _tag: "None" }))
  })

  it("holds nothing of an endless body of tiny chunks", () => {
    const decoder = decoderFor({ _tag: "Chunked" })!
    const wire = latin1("1\r\nx\r\n".repeat(10_000))
    let bytes = 0
    for (let i = 0; i < 200; i++) {
      assert.strictEqual(decoder.decode(Buffer.from(wire), 0, (piece) => (bytes += piece.length)), wire.length)
    }
    assert.strictEqual(bytes, 2_000_000)
    assert.isBelow(JSON.stringify(decoder).length, 300)
  })
})

describe("what is written in chunks", () => {
  it("is read as the same, trailers included", () => {
    const trailers: FieldLines = ["X-A", "\xe4", "x-a", ""]
    const parts = ["a", "b".repeat(4_096), "\r\n"]
    const wire = parts.map((part) => chunkHead(part.length) + part + chunkEnd).join("") + lastChunk(trailers)
    assert.isTrue(wire.startsWith("1\r\na\r\n1000\r\nbbb"))
    assert.isTrue(wire.endsWith("\r\n\r\n0\r\nX-A: \xe4\r\nx-a: \r\n\r\n"))
    const { ending, messages } = readRequests([head + wire])
    assert.strictEqual(ending, "clean")
    assert.deepStrictEqual(messages.map(({ body, trailers }) => [body, trailers]), [[parts.join(""), trailers]])
  })

  it("ends without trailers as it usually does", () => {
    assert.strictEqual(lastChunk([]), end)
  })
})
