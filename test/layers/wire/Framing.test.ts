/** Where a body ends: one case for each rule of RFC 9112 §6. Each is read in all ways to cut its bytes. */
import { assert, describe, it } from "@effect/vitest"
import { omitsBody } from "../../../src/layers/wire/Framing.ts"
import { inAnyPieces, lines, readRequests, readResponses } from "./Codec.ts"

const post = (...fields: ReadonlyArray<string>): string => lines("POST / HTTP/1.1", "Host: a", ...fields)
const next = lines("GET /next HTTP/1.1", "Host: a")
const chunks = "5\r\nhello\r\n0\r\n\r\n"

const requests = (text: string) => inAnyPieces(text, readRequests)
const responses = (text: string, method = "GET") => inAnyPieces(text, (pieces) => readResponses(method, pieces))

/** What is wrong, the field lines, and the status of the answer. */
type Refused = readonly [name: string, fields: ReadonlyArray<string>, status: number]

const refused: ReadonlyArray<Refused> = [
  ["both framings (RFC 9112 §6.3, 3)", ["Content-Length: 5", "Transfer-Encoding: chunked"], 400],
  ["both framings, the other way round (CVE-2026-2835)", ["transfer-encoding: chunked", "content-length: 5"], 400],
  ["both framings, and a length of 0", ["Content-Length: 0", "Transfer-Encoding: chunked"], 400],
  ["both framings, and an unknown coding", ["Content-Length: 5", "Transfer-Encoding: gzip"], 400],
  ["two different lengths (RFC 9112 §6.3, 5)", ["Content-Length: 5", "Content-Length: 6"], 400],
  ["two lengths that are the same (RFC 9112 §6.3, 5)", ["Content-Length: 5", "content-length: 5"], 400],
  ["a list of lengths (RFC 9112 §6.3, 5)", ["Content-Length: 5, 5"], 400],
  ["an empty length (RFC 9110 §8.6, CVE-2023-40225)", ["Content-Length:"], 400],
  ["a length with a sign (RFC 9110 §8.6)", ["Content-Length: +5"], 400],
  ["a negative length (RFC 9110 §8.6)", ["Content-Length: -5"], 400],
  ["a length in hexadecimal (RFC 9110 §8.6)", ["Content-Length: 0x5"], 400],
  ["a length with a fraction (RFC 9110 §8.6)", ["Content-Length: 5.0"], 400],
  ["a length with an exponent (RFC 9110 §8.6)", ["Content-Length: 5e0"], 400],
  ["a length with a space in it (RFC 9110 §8.6)", ["Content-Length: 5 0"], 400],
  ["a length with an underscore (RFC 9110 §8.6)", ["Content-Length: 5_0"], 400],
  ["a length with what comes behind its digits", ["Content-Length: 5:"], 400],
  ["a length in digits of another script", ["Content-Length: \xb2"], 400],
  ["a length after a no-break space", ["Content-Length: \xa05"], 400],
  ["a length that no number can hold (RFC 9110 §8.6)", ["Content-Length: 9007199254740993"], 400],
  ["a length that overflows 64 bits (RFC 9110 §8.6)", ["Content-Length: 18446744073709551621"], 400],
  ["no chunked at the end (RFC 9112 §6.3, 4)", ["Transfer-Encoding: gzip"], 400],
  ["chunked before something else (RFC 9112 §6.3, 4)", ["Transfer-Encoding: chunked, gzip"], 400],
  ["chunked before something else in another line", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], 400],
  ["chunked twice (RFC 9112 §6.1)", ["Transfer-Encoding: chunked, chunked"], 400],
  ["chunked in two lines (RFC 9112 §6.1)", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400],
  ["chunked with a parameter (RFC 9112 §7)", ["Transfer-Encoding: chunked;a=b"], 400],
  ["chunked after a no-break space (RFC 9110 §5.6.3)", ["Transfer-Encoding: \xa0chunked"], 400],
  ["chunked in quotation marks", ["Transfer-Encoding: \"chunked\""], 400],
  ["a coding that ends like chunked", ["Transfer-Encoding: xchunked"], 400],
  ["a coding that begins like chunked", ["Transfer-Encoding: chunkedx"], 400],
  ["no coding", ["Transfer-Encoding:"], 400],
  ["chunked and nothing after a comma", ["Transfer-Encoding: chunked,"], 400],
  ["an unknown coding before chunked (RFC 9112 §6.1)", ["Transfer-Encoding: gzip, chunked"], 501],
  ["an unknown coding in another line", ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], 501],
  ["identity, which is gone (RFC 9112 §7.4)", ["Transfer-Encoding: identity, chunked"], 501],
  ["nothing before a comma", ["Transfer-Encoding: , chunked"], 501]
]

describe("a message with", () => {
  it.each(refused)("%s is refused", (_name, fields, status) => {
    const request = requests(post(...fields) + chunks + next)
    assert.propertyVal(request.ending, "status", status)
    assert.deepStrictEqual(request.messages, [])
    const response = responses(lines("HTTP/1.1 200 OK", ...fields) + chunks)
    assert.propertyVal(response.ending, "status", status)
    assert.deepStrictEqual(response.messages, [])
  })

  it("Transfer-Encoding in HTTP/1.0 is refused (RFC 9112 §6.1)", () => {
    const request = requests(lines("POST / HTTP/1.0", "Transfer-Encoding: chunked") + chunks)
    assert.propertyVal(request.ending, "status", 400)
    const response = responses(lines("HTTP/1.0 200 OK", "Transfer-Encoding: chunked") + chunks)
    assert.propertyVal(response.ending, "status", 400)
  })
})

