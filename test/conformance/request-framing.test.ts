/**
 * Where a request ends (RFC 9112 §6, §7.1): one reading, or a refusal. What is refused never reaches a backend, neither
 * as it is nor as somebody else's request.
 */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok } from "../e2e/support/Peer.ts"
import {
  assertRequest,
  forwards,
  get,
  lastChunk,
  post,
  postChunked,
  refuses,
  type SeenRequest,
  smuggled
} from "./support/Rules.ts"

const posted = { line: "POST / HTTP/1.1" }
const hello = { ...posted, framing: "5", body: "hello" }
const chunkedHello = { ...posted, framing: "chunked", body: "hello" }

type Forwarded = readonly [
  clause: string,
  name: string,
  bytes: string,
  expected: Partial<SeenRequest>,
  differences?: Differences
]

const whole: ReadonlyArray<Forwarded> = [
  ["RFC 9112 §6.3", "a POST without framing has no body", post(), posted],
  ["RFC 9112 §6.3", "a GET without framing has no body", get(), {}],
  ["RFC 9112 §6.2", "a length of 0 is no body", post("Content-Length: 0"), posted],
  ["RFC 9112 §7.1", "no chunk but the last is a body of no bytes", postChunked + lastChunk, {
    ...posted,
    framing: "chunked"
  }, { node: { fails: "undici sends a length of 0" } }],
  [
    "RFC 9112 §5.1",
    "white space around a length is none of it",
    `${post("Content-Length: \t 5 \t")}hello`,
    hello,
    /^9\.[0-3]\./.test(process.versions["llhttp"] ?? "") ? { node: { fails: "llhttp before 9.4 refuses it" } } : {}
  ],
  ["RFC 9110 §8.6", "zeros before a length change nothing", `${post("Content-Length: 0005")}hello`, hello],
  [
    "RFC 9112 §7",
    "chunked may be in capitals",
    `${post("TRANSFER-ENCODING: CHUNKED")}5\r\nhello\r\n${lastChunk}`,
    chunkedHello
  ],
  [
    "RFC 9112 §5.1",
    "white space around a coding is none of it",
    `${post("Transfer-Encoding: \t chunked \t")}5\r\nhello\r\n${lastChunk}`,
    chunkedHello,
    { node: { fails: "node:http does not take a tab after it" } }
  ],
  ["RFC 9112 §7.1", "chunks are one body", `${postChunked}2\r\nhe\r\n3\r\nllo\r\n${lastChunk}`, chunkedHello],
  ["RFC 9112 §7.1", "a size may have zeros before it", `${postChunked}0005\r\nhello\r\n${lastChunk}`, chunkedHello],
  ["RFC 9112 §7.1", "the last chunk may have several zeros", `${postChunked}5\r\nhello\r\n000\r\n\r\n`, chunkedHello],
  ["RFC 9112 §7.1", "a size is hexadecimal, in small letters", `${postChunked}a\r\n0123456789\r\n${lastChunk}`, {
    ...chunkedHello,
    body: "0123456789"
  }],
  ["RFC 9112 §7.1", "and in capitals", `${postChunked}A\r\n0123456789\r\n${lastChunk}`, {
    ...chunkedHello,
    body: "0123456789"
  }],
  ["RFC 9112 §7.1.1", "an extension is ignored", `${postChunked}5;a\r\nhello\r\n0;b=c\r\n\r\n`, chunkedHello],
  [
    "RFC 9112 §7.1.1",
    "so are several, quoted ones with semicolons included",
    `${postChunked}5;a=b;c="d;\\"e"\r\nhello\r\n${lastChunk}`,
    chunkedHello
  ],
  ["RFC 9112 §7.1", "a chunk may look like the last one", `${postChunked}7\r\n\r\n0\r\n\r\n\r\n${lastChunk}`, {
    ...chunkedHello,
    body: "\r\n0\r\n\r\n"
  }],
  ["RFC 9112 §6", "a body may look like a request", post(`Content-Length: ${smuggled.length}`) + smuggled, {
    ...posted,
    framing: String(smuggled.length),
    body: smuggled
  }],
  [
    "RFC 9110 §5.1",
    "a field whose name begins with Content-Length is another field (HAProxy CVE-2021-40346)",
    `${post("Content-Length: 5", `Content-Length0${"a".repeat(255)}: 0`)}hello`,
    { ...hello, fields: [`Content-Length0${"a".repeat(255)}: 0`] }
  ],
  ["RFC 9110 §5.1", "Content_Length is another field", `${post("Content-Length: 5", "Content_Length: 0")}hello`, {
    ...hello,
    fields: ["Content_Length: 0"]
  }]
]

