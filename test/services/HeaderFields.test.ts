/** The rules for field lines, each with the clause or the advisory that it is from. */
import { assert, describe, it } from "@effect/vitest"
import type { FieldLines } from "../../src/services/Fields.ts"
import {
  type Client,
  clientProtocol,
  forwardedTrailers,
  isDecoded,
  type Refusal,
  type RequestFields,
  toBackend,
  toClient
} from "../../src/services/HeaderFields.ts"
import { originForm } from "../../src/services/Target.ts"

const stranger: Client = { address: "203.0.113.9", protocol: "http", trusted: false }
const ourProxy: Client = { address: "10.0.0.1", protocol: "http", trusted: true }

/** `a: b` lines as a flat list. The value is everything after the first colon and one space. */
const lines = (...texts: ReadonlyArray<string>): FieldLines =>
  texts.flatMap((text) => {
    const colon = text.indexOf(":")
    return [text.slice(0, colon), text.slice(colon + 1).replace(/^ /, "")]
  })

const text = (fields: FieldLines): ReadonlyArray<string> =>
  fields.flatMap((part, i) => (i % 2 === 0 ? [`${part}: ${fields[i + 1]}`] : []))

const accept = (
  fields: FieldLines,
  client: Client = stranger,
  { method = "GET", target = "/" }: { readonly method?: string; readonly target?: string } = {}
): RequestFields => {
  const result = toBackend(method, target, fields, client)
  assert(result._tag === "RequestFields", `refused: ${result._tag === "Refusal" && result.detail}`)
  return result
}

const refusal = (fields: FieldLines, method = "GET", target = "/"): Refusal => {
  const result = toBackend(method, target, fields, stranger)
  assert(result._tag === "Refusal", "was not refused")
  assert.notStrictEqual(result.detail, "")
  return result
}