describe("the body of a request", () => {
  it.each<readonly [name: string, head: string, wire: string, body: string]>([
    ["without framing is empty (RFC 9112 §6.3, 7)", post(), "", ""],
    ["has its length (RFC 9112 §6.2)", post("Content-Length: 5"), "hello", "hello"],
    ["has a length with zeros before it (RFC 9110 §8.6)", post("Content-Length: 005"), "hello", "hello"],
    ["has a length between white space (RFC 9112 §5.1)", post("Content-Length: \t5 "), "hello", "hello"],
    ["has the length 0", post("Content-Length: 0"), "", ""],
    ["is that of a GET as well (RFC 9110 §9.3.1)", lines("GET / HTTP/1.1", "Host: a", "Content-Length: 2"), "hi", "hi"],
    ["is chunked (RFC 9112 §7.1)", post("Transfer-Encoding: chunked"), chunks, "hello"],
    ["is chunked in capitals (RFC 9112 §7)", post("TRANSFER-ENCODING: CHUNKED"), chunks, "hello"],
    ["is chunked, and looks like a request", post("Content-Length: 5"), "GET /", "GET /"]
  ])("%s, and what follows is the next request", (_name, head, wire, body) => {
    const { ending, messages } = requests(head + wire + next)
    assert.strictEqual(ending, "clean")
    assert.deepStrictEqual(messages.map(({ body, head }) => [head.target, body]), [["/", body], ["/next", ""]])
  })

  it.each<readonly [name: string, wire: string]>([
    ["with a length", `${post("Content-Length: 5")}hell`],
    ["with a length, and nothing of it has come", post("Content-Length: 5")],
    ["in chunks, in the middle of one", `${post("Transfer-Encoding: chunked")}5\r\nhell`],
    ["in chunks, after one", `${post("Transfer-Encoding: chunked")}5\r\nhello\r\n`],
    ["in chunks, before the last line", `${post("Transfer-Encoding: chunked")}5\r\nhello\r\n0\r\n`],
    ["in chunks, in the trailers", `${post("Transfer-Encoding: chunked")}0\r\nX-A: 1\r\n`]
  ])("%s that ends early is not complete (RFC 9112 §8)", (_name, wire) => {
    const { ending, messages } = requests(wire)
    assert.strictEqual(ending, "incomplete")
    assert.deepStrictEqual(messages.map(({ isComplete }) => isComplete), [false])
  })
})

describe("the body of a response", () => {
  const answer = (...fields: ReadonlyArray<string>): string => lines("HTTP/1.1 200 OK", ...fields)

  it.each<readonly [name: string, wire: string, body: string]>([
    ["has its length (RFC 9112 §6.2)", `${answer("Content-Length: 5")}hello`, "hello"],
    ["has the length 0", answer("Content-Length: 0"), ""],
    ["is chunked (RFC 9112 §7.1)", answer("Transfer-Encoding: chunked") + chunks, "hello"],
    ["goes on to the end of the connection (RFC 9112 §6.3, 8)", `${answer()}hello\r\n\r\n`, "hello\r\n\r\n"],
    ["is empty until the end of the connection", answer(), ""]
  ])("%s", (_name, wire, body) => {
    const { ending, messages } = responses(wire)
    assert.strictEqual(ending, "clean")
    assert.deepStrictEqual(messages.map(({ body, isComplete }) => [body, isComplete]), [[body, true]])
  })

  it.each<readonly [name: string, method: string, status: number]>([
    ["HEAD (RFC 9112 §6.3, 1)", "HEAD", 200],
    ["204 (RFC 9112 §6.3, 1)", "GET", 204],
    ["304 (RFC 9112 §6.3, 1)", "GET", 304],
    ["103 (RFC 9112 §6.3, 1)", "GET", 103],
    ["101 (RFC 9112 §6.3, 1)", "GET", 101],
    ["CONNECT (RFC 9112 §6.3, 2)", "CONNECT", 200]
  ])("to %s is empty whatever the fields say, and what follows is not its", (_name, method, status) => {
    assert.isTrue(omitsBody(method, status))
    for (const field of ["Content-Length: 5", "Transfer-Encoding: chunked", "X-A: 1"]) {
      const { messages } = responses(lines(`HTTP/1.1 ${status} x`, field) + lines("HTTP/1.1 418 x"), method)
      assert.deepStrictEqual(messages.map(({ body, head }) => [head.status, body]), [[status, ""], [418, ""]])
    }
  })

  it("to a CONNECT that failed is there (RFC 9112 §6.3, 2)", () => {
    assert.isFalse(omitsBody("CONNECT", 403))
  })

  it("that is never sent may not have two framings: who reads on may not know that (RFC 9112 §6.3)", () => {
    const { ending } = responses(lines("HTTP/1.1 304 x", "Content-Length: 5", "Transfer-Encoding: chunked"))
    assert.propertyVal(ending, "status", 400)
  })

  it.each<readonly [name: string, wire: string]>([
    ["with a length", `${answer("Content-Length: 5")}hell`],
    ["in chunks", `${answer("Transfer-Encoding: chunked")}5\r\nhello\r\n`],
    ["in its head", "HTTP/1.1 200 OK\r\n"]
  ])("%s that ends early is not complete (RFC 9112 §8)", (_name, wire) => {
    assert.strictEqual(responses(wire).ending, "incomplete")
  })
})
