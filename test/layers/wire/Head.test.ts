/** Heads, one case for each rule of RFC 9112 and RFC 9110. Each is read in all ways to cut its bytes. */
import { assert, describe, it } from "@effect/vitest"
import * as Head from "../../../src/layers/wire/Head.ts"
import { inAnyPieces, lines, readRequests, readResponses } from "./Codec.ts"

const host = "Host: example.com"

const requests = (text: string, limits?: Head.Limits) => inAnyPieces(text, (pieces) => readRequests(pieces, limits))
const responses = (text: string, method = "GET") => inAnyPieces(text, (pieces) => readResponses(method, pieces))

/** What is wrong, the bytes, and the status of the answer. */
type Refused = readonly [name: string, bytes: string, status: number]

const startLines: ReadonlyArray<Refused> = [
  ["no method (RFC 9112 §3.1)", lines(" / HTTP/1.1", host), 400],
  ["a method with a character that tokens do not have (RFC 9112 §3.1)", lines("G(T / HTTP/1.1", host), 400],
  ["a method with a colon, as if it were a field", lines("Host: example.com", "GET / HTTP/1.1"), 400],
  ["a method and nothing else", lines("GET", host), 400],
  ["two spaces after the method (RFC 9112 §3)", lines("GET  / HTTP/1.1", host), 400],
  ["two spaces after the target (RFC 9112 §3)", lines("GET /  HTTP/1.1", host), 400],
  ["a space after the version (RFC 9112 §3)", lines("GET / HTTP/1.1 ", host), 400],
  ["tabs instead of spaces (RFC 9112 §3)", lines("GET\t/\tHTTP/1.1", host), 400],
  ["a tab in the target", lines("GET /\tx HTTP/1.1", host), 400],
  ["a space in the target (RFC 9112 §3.2)", lines("GET /a b HTTP/1.1", host), 400],
  ["a fragment in the target (RFC 9112 §3.2)", lines("GET /a#b HTTP/1.1", host), 400],
  ["obs-text in the target (RFC 3986 §2)", lines("GET /\xe4 HTTP/1.1", host), 400],
  ["a NUL in the target", lines("GET /\0 HTTP/1.1", host), 400],
  ["a DEL in the target", lines("GET /\x7f HTTP/1.1", host), 400],
  ["a relative path (RFC 9112 §3.2)", lines("GET a/b HTTP/1.1", host), 400],
  ["a URL of another scheme (RFC 9112 §3.2.2)", lines("GET ftp://example.com/ HTTP/1.1", host), 400],
  ["a URL without a host (RFC 9110 §4.2.1)", lines("GET http:///x HTTP/1.1", host), 400],
  ["a URL with nothing but a port (RFC 9110 §4.2.1)", lines("GET http://:80/x HTTP/1.1", host), 400],
  ["a URL with credentials (RFC 9110 §4.2.4)", lines("GET http://user@example.com/ HTTP/1.1", host), 400],
  ["a URL with a bad host", lines("GET http://a\\b/ HTTP/1.1", host), 400],
  ["* with another method than OPTIONS (RFC 9112 §3.2.4)", lines("GET * HTTP/1.1", host), 400],
  ["an authority with another method than CONNECT (RFC 9112 §3.2.3)", lines("GET a:80 HTTP/1.1", host), 400],
  ["CONNECT to a path (RFC 9112 §3.2.3)", lines("CONNECT / HTTP/1.1", host), 400],
  ["CONNECT without a port (RFC 9112 §3.2.3)", lines("CONNECT example.com HTTP/1.1", host), 400],
  ["CONNECT with an empty port (RFC 9112 §3.2.3)", lines("CONNECT example.com: HTTP/1.1", host), 400],
  ["CONNECT without a host (RFC 9112 §3.2.3)", lines("CONNECT :80 HTTP/1.1", host), 400],
  ["no version, as HTTP/0.9 has none (RFC 9112 Appendix C.1)", lines("GET /"), 400],
  ["no version, with fields", lines("GET /", host), 400],
  ["a version in small letters (RFC 9112 §2.3)", lines("GET / http/1.1", host), 400],
  ["a version of two digits (RFC 9112 §2.3)", lines("GET / HTTP/1.10", host), 400],
  ["a version without a minor one (RFC 9112 §2.3)", lines("GET / HTTP/1", host), 400],
  ["a version with a comma", lines("GET / HTTP/1,1", host), 400],
  ["a version that is no number", lines("GET / HTTP/x.y", host), 400],
  ["a version of another protocol", lines("GET / HTCPCP/1.0", host), 400],
  ["HTTP/0.9 by name (RFC 9110 §15.6.6)", lines("GET / HTTP/0.9", host), 505],
  ["HTTP/1.2 (RFC 9110 §15.6.6)", lines("GET / HTTP/1.2", host), 505],
  ["HTTP/2.0 (RFC 9110 §15.6.6)", lines("GET / HTTP/2.0", host), 505],
  ["the preface of HTTP/2 (RFC 9113 §3.4)", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ["a TLS greeting, before its end", "\x16\x03\x01\x02", 400],
  ["something else than an empty line before the request line", `G\n${lines("GET / HTTP/1.1", host)}`, 400],
  ["a space before the request line", ` ${lines("GET / HTTP/1.1", host)}`, 400]
]

const fieldLines: ReadonlyArray<Refused> = [
  ["white space before the colon (RFC 9112 §5.1)", lines("GET / HTTP/1.1", host, "X-A : 1"), 400],
  ["a tab before the colon (RFC 9112 §5.1)", lines("GET / HTTP/1.1", host, "X-A\t: 1"), 400],
  ["a folded line (RFC 9112 §5.2)", lines("GET / HTTP/1.1", host, "X-A: 1", " 2"), 400],
  ["a line folded with a tab (RFC 9112 §5.2)", lines("GET / HTTP/1.1", host, "X-A: 1", "\tX-B: 2"), 400],
  ["white space before the first field (RFC 9112 §2.2)", lines("GET / HTTP/1.1", ` ${host}`), 400],
  ["no colon (RFC 9112 §5)", lines("GET / HTTP/1.1", host, "X-A"), 400],
  ["no colon, but one in the next line", lines("GET / HTTP/1.1", "X-A", host), 400],
  ["no name (RFC 9112 §5)", lines("GET / HTTP/1.1", host, ": 1"), 400],
  ["a name with a space (RFC 9110 §5.1)", lines("GET / HTTP/1.1", host, "X A: 1"), 400],
  ["a name with a parenthesis (RFC 9110 §5.6.2)", lines("GET / HTTP/1.1", host, "X(A): 1"), 400],
  ["a name with obs-text (RFC 9110 §5.1)", lines("GET / HTTP/1.1", host, "X-\xc4: 1"), 400],
  ["a name with a NUL (RFC 9110 §5.1)", lines("GET / HTTP/1.1", host, "X\0A: 1"), 400],
  ["a NUL in a value (RFC 9110 §5.5)", lines("GET / HTTP/1.1", host, "X-A: a\0b"), 400],
  ["a control character in a value (RFC 9110 §5.5)", lines("GET / HTTP/1.1", host, "X-A: a\x0bb"), 400],
  ["a control character at the end of a value", lines("GET / HTTP/1.1", host, "X-A: a\x0b"), 400],
  ["a DEL in a value (RFC 9110 §5.5)", lines("GET / HTTP/1.1", host, "X-A: a\x7f"), 400],
  ["a bare CR in a value (RFC 9110 §5.5)", lines("GET / HTTP/1.1", host, "X-A: a\rb"), 400],
  ["a bare LF in a value (RFC 9112 §2.2)", lines("GET / HTTP/1.1", host, "X-A: a\nX-B: b"), 400],
  ["a bare CR in the request line (RFC 9112 §2.2)", lines("GET /\r HTTP/1.1", host), 400],
  ["a bare LF in the request line", lines("GET /\n HTTP/1.1", host), 400],
  ["CR CR LF (RFC 9112 §2.2)", lines("GET / HTTP/1.1", `${host}\r`), 400],
  ["lines that end with LF alone (RFC 9112 §2.2)", "GET / HTTP/1.1\nHost: example.com\n\n", 400],
  ["lines that end with CR alone (RFC 9112 §2.2)", "GET / HTTP/1.1\rHost: example.com\r\r", 400],
  ["one line that ends with LF alone", `GET / HTTP/1.1\r\n${host}\nX-A: 1\r\n\r\n`, 400],
  ["an empty line that is LF alone", `GET / HTTP/1.1\r\n${host}\r\n\n`, 400],
  ["a bare LF in a head that is refused for its version too", lines("GET / HTTP/2.0", "X-A: a\nb"), 400],
  ["no Host (RFC 9112 §3.2)", lines("GET / HTTP/1.1"), 400],
  ["two Hosts (RFC 9112 §3.2)", lines("GET / HTTP/1.1", host, "HOST: other.example"), 400],
  ["two Hosts that are the same (RFC 9112 §3.2)", lines("GET / HTTP/1.1", host, host), 400],
  ["two Hosts in HTTP/1.0", lines("GET / HTTP/1.0", host, host), 400],
  ["a Host with a path (RFC 9110 §7.2)", lines("GET / HTTP/1.1", "Host: example.com/x"), 400],
  ["a Host with credentials (RFC 9110 §7.2)", lines("GET / HTTP/1.1", "Host: user@example.com"), 400],
  ["a list of Hosts (RFC 9110 §7.2)", lines("GET / HTTP/1.1", "Host: a, b"), 400]
]

describe("a request with", () => {
  it.each([...startLines, ...fieldLines])("%s is refused", (_name, bytes, status) => {
    const { ending, messages } = requests(bytes)
    assert.propertyVal(ending, "status", status)
    assert.deepStrictEqual(messages, [])
  })

  it.each<readonly [name: string, bytes: string, ...start: readonly [method: string, target: string, version: 0 | 1]]>([
    ["a path with what servers like to repair", lines("GET //a/../b/%2F?? HTTP/1.1", host), "GET", "//a/../b/%2F??", 1],
    ["an empty query", lines("GET /? HTTP/1.1", host), "GET", "/?", 1],
    ["characters that should be escaped", lines("GET /\"<>\\^`{|} HTTP/1.1", host), "GET", "/\"<>\\^`{|}", 1],
    ["a URL (RFC 9112 §3.2.2)", lines("GET HTTPS://a:8443/x HTTP/1.1", host), "GET", "HTTPS://a:8443/x", 1],
    ["a URL without a path", lines("GET http://[::1]?x HTTP/1.1", host), "GET", "http://[::1]?x", 1],
    ["* (RFC 9112 §3.2.4)", lines("OPTIONS * HTTP/1.1", host), "OPTIONS", "*", 1],
    ["an authority (RFC 9112 §3.2.3)", lines("CONNECT [::1]:80 HTTP/1.1", host), "CONNECT", "[::1]:80", 1],
    ["a method of its own (RFC 9110 §9.1)", lines("!x~ / HTTP/1.1", host), "!x~", "/", 1],
    ["a method in small letters (RFC 9110 §9.1)", lines("get / HTTP/1.1", host), "get", "/", 1],
    ["HTTP/1.0, and no Host (RFC 9112 §3.2)", lines("GET / HTTP/1.0"), "GET", "/", 0],
    ["an empty Host (RFC 9112 §3.2)", lines("GET / HTTP/1.1", "Host:"), "GET", "/", 1],
    ["empty lines before it (RFC 9112 §2.2)", `\r\n\r\n${lines("GET / HTTP/1.1", host)}`, "GET", "/", 1]
  ])("%s is read as it is", (_name, bytes, method, target, version) => {
    const { ending, messages } = requests(bytes)
    assert.strictEqual(ending, "clean")
    assert.deepStrictEqual(messages.map(({ head }) => [head.method, head.target, head.version]), [[
      method,
      target,
      version
    ]])
  })

  it("fields of all kinds keeps their order, case, repetition and bytes (RFC 9110 §5.3, §5.5)", () => {
    const { messages } = requests(
      lines(
        "GET / HTTP/1.1",
        "x-B:no space",
        "HOST:\t example.com \t",
        "X-a: \xe4\xff\x80",
        "X-a:",
        "X-A: \t ",
        "__proto__: 1",
        "constructor: a\t b:c",
        "!#$%&'*+-.^_`|~09: \""
      )
    )
    const expected = [
      ["x-B", "no space"],
      ["HOST", "example.com"],
      ["X-a", "\xe4\xff\x80"],
      ["X-a", ""],
      ["X-A", ""],
      ["__proto__", "1"],
      ["constructor", "a\t b:c"],
      ["!#$%&'*+-.^_`|~09", "\""]
    ]
    assert.deepStrictEqual(messages[0]?.head.fields, expected.flat())
  })

  const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]$/
  // A colon in a name ends it.
  const name = /^[:!#$%&'*+.^_`|~0-9A-Za-z-]$/
  const value = /^[\t -~\x80-\xff]$/
  const target = /^[!-"$-~]$/
  it.each<readonly [name: string, allowed: RegExp, bytes: (character: string) => string]>([
    ["a method (RFC 9110 §5.6.2)", token, (character) => lines(`G${character}T / HTTP/1.1`, host)],
    ["a name (RFC 9110 §5.6.2)", name, (character) => lines("GET / HTTP/1.1", host, `X${character}A: 1`)],
    ["a value (RFC 9110 §5.5)", value, (character) => lines("GET / HTTP/1.1", host, `X-A: a${character}b`)],
    ["a target (RFC 9112 §3.2)", target, (character) => lines(`GET /a${character}b HTTP/1.1`, host)]
  ])("any byte in %s is read if it may stand there, and else refused", (_name, allowed, bytes) => {
    for (let code = 0; code < 256; code++) {
      const character = String.fromCharCode(code)
      const { ending } = readRequests([bytes(character)])
      assert.strictEqual(ending === "clean", allowed.test(character), `byte ${code}`)
    }
  })

  it("another one behind it leaves that alone", () => {
    const { ending, messages } = requests(lines("GET /1 HTTP/1.1", host) + lines("GET /2 HTTP/1.1", host) + "GET /3")
    assert.deepStrictEqual(messages.map(({ head }) => head.target), ["/1", "/2"])
    assert.strictEqual(ending, "incomplete")
  })
})

describe("a limit", () => {
  const limits: Head.Limits = { headBytes: 100, fields: 3, targetBytes: 20 }
  /** A head of so many bytes. */
  const ofBytes = (bytes: number): string => {
    const start = "GET / HTTP/1.1\r\nHost: a\r\nX: "
    return `${start}${"x".repeat(bytes - start.length - 4)}\r\n\r\n`
  }

  it.each<readonly [name: string, bytes: string, status: number | undefined]>([
    ["as many bytes as there may be", ofBytes(100), undefined],
    ["as many bytes as there may be, with more behind them", ofBytes(100) + ofBytes(100), undefined],
    ["one byte more (RFC 6585 §5)", ofBytes(101), 431],
    ["no end (RFC 6585 §5)", `GET / HTTP/1.1\r\nX: ${"x".repeat(1_000)}`, 431],
    ["empty lines that leave no room", "\r\n".repeat(10) + ofBytes(81), 431],
    ["empty lines that leave room", "\r\n".repeat(10) + ofBytes(80), undefined],
    ["nothing but empty lines (RFC 9112 §2.2)", "\r\n".repeat(100), 431],
    ["as many fields as there may be", lines("GET / HTTP/1.1", "Host: a", "X: 1", "X: 2"), undefined],
    ["one field more (RFC 6585 §5)", lines("GET / HTTP/1.1", "Host: a", "X: 1", "X: 2", "X: 3"), 431],
    ["a target as long as it may be", lines(`GET /${"x".repeat(19)} HTTP/1.1`, "Host: a"), undefined],
    [
      "no end, behind a target as long as may be (RFC 6585 §5)",
      `GET /${"x".repeat(19)} HTTP/1.1\r\nX: ${"x".repeat(500)}`,
      431
    ],
    ["a target of one byte more (RFC 9112 §3)", lines(`GET /${"x".repeat(20)} HTTP/1.1`, "Host: a"), 414],
    ["a target that is longer than a whole head (RFC 9112 §3)", lines(`GET /${"x".repeat(500)} HTTP/1.1`), 414],
    ["a target without an end (RFC 9112 §3)", `GET /${"x".repeat(500)}`, 414],
    ["a target without a version that is too long (RFC 9112 §3)", lines(`GET /${"x".repeat(50)}`), 414],
    ["a method without an end", "G".repeat(500), 431],
    ["a method that leaves no room for a target", lines(`${"G".repeat(150)} /${"x".repeat(500)} HTTP/1.1`), 431],
    ["a bare LF within what may be read of too much", `GET / HTTP/1.1\nX: ${"x".repeat(500)}`, 400],
    ["a bare LF behind that", `GET / HTTP/1.1\r\nX: ${"x".repeat(500)}\n`, 431]
  ])("on %s", (_name, bytes, status) => {
    const { ending } = requests(bytes, limits)
    if (status === undefined) assert.strictEqual(ending, "clean")
    else assert.propertyVal(ending, "status", status)
  })

  it("of 100 fields is kept for thousands of names that look like numbers (CVE-2026-21717)", () => {
    const names = Array.from({ length: 3_000 }, (_, i) => `${i}:`)
    const reading = readRequests([lines("GET / HTTP/1.1", ...names)], { ...Head.defaultLimits, headBytes: 1_000_000 })
    assert.propertyVal(reading.ending, "status", 431)
  })
})

describe("a response with", () => {
  it.each<Refused>([
    ["an empty line before it", `\r\n${lines("HTTP/1.1 200 OK")}`, 400],
    ["another protocol, before its end", "220 smtp.example.com\r\n", 400],
    ["HTTP/2.0", lines("HTTP/2.0 200 OK"), 505],
    ["a status of two digits (RFC 9112 §4)", lines("HTTP/1.1 20 OK"), 400],
    ["a status of four digits (RFC 9112 §4)", lines("HTTP/1.1 2000 OK"), 400],
    ["a status below 100 (RFC 9110 §15)", lines("HTTP/1.1 099 OK"), 400],
    ["a status that is no number (RFC 9112 §4)", lines("HTTP/1.1 2x0 OK"), 400],
    ["a status that begins with a letter", lines("HTTP/1.1 A00 OK"), 400],
    ["a status that ends with a letter", lines("HTTP/1.1 20A OK"), 400],
    ["a status with what comes before its digits", lines("HTTP/1.1 2/0 OK"), 400],
    ["no status (RFC 9112 §4)", lines("HTTP/1.1"), 400],
    ["a tab before the status (RFC 9112 §4)", lines("HTTP/1.1\t200 OK"), 400],
    ["another character in place of the space before the status", lines("HTTP/1.1x200 OK"), 400],
    ["two spaces before the status (RFC 9112 §4)", lines("HTTP/1.1  200 OK"), 400],
    ["a tab before the reason phrase (RFC 9112 §4)", lines("HTTP/1.1 200\tOK"), 400],
    ["a control character in the reason phrase (RFC 9112 §4)", lines("HTTP/1.1 200 O\x01K"), 400],
    ["a bare CR in the reason phrase", lines("HTTP/1.1 200 O\rK"), 400],
    ["white space before the colon (RFC 9112 §5.1)", lines("HTTP/1.1 200 OK", "X-A : 1"), 400],
    ["a folded line (RFC 9112 §5.2)", lines("HTTP/1.1 200 OK", "X-A: 1", " 2"), 400],
    ["lines that end with LF alone (RFC 9112 §2.2)", "HTTP/1.1 200 OK\nX-A: 1\n\n", 400]
  ])("%s is refused", (_name, bytes, status) => {
    const { ending, messages } = responses(bytes)
    assert.propertyVal(ending, "status", status)
    assert.deepStrictEqual(messages, [])
  })

  it.each<readonly [name: string, line: string, status: number, statusText: string, version: 0 | 1]>([
    ["a reason phrase (RFC 9112 §4)", "HTTP/1.1 404 Not Found", 404, "Not Found", 1],
    ["an odd reason phrase", "HTTP/1.1 200  \tO:K\xe4 ", 200, " \tO:K\xe4 ", 1],
    ["an empty reason phrase (RFC 9112 §4)", "HTTP/1.1 200 ", 200, "", 1],
    ["no reason phrase, and no space before it", "HTTP/1.1 200", 200, "", 1],
    ["an odd status (RFC 9110 §15)", "HTTP/1.1 999 x", 999, "x", 1],
    ["HTTP/1.0", "HTTP/1.0 200 OK", 200, "OK", 0]
  ])("%s is read as it is", (_name, line, status, statusText, version) => {
    const { messages } = responses(lines(line, "X-a: \xff"))
    assert.deepStrictEqual(messages[0]?.head, { status, statusText, version, fields: ["X-a", "\xff"] })
  })

  it("interim ones before it is read after them (RFC 9110 §15.2)", () => {
    const { messages } = responses(
      lines("HTTP/1.1 100 Continue") + lines("HTTP/1.1 103 Early Hints", "Link: x", "Content-Length: 9") +
        `${lines("HTTP/1.1 200 OK", "Content-Length: 2")}hi`
    )
    assert.deepStrictEqual(messages.map(({ body, head }) => [head.status, body]), [[100, ""], [103, ""], [200, "hi"]])
  })
})

describe("what is formatted", () => {
  const fields = ["X-a", "\xe4 b", "x-A", "", "__proto__", "1"]

  it("as a request is that text, and is read as the same", () => {
    const text = Head.formatRequest("GET", "/", ["Host", "a", ...fields])
    assert.strictEqual(text, "GET / HTTP/1.1\r\nHost: a\r\nX-a: \xe4 b\r\nx-A: \r\n__proto__: 1\r\n\r\n")
    assert.deepStrictEqual(requests(text).messages[0]?.head.fields, ["Host", "a", ...fields])
  })

  it("as a response is that text, and is read as the same", () => {
    const text = Head.formatResponse(204, "", fields)
    assert.strictEqual(text, "HTTP/1.1 204 \r\nX-a: \xe4 b\r\nx-A: \r\n__proto__: 1\r\n\r\n")
    assert.deepStrictEqual(responses(text).messages[0]?.head, { status: 204, statusText: "", version: 1, fields })
  })

  it.each<readonly [fields: ReadonlyArray<string>, isSendable: boolean]>([
    [fields, true],
    [[], true],
    [["X-A", "1\r\nX-B: 2"], false],
    [["X-A", "1\n"], false],
    [["X-A", "\u0a0d"], false],
    [["X-A", "\u4e2d"], false],
    [["X-A\r\n", "1"], false],
    [["X A", "1"], false],
    [["X-A", "1", " X-B", "2"], false],
    [["\u0141", "1"], false],
    [["", "1"], false]
  ])("from %j by a program can be sent: %s (RFC 9110 §5.5)", (fields, isSendable) => {
    assert.strictEqual(Head.areSendable(fields), isSendable)
  })
})