/** A body has nothing to do with the method (RFC 9112 §6; CVE-2026-29057). */
const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"]

type Refused = readonly [
  clause: string,
  name: string,
  bytes: string,
  status: number | ReadonlyArray<number>,
  differences?: Differences
]

/** 501 because the coding is unknown (§6.1), or 400 because chunked is not the last one (§6.3). */
const unknown = [400, 501]

const refused: ReadonlyArray<Refused> = [
  [
    "RFC 9112 §6.1; Pingora CVE-2026-2835",
    "both Content-Length and Transfer-Encoding",
    post("Content-Length: 5", "Transfer-Encoding: chunked") + lastChunk,
    400
  ],
  [
    "RFC 9112 §6.1",
    "both, the other way round",
    post("Transfer-Encoding: chunked", "Content-Length: 5") + lastChunk,
    400
  ],
  ["RFC 9112 §6.3", "two different lengths", `${post("Content-Length: 5", "Content-Length: 6")}hello`, 400],
  [
    "RFC 9112 §6.3",
    "two lengths, although they are the same",
    `${post("Content-Length: 5", "content-length: 5")}hello`,
    400
  ],
  ["RFC 9110 §8.6", "a list of lengths", `${post("Content-Length: 5, 5")}hello`, 400],
  ["RFC 9110 §8.6; HAProxy CVE-2023-40225", "an empty length", post("Content-Length:"), 400],
  ["RFC 9110 §8.6", "a length with a sign", `${post("Content-Length: +5")}hello`, 400],
  ["RFC 9110 §8.6", "a negative length", `${post("Content-Length: -5")}hello`, 400],
  ["RFC 9110 §8.6", "a length in hexadecimal", `${post("Content-Length: 0x5")}hello`, 400],
  ["RFC 9110 §8.6", "a length with a fraction", `${post("Content-Length: 5.0")}hello`, 400],
  ["RFC 9110 §8.6", "a length with an exponent", `${post("Content-Length: 5e0")}hello`, 400],
  ["RFC 9110 §8.6", "a length of two words", `${post("Content-Length: 5 5")}hello`, 400],
  ["RFC 9110 §8.6", "a length in quotes", `${post("Content-Length: \"5\"")}hello`, 400],
  ["RFC 9110 §8.6", "a length that no number can hold", `${post("Content-Length: 184467440737095516160")}hello`, 400],
  ["RFC 9110 §8.6", "a length that is no exact number", `${post("Content-Length: 9007199254740993")}hello`, 400],
  ["RFC 9110 §5.6.3", "a length before a vertical tab", `${post("Content-Length: 5\x0b")}hello`, 400],
  ["RFC 9112 §6.1", "the codings gzip and chunked", post("Transfer-Encoding: gzip, chunked") + lastChunk, 501],
  ["RFC 9112 §6.3", "the coding gzip", post("Transfer-Encoding: gzip"), unknown],
  ["RFC 9112 §6.1", "chunked twice", post("Transfer-Encoding: chunked, chunked") + lastChunk, unknown],
  ["RFC 9112 §6.3", "chunked before something else", post("Transfer-Encoding: chunked, gzip") + lastChunk, unknown],
  ["RFC 9112 §7", "the coding identity, which is gone", post("Transfer-Encoding: identity"), unknown],
  ["RFC 9112 §6.3", "a coding that looks like chunked", post("Transfer-Encoding: xchunked") + lastChunk, unknown],
  ["RFC 9112 §6.3", "a coding that begins like chunked", post("Transfer-Encoding: chunkedx") + lastChunk, unknown],
  ["RFC 9112 §7", "chunked with a parameter", post("Transfer-Encoding: chunked;a=b") + lastChunk, unknown],
  ["RFC 9112 §7", "a quoted coding", post("Transfer-Encoding: \"chunked\"") + lastChunk, unknown],
  ["RFC 9112 §6.1", "an empty coding", post("Transfer-Encoding:"), unknown],
  ["RFC 9110 §5.6.3", "a vertical tab before the coding", post("Transfer-Encoding:\x0bchunked") + lastChunk, unknown],
  [
    "RFC 9112 §6.1",
    "two lines of codings",
    post("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + lastChunk,
    unknown
  ],
  [
    "RFC 9112 §6.1",
    "two lines of chunked",
    post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + lastChunk,
    400
  ],
  ["RFC 9112 §5.1", "a space before the colon of a length", `${post("Content-Length : 5")}hello`, 400],
  [
    "RFC 9112 §5.1; Node CVE-2022-32213",
    "a space before the colon of a coding",
    post("Transfer-Encoding : chunked") + lastChunk,
    400
  ],
  [
    "RFC 9112 §5.2; Node CVE-2022-32215",
    "a coding on a folded line",
    post("Transfer-Encoding:\r\n chunked") + lastChunk,
    400
  ],
  [
    "RFC 9112 §5.2; Node CVE-2024-27982",
    "a space before a length",
    `${post("X-A: 1", " Content-Length: 5")}hello`,
    400
  ],
  [
    "RFC 9112 §2.2; Node CVE-2022-32214",
    "a coding after a LF alone",
    post("X-A: 1\nTransfer-Encoding: chunked") + lastChunk,
    400
  ],
  ["RFC 9112 §2.2", "a coding after a CR alone", post("X-A: 1\rTransfer-Encoding: chunked") + lastChunk, 400],
  [
    "RFC 9112 §6.1; Pingora CVE-2026-2835",
    "a coding from an HTTP/1.0 client",
    message("POST / HTTP/1.0", host, "Transfer-Encoding: chunked") + lastChunk,
    400,
    { node: { fails: "node:http reads the chunks, and what follows" } }
  ]
]

onEachEngine("framing of requests", (test) => {
  for (const [clause, name, bytes, expected, differences = {}] of whole) {
    forwards(test, { clause, name, differences }, bytes, expected)
  }

  for (const method of methods) {
    const line = `${method} /path HTTP/1.1`
    const clause = "RFC 9112 §6; CVE-2026-29057"
    forwards(
      test,
      { clause, name: `${method} may have a counted body` },
      `${message(line, host, "Content-Length: 5")}hello`,
      {
        ...hello,
        line
      }
    )
    forwards(
      test,
      { clause, name: `${method} may have a chunked body` },
      `${message(line, host, "Transfer-Encoding: chunked")}3\r\nhel\r\n2\r\nlo\r\n${lastChunk}`,
      { ...chunkedHello, line }
    )
  }

  for (const [clause, name, bytes, status, differences = {}] of refused) {
    refuses(test, { clause, name, differences }, bytes, ...[status].flat())
  }

  test("what follows a message is none of it, and refused if it is no message (RFC 9112 §6.3)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(`${post("Content-Length: 5")}hello`)).status, 200)
    assert.strictEqual((await client.exchange(", world\r\n\r\n")).status, 400)
    await client.untilOver()
    assert.strictEqual(backend.requests.length, 1)
    assertRequest(backend.requests[0], hello)
  })
})