/** What of the client's own lines is forwarded, without what we say about the client. */
const forwarded = (...texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  text(accept(lines("Host: example.com", ...texts)).fields).filter((line) => !line.startsWith("X-Forwarded-"))

/** What is sent about the client. */
const claims = (client: Client, ...texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  text(accept(lines("Host: example.com", ...texts), client).fields)

const ours = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http", "X-Forwarded-Host: example.com"]

describe("what is forwarded of a request", () => {
  it("is everything else, in order, case and repetition (RFC 9110 §5.3)", () => {
    const fields = [
      "aCCept: text/html",
      "Cookie: a=1",
      "X-Twice: one",
      "cookie: b=2",
      "X-Twice: two",
      "x-tWice: one",
      "Empty: ",
      "Latin: caf\u00e9",
      "Via: 1.1 other",
      "Authorization: Basic secret"
    ]
    assert.deepStrictEqual(forwarded(...fields), fields)
  })

  it("is not Host, which is said apart because it may depend on the backend", () => {
    const { fields, host } = accept(lines("Host: example.com:8080"))
    assert.strictEqual(host, "example.com:8080")
    assert.notInclude(fields.map((part) => part.toLowerCase()), "host")
  })

  it("includes names that mean something to JavaScript (Node CVE-2026-21710)", () => {
    const fields = [
      "__proto__: 1",
      "constructor: 2",
      "prototype: 3",
      "toString: 4",
      "hasOwnProperty: 5",
      "__PROTO__: 6"
    ]
    assert.deepStrictEqual(forwarded(...fields), fields)
  })

  it("includes thousands of fields, also numeric ones", () => {
    const fields = Array.from({ length: 5_000 }, (_, i) => `${i}: ${i}`)
    assert.deepStrictEqual(forwarded(...fields), fields)
  })
})

describe("what belongs to one connection", () => {
  it.each([
    ["Connection: keep-alive", "RFC 9110 §7.6.1"],
    ["Keep-Alive: timeout=5", "RFC 9110 §7.6.1"],
    ["Proxy-Connection: keep-alive", "RFC 9110 §7.6.1"],
    ["TE: trailers", "RFC 9110 §7.6.1, §10.1.4; an engine writes it anew"],
    ["Transfer-Encoding: chunked", "RFC 9112 §6.1"],
    ["Upgrade: h2c", "RFC 9110 §7.8; h2c smuggling"],
    ["HTTP2-Settings: AAMAAABkAAQAAP__", "RFC 9113 §3.1; h2c smuggling"],
    ["Proxy-Authorization: Basic secret", "RFC 9110 §11.7.2"],
    ["Expect: 100-continue", "RFC 9110 §10.1.1"],
    ["Proxy: http://evil.test", "httpoxy, CVE-2016-5385"]
  ])("drops %s (%s)", (field) => {
    const colon = field.indexOf(":")
    const name = field.slice(0, colon)
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      assert.deepStrictEqual(forwarded("A: 1", spelling + field.slice(colon), "B: 2"), ["A: 1", "B: 2"])
    }
  })

  // RFC 9110 §7.6.1: Connection is a list of names without case, and may be repeated.
  it.each([
    [["Connection: X-Hop"]],
    [["Connection: x-hop"]],
    [["Connection: X-HOP, close"]],
    [["Connection:   close  ,\tx-hop\t"]],
    [["Connection: close,X-Hop"]],
    [["Connection: ,,x-hop,"]],
    [["Connection: close", "CONNECTION: x-hop"]],
    [["connection: x-hop", "Connection: other"]]
  ])("drops what Connection names: %j", (connection) => {
    assert.deepStrictEqual(forwarded("X-Hop: 1", ...connection, "A: 1", "x-HOP: 2"), ["A: 1"])
    // Also when Connection comes last: it is read before anything is forwarded.
    assert.deepStrictEqual(forwarded("X-Hop: 1", "A: 1", "x-HOP: 2", ...connection), ["A: 1"])
  })

  it("does not drop what only looks like a name in Connection", () => {
    const fields = ["X-Hop-2: 1", "X-Ho: 2"]
    assert.deepStrictEqual(forwarded("Connection: x-hop", ...fields), fields)
    assert.deepStrictEqual(forwarded("Connection: x-hop x-hop-2", ...fields), fields)
  })

  it("cannot be used to strip the framing or the host", () => {
    const { fields, hasBody, host } = accept(
      lines("Host: example.com", "Connection: host, content-length, close", "Content-Length: 5"),
      stranger,
      { method: "POST" }
    )
    assert.strictEqual(host, "example.com")
    assert.isTrue(hasBody)
    assert.include(text(fields), "Content-Length: 5")
    const chunked = accept(lines("Host: a", "Connection: transfer-encoding", "Transfer-Encoding: chunked"))
    assert.isTrue(chunked.hasBody)
  })
})

describe("what is said about the client", () => {
  it("comes last", () => {
    assert.deepStrictEqual(claims(stranger, "Accept: */*"), ["Accept: */*", ...ours])
  })

  it("names the protocol and the plain address of the client", () => {
    assert.deepStrictEqual(claims({ ...stranger, address: "::ffff:203.0.113.9", protocol: "https" }), [
      "X-Forwarded-For: 203.0.113.9",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: example.com"
    ])
    assert.include(claims({ ...stranger, address: "2001:db8::1" }), "X-Forwarded-For: 2001:db8::1")
  })

  it("leaves out what is not known", () => {
    const { fields } = accept([], { ...stranger, address: undefined })
    assert.deepStrictEqual(text(fields), ["X-Forwarded-Proto: http"])
  })

  it.each([
    "X-Forwarded-For: 127.0.0.1",
    "x-forwarded-for: 127.0.0.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: admin.internal",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Server: a",
    "X-Forwarded-Prefix: /admin",
    "X-Forwarded-Client-Cert: a",
    "X-Forwarded-Whatever: a",
    "X-Real-IP: 127.0.0.1",
    "Forwarded: for=127.0.0.1;proto=https",
    "FORWARDED: for=127.0.0.1"
  ])("is not what a stranger claims: %s", (claim) => {
    assert.deepStrictEqual(claims(stranger, claim), ours)
    assert.deepStrictEqual(claims(stranger, claim, claim, "A: 1"), ["A: 1", ...ours])
  })

  // Traefik CVE-2026-39858, Caddy GHSA-f59h-q822-g45g: backends that turn - into _ read these as the fields above.
  it.each([
    "X_Forwarded_For: 127.0.0.1",
    "X_FORWARDED_FOR: 127.0.0.1",
    "X.Forwarded.For: 127.0.0.1",
    "X-Forwarded_For: 127.0.0.1",
    "X_Forwarded-For: 127.0.0.1",
    "X-Forwarded.For: 127.0.0.1",
    "x_forwarded_proto: https",
    "X_Forwarded_Host: admin.internal",
    "X_Real_IP: 127.0.0.1",
    "X.Real-IP: 127.0.0.1"
  ])("is never an alias, whoever sends it: %s", (alias) => {
    assert.deepStrictEqual(claims(stranger, alias), ours)
    assert.notInclude(claims(ourProxy, alias).join("\n"), alias)
  })

  it("leaves alone what merely resembles a claim", () => {
    const fields = ["X-Forward: 1", "XForwarded-For: 2", "X-Real-IPs: 3", "Forwarded-For: 4", "My-X-Forwarded-For: 5"]
    assert.deepStrictEqual(claims(stranger, ...fields), [...fields, ...ours])
  })

  // Apache CVE-2022-31813, Traefik CVE-2024-45410.
  it("cannot be stripped by naming it in Connection", () => {
    const names = "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, X-Real-IP"
    assert.deepStrictEqual(claims(stranger, `Connection: ${names}`, "X-Forwarded-For: 127.0.0.1"), ours)
    // A proxy of ours that passes its client's Connection on must not lose what it says itself.
    assert.deepStrictEqual(
      claims(
        ourProxy,
        `Connection: ${names}`,
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: https",
        "X-Real-IP: 203.0.113.9"
      ),
      [
        "X-Forwarded-Proto: https",
        "X-Real-IP: 203.0.113.9",
        "X-Forwarded-For: 203.0.113.9, 10.0.0.1",
        "X-Forwarded-Host: example.com"
      ]
    )
  })

  it("goes on from what a proxy of ours said: the address is appended, the rest is kept", () => {
    const kept = [
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: shop.example",
      "X-Forwarded-Port: 443",
      "X-Real-IP: 198.51.100.7",
      "Forwarded: for=198.51.100.7;proto=https"
    ]
    assert.deepStrictEqual(claims(ourProxy, "X-Forwarded-For: 198.51.100.7", ...kept), [
      ...kept,
      "X-Forwarded-For: 198.51.100.7, 10.0.0.1"
    ])
  })

  it("joins the lines of a chain of proxies in order (RFC 9110 §5.3)", () => {
    assert.deepStrictEqual(
      claims(ourProxy, "X-Forwarded-For: 1.1.1.1, 2.2.2.2", "A: 1", "x-forwarded-for: 3.3.3.3")[1],
      "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.1"
    )
  })

  it("is added by us where the proxy of ours said nothing", () => {
    assert.deepStrictEqual(claims(ourProxy), [
      "X-Forwarded-For: 10.0.0.1",
      "X-Forwarded-Proto: http",
      "X-Forwarded-Host: example.com"
    ])
  })
})

describe("the host", () => {
  it.each([
    "example.com",
    "example.com:8080",
    "EXAMPLE.com",
    "my_service.internal",
    "127.0.0.1:80",
    "[::1]",
    "[2001:db8::1]:8080",
    "xn--bcher-kva.example",
    "a%20b",
    ""
  ])("%j is valid (RFC 9110 §7.2, RFC 3986 §3.2.2)", (host) => {
    assert.strictEqual(accept(lines(`Host: ${host}`)).host, host)
  })

  // RFC 9112 §3.2: a Host field with an invalid value is answered with 400.
  it.each([
    "a b",
    "example.com/path",
    "example.com?a",
    "example.com#a",
    "user@example.com",
    "a, b",
    "a,b",
    "example.com:port",
    "example.com:80:80",
    "[::1",
    "::1",
    "a\\b",
    "a\tb",
    "http://example.com",
    "\u00e9xample.com",
    "<script>"
  ])("%j is refused", (host) => {
    assert.strictEqual(refusal(lines(`Host: ${host}`)).reason, "bad_request")
  })

  it("is refused when there are several, whatever they say (RFC 9112 §3.2)", () => {
    assert.strictEqual(refusal(lines("Host: a", "Host: b")).reason, "bad_request")
    assert.strictEqual(refusal(lines("Host: a", "host: a")).reason, "bad_request")
    assert.strictEqual(refusal(lines("Host: ", "Host: a")).reason, "bad_request")
  })

  it("is the one of an absolute target, which outranks the field (RFC 9112 §3.2.2)", () => {
    for (const target of ["http://right.test/a", "HTTP://right.test/a", "https://right.test", "http://right.test?a"]) {
      const { fields, host } = accept(lines("Host: wrong.test"), stranger, { target })
      assert.strictEqual(host, "right.test")
      assert.include(text(fields), "X-Forwarded-Host: right.test")
    }
    assert.strictEqual(accept([], stranger, { target: "http://right.test:81/" }).host, "right.test:81")
  })
})

describe("the target", () => {
  it.each([
    "/",
    "/a",
    "//evil.test/x",
    "///",
    "/a//b/../c",
    "/%2e%2e/",
    "/@evil.test",
    "/a@b:80",
    "/:80",
    "/\\evil.test",
    "/?a",
    "/a?b=http://c/"
  ])("%s is a path, and the host stays the client's", (target) => {
    const { host } = accept(lines("Host: example.com"), stranger, { target })
    assert.strictEqual(host, "example.com")
    assert.strictEqual(originForm("GET", target), target)
  })

  it.each<readonly [string, string, string, Refusal["reason"]]>([
    ["GET", "/a#b", "HAProxy CVE-2023-45539", "bad_request"],
    ["GET", "/#", "HAProxy CVE-2023-45539", "bad_request"],
    ["GET", "http://a/#b", "HAProxy CVE-2023-45539", "bad_request"],
    ["GET", "", "RFC 9112 §3.2", "bad_request"],
    ["GET", "a", "RFC 9112 §3.2", "bad_request"],
    ["GET", "?a", "RFC 9112 §3.2", "bad_request"],
    ["GET", "@evil.test/", "RFC 9112 §3.2", "bad_request"],
    ["GET", "\\\\evil.test", "RFC 9112 §3.2", "bad_request"],
    ["GET", "ftp://a/", "RFC 9112 §3.2.2", "bad_request"],
    ["GET", "http:/a", "RFC 9112 §3.2.2", "bad_request"],
    ["GET", "http:a", "RFC 9112 §3.2.2", "bad_request"],
    ["GET", "http://", "RFC 9110 §4.2.1", "bad_request"],
    ["GET", "http:///a", "RFC 9110 §4.2.1", "bad_request"],
    ["GET", "http://:80/a", "RFC 9110 §4.2.1", "bad_request"],
    ["GET", "http://user@a/", "RFC 9110 §4.2.4", "bad_request"],
    ["GET", "http://user:secret@a/", "RFC 9110 §4.2.4", "bad_request"],
    ["GET", "http://a\\@evil.test/", "RFC 3986 §3.2.2", "bad_request"],
    ["GET", "http://a,b/", "RFC 3986 §3.2.2", "bad_request"],
    ["GET", "*", "RFC 9112 §3.2.4", "bad_request"],
    ["CONNECT", "example.com:443", "RFC 9110 §9.3.6", "not_implemented"]
  ])("%s %s is refused (%s)", (method, target, _, reason) => {
    assert.strictEqual(refusal(lines("Host: example.com"), method, target).reason, reason)
  })

  it.each([
    ["GET", "http://example.com/a?b", "/a?b"],
    ["GET", "http://example.com", "/"],
    ["GET", "HTTPS://example.com?b", "/?b"],
    ["GET", "http://example.com//a/../b%2F", "//a/../b%2F"],
    ["OPTIONS", "*", "*"],
    ["OPTIONS", "http://example.com", "*"],
    ["OPTIONS", "http://example.com/", "/"],
    ["OPTIONS", "http://example.com?b", "/?b"]
  ])("%s %s goes to an origin server as %s (RFC 9112 §3.2.1, §3.2.4)", (method, target, path) => {
    assert.strictEqual(originForm(method, target), path)
  })
})

describe("the framing of a request", () => {
  const hasBody = (...texts: ReadonlyArray<string>) =>
    accept(lines("Host: a", ...texts), stranger, { method: "POST" }).hasBody

  it("is decided by its fields and never by its method (RFC 9112 §6)", () => {
    for (const method of ["GET", "HEAD", "POST", "DELETE", "QUERY"]) {
      assert.isTrue(accept(lines("Content-Length: 1"), stranger, { method }).hasBody)
      assert.isTrue(accept(lines("Transfer-Encoding: chunked"), stranger, { method }).hasBody)
      assert.isFalse(accept([], stranger, { method }).hasBody)
      assert.isFalse(accept(lines("Content-Length: 0"), stranger, { method }).hasBody)
    }
  })

  it("keeps Content-Length as it was, also 0", () => {
    assert.deepStrictEqual(forwarded("content-LENGTH: 0"), ["content-LENGTH: 0"])
    assert.deepStrictEqual(forwarded("Content-Length: 42"), ["Content-Length: 42"])
  })

  it.each([
    "Transfer-Encoding: chunked",
    "transfer-encoding: Chunked",
    "TRANSFER-ENCODING: CHUNKED",
    "Transfer-Encoding: \tchunked "
  ])(
    "has a body in chunks with %j",
    (field) => {
      assert.isTrue(hasBody(field))
    }
  )

  // RFC 9110 §8.6 and RFC 9112 §6.3: whatever is not one plain number is refused, never repaired.
  it.each([
    "",
    " ",
    "+5",
    "-5",
    "5,5",
    "5, 5",
    "5 5",
    "0x5",
    "5.0",
    "1e3",
    "five",
    "5;",
    "\u0665",
    "5\u00a0",
    "Infinity",
    "99999999999999999999"
  ])(
    "is refused with Content-Length: %j",
    (value) => {
      assert.strictEqual(refusal(["Host", "a", "Content-Length", value], "POST").reason, "bad_request")
    }
  )

  it.each([["5", "6"], ["5", "5"], ["0", "0"]])(
    "is refused with two of them: %s and %s (RFC 9112 §6.3)",
    (one, other) => {
      assert.strictEqual(
        refusal(lines("Host: a", `Content-Length: ${one}`, `content-length: ${other}`)).reason,
        "bad_request"
      )
    }
  )

  // RFC 9112 §6.1: request smuggling, as in Pingora CVE-2026-2835 and httpxy GHSA-ggv3-7p47-pfv8.
  it.each([
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Content-Length: 0", "transfer-encoding: chunked"],
    ["Content-Length: 5", "Transfer-Encoding: identity"],
    ["Content-Length: 5", "Transfer-Encoding: "],
    ["Content-Length: 5", "Transfer-Encoding: chunked", "Connection: content-length"],
    ["Content-Length: 5", "Transfer-Encoding: chunked", "Connection: transfer-encoding"]
  ])("is refused with both: %s, %s", (...fields) => {
    assert.strictEqual(refusal(lines("Host: a", ...fields), "POST").reason, "bad_request")
  })

  // RFC 9112 §6.1 and §7: a coding that is not understood is answered with 501.
  it.each([
    "gzip",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "chunked,",
    "chunked;a=b",
    "identity",
    "xchunked",
    "chunked chunked",
    "\u000bchunked",
    "chunked\u00a0",
    "\"chunked\"",
    ""
  ])("is refused with Transfer-Encoding: %j", (value) => {
    assert.strictEqual(refusal(["Host", "a", "Transfer-Encoding", value], "POST").reason, "not_implemented")
  })

  it("is refused when chunked is said twice on two lines (RFC 9112 §6.1)", () => {
    assert.strictEqual(
      refusal(lines("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), "POST").reason,
      "not_implemented"
    )
    assert.strictEqual(
      refusal(lines("Transfer-Encoding: chunked", "transfer-encoding: identity"), "POST").reason,
      "not_implemented"
    )
  })
})

describe("what is forwarded of a response", () => {
  const answered = (status: number, ...texts: ReadonlyArray<string>) => text(toClient(status, lines(...texts)))

  it("is everything else, in order, case and repetition (RFC 9110 §5.3, RFC 6265 §3)", () => {
    const fields = [
      "date: Thu, 05 Nov 2026 12:00:00 GMT",
      "Set-Cookie: a=1; SameSite=Strange; Foo=bar",
      "set-cookie: b=2",
      "Link: <a>",
      "Link: <b>",
      "Server: x",
      "X-Forwarded-For: a backend may say what it likes",
      "__proto__: 1",
      "constructor: 2",
      "Content-Length: 5",
      "Empty: "
    ]
    assert.deepStrictEqual(answered(200, ...fields), fields)
  })

  it.each([
    ["Connection: close", "RFC 9110 §7.6.1"],
    ["Keep-Alive: timeout=5", "RFC 9110 §7.6.1"],
    ["Proxy-Connection: close", "RFC 9110 §7.6.1"],
    ["Transfer-Encoding: chunked", "RFC 9112 §6.1"],
    ["TE: trailers", "RFC 9110 §7.6.1"],
    ["Upgrade: h2c", "RFC 9110 §7.8"],
    ["Proxy-Authenticate: Basic", "RFC 9110 §11.7.1"],
    ["Proxy-Authentication-Info: a", "RFC 9110 §11.7.3"]
  ])("is not %s (%s)", (field) => {
    const colon = field.indexOf(":")
    const name = field.slice(0, colon)
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      assert.deepStrictEqual(answered(200, "A: 1", spelling + field.slice(colon), "B: 2"), ["A: 1", "B: 2"])
    }
  })

  it("is not what Connection names, in any spelling and wherever it stands (RFC 9110 §7.6.1)", () => {
    const hop = ["X-Hop: 1", "Connection: close ,\tX-HOP", "A: 1", "x-hop: 2", "connection: b", "B: 3"]
    assert.deepStrictEqual(answered(200, ...hop), ["A: 1"])
  })

  it("keeps Content-Length, whatever Connection names (RFC 9110 §7.6.1)", () => {
    assert.deepStrictEqual(answered(200, "Connection: Content-Length", "Content-Length: 5"), ["Content-Length: 5"])
  })

  it.each([200, 206, 404, 500])(
    "has no Content-Length with %d when there was Transfer-Encoding (RFC 9112 §6.3)",
    (status) => {
      assert.deepStrictEqual(answered(status, "Content-Length: 5", "A: 1", "Transfer-Encoding: chunked"), ["A: 1"])
      assert.deepStrictEqual(answered(status, "transfer-encoding: gzip, chunked", "content-length: 5"), [])
    }
  )

  it.each([100, 103, 199, 204])("has no Content-Length with %d (RFC 9110 §8.6)", (status) => {
    assert.deepStrictEqual(answered(status, "Content-Length: 0", "A: 1"), ["A: 1"])
  })

  it.each([200, 304])(
    "keeps Content-Length with %d, which tells the length of a body that HEAD and 304 do not have",
    (status) => {
      assert.deepStrictEqual(answered(status, "Content-Length: 12345"), ["Content-Length: 12345"])
    }
  )

  it("allows a backend what only requests may not have", () => {
    assert.deepStrictEqual(answered(200, "Expect: a", "Proxy: b"), ["Expect: a", "Proxy: b"])
  })
})

describe("what is forwarded of trailers", () => {
  const forwarded = (...texts: ReadonlyArray<string>) => text(forwardedTrailers(lines(...texts)))

  it("is everything else, in order, case and repetition (RFC 9110 §5.3)", () => {
    const trailers = ["X-B: 1", "x-a: 2", "__proto__: 3", "X-B: 4"]
    assert.deepStrictEqual(forwarded(...trailers), trailers)
  })

  it.each(["Connection: A", "keep-alive: 5", "TE: trailers", "Trailer: A", "Upgrade: h2c", "Expect: 100-continue"])(
    "is not %s, which belongs to one connection or before the body (RFC 9110 §6.5.1)",
    (line) => assert.deepStrictEqual(forwarded("A: 1", line), ["A: 1"])
  )

  it.each(["X-Forwarded-For: 6.6.6.6", "x_forwarded_for: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6"])(
    "is not %s, whoever says it",
    (line) => assert.deepStrictEqual(forwarded(line, "A: 1"), ["A: 1"])
  )
})

describe("a response", () => {
  it.each<readonly [ReadonlyArray<string>, boolean]>([
    [[], true],
    [["Content-Encoding: gzip"], true],
    [["Transfer-Encoding: chunked"], true],
    [["transfer-encoding: CHUNKED "], true],
    [["Transfer-Encoding: gzip"], false],
    [["Transfer-Encoding: gzip, chunked"], false],
    [["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"], false]
  ])("with %j is what its sender meant: %s (RFC 9112 §6.1)", (fields, decoded) => {
    assert.strictEqual(isDecoded(lines(...fields)), decoded)
  })
})

describe("the protocol of a client", () => {
  it.each<readonly [ReadonlyArray<string>, trusted: boolean, "http" | "https"]>([
    [[], true, "http"],
    [["X-Forwarded-Proto: https"], true, "https"],
    [["x-forwarded-proto: HTTPS , http"], true, "https"],
    [["X-Forwarded-Proto: http, https"], true, "http"],
    [["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], true, "http"],
    [["X-Forwarded-Proto: httpsx"], true, "http"],
    [["X-Forwarded-Proto: https"], false, "http"]
  ])("with %j is what the first proxy says, if the last one is trusted (%s): %s", (fields, trusted, protocol) => {
    const client = { address: "10.0.0.1", protocol: "http", trusted } as const
    assert.strictEqual(clientProtocol(lines(...fields), client), protocol)
  })

  it("is that of its own connection where no proxy says otherwise", () => {
    const client = { address: "10.0.0.1", protocol: "https", trusted: true } as const
    assert.strictEqual(clientProtocol([], client), "https")
    assert.strictEqual(clientProtocol(lines("X-Forwarded-Proto: http"), client), "http")
  })
})
