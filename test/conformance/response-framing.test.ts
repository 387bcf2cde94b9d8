/** Where an answer ends (RFC 9112 §6, §7.1, §8), and what a client is told about that. */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message } from "../e2e/support/Peer.ts"
import { answers, type Asking, disbelieves, get, lastChunk, type SeenAnswer } from "./support/Rules.ts"

const counted = (...fields: ReadonlyArray<string>): string => message("HTTP/1.1 200 OK", "Content-Length: 5", ...fields)
const chunked = message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
const hello = `5\r\nhello\r\n${lastChunk}`
const head = message("HEAD / HTTP/1.1", host)
const old = message("GET / HTTP/1.0", host)

type Answered = readonly [
  clause: string,
  name: string,
  bytes: string,
  expected: Partial<SeenAnswer>,
  asking?: Asking,
  differences?: Differences
]

const inChunks = { framing: "chunked", body: "hello" }
const inBytes = { framing: "5", body: "hello" }
const closed = { connection: "close", body: "hello" }

const whole: ReadonlyArray<Answered> = [
  ["RFC 9112 §6.2", "a counted body stays counted", `${counted()}hello`, inBytes],
  ["RFC 9112 §6.2", "a length of 0 is a body of no bytes", message("HTTP/1.1 200 OK", "Content-Length: 0"), {
    framing: "0"
  }],
  ["RFC 9112 §7.1", "a chunked body stays chunked", chunked + hello, inChunks],
  ["RFC 9112 §7.1", "no chunk but the last is a body of no bytes", chunked + lastChunk, { framing: "chunked" }],
  ["RFC 9112 §7.1", "chunks are one body", `${chunked}2\r\nhe\r\n003\r\nllo\r\n000\r\n\r\n`, inChunks],
  ["RFC 9112 §7.1", "a size is hexadecimal", `${chunked}A\r\n0123456789\r\n${lastChunk}`, {
    framing: "chunked",
    body: "0123456789"
  }],
  ["RFC 9112 §7.1.1", "extensions are ignored", `${chunked}5;a=b;c="d;e"\r\nhello\r\n0;f\r\n\r\n`, inChunks],
  ["RFC 9112 §7.1", "a chunk may look like the last one", `${chunked}5\r\n0\r\n\r\n\r\n${lastChunk}`, {
    framing: "chunked",
    body: "0\r\n\r\n"
  }],
  [
    "RFC 9112 §7",
    "chunked may be in capitals",
    `${message("HTTP/1.1 200 OK", "TRANSFER-ENCODING: CHUNKED")}${hello}`,
    inChunks
  ],
  [
    "RFC 9112 §6.3",
    "a body without a length ends with the connection, and is chunked for the client",
    `${message("HTTP/1.1 200 OK")}hello`,
    inChunks,
    { thenCloses: true }
  ],
  [
    "RFC 9112 §6.3",
    "such a body may have no bytes",
    message("HTTP/1.1 200 OK"),
    { framing: "chunked" },
    { thenCloses: true }
  ],
  ["RFC 9112 §6.3", "so does one of HTTP/1.0", `${message("HTTP/1.0 200 OK")}hello`, inChunks, { thenCloses: true }],
  [
    "RFC 9112 §6.3",
    "an HTTP/1.0 answer may be counted",
    `${message("HTTP/1.0 200 OK", "Content-Length: 5")}hello`,
    inBytes,
    { thenCloses: true }
  ],
  ["RFC 9112 §6.1", "an HTTP/1.0 client is sent no chunks, but an end", chunked + hello, closed, { request: old }],
  [
    "RFC 9112 §6.1",
    "nor if it asks for its connection to be kept",
    chunked + hello,
    closed,
    { request: message("GET / HTTP/1.0", host, "Connection: keep-alive") }
  ],
  [
    "RFC 9112 §6.3",
    "a body without a length ends an HTTP/1.0 client's connection",
    `${message("HTTP/1.1 200 OK")}hello`,
    closed,
    { request: old, thenCloses: true }
  ],
  ["RFC 9112 §6.2", "an HTTP/1.0 client is told the length", `${counted()}hello`, { ...inBytes, connection: "close" }, {
    request: old
  }],
  ["RFC 9110 §15.3.5", "a 204 has no body", message("HTTP/1.1 204 No Content"), { line: "HTTP/1.1 204 No Content" }],
  [
    "RFC 9110 §8.6",
    "a 204 has no length",
    message("HTTP/1.1 204 No Content", "Content-Length: 0"),
    { line: "HTTP/1.1 204 No Content" }
  ],
  [
    "RFC 9112 §6.3",
    "a 204 with a body that it must not have ends with its head",
    `${message("HTTP/1.1 204 No Content", "Content-Length: 5")}hello`,
    { line: "HTTP/1.1 204 No Content" }
  ],
  [
    "RFC 9112 §6.1",
    "so does one with chunks",
    `${message("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked")}${hello}`,
    { line: "HTTP/1.1 204 No Content" }
  ],
  ["RFC 9110 §15.4.5", "a 304 has no body", message("HTTP/1.1 304 Not Modified", "ETag: \"x\""), {
    line: "HTTP/1.1 304 Not Modified",
    fields: ["ETag: \"x\""]
  }],
  [
    "RFC 9110 §8.6",
    "a 304 keeps the length that it speaks of",
    message("HTTP/1.1 304 Not Modified", "Content-Length: 12345"),
    { line: "HTTP/1.1 304 Not Modified", framing: "12345" }
  ],
  ["RFC 9110 §15.3.6", "a 205 without content", message("HTTP/1.1 205 Reset Content", "Content-Length: 0"), {
    line: "HTTP/1.1 205 Reset Content",
    framing: "0"
  }],
  [
    "RFC 9110 §9.3.2",
    "the answer to HEAD keeps the length of what GET would get",
    message("HTTP/1.1 200 OK", "Content-Length: 12345"),
    { framing: "12345" },
    { request: head }
  ],
  ["RFC 9110 §9.3.2", "the answer to HEAD may have no length", message("HTTP/1.1 200 OK"), {}, { request: head }],
  [
    "RFC 9112 §6.3",
    "a body that answers HEAD is none of it",
    `${counted()}hello`,
    { framing: "5" },
    { request: head }
  ],
  [
    "RFC 9110 §8.4",
    "a content coding is not ours to undo",
    `${counted("Content-Encoding: gzip")}\x1f\x8b\x08\x00\x00`,
    { framing: "5", fields: ["Content-Encoding: gzip"], body: "\x1f\x8b\x08\x00\x00" }
  ],
  ["RFC 9112 §6.3", "bytes after a counted body are none of it", `${counted()}hello, world`, inBytes],
  ["RFC 9112 §6.3", "an answer after a counted body is nobody's", `${counted()}hello${counted()}wrong`, inBytes],
  ["RFC 9112 §6.3", "an answer after a chunked body is nobody's", `${chunked}${hello}${counted()}wrong`, inChunks]
]

type Refused = readonly [clause: string, name: string, bytes: string, differences?: Differences]

const framed = (...fields: ReadonlyArray<string>): string => message("HTTP/1.1 200 OK", ...fields)

const refused: ReadonlyArray<Refused> = [
  ["RFC 9110 §8.6", "a length that is none", `${framed("Content-Length: five")}hello`],
  ["RFC 9110 §8.6", "an empty length", framed("Content-Length:")],
  ["RFC 9110 §8.6", "a negative length", `${framed("Content-Length: -5")}hello`],
  ["RFC 9110 §8.6", "a length with a sign", `${framed("Content-Length: +5")}hello`],
  ["RFC 9110 §8.6", "a length in hexadecimal", `${framed("Content-Length: 0x5")}hello`],
  ["RFC 9110 §8.6", "a length that no number can hold", `${framed("Content-Length: 99999999999999999999")}hello`],
  ["RFC 9112 §6.3", "two different lengths", `${framed("Content-Length: 5", "Content-Length: 6")}hello!`],
  ["RFC 9112 §6.3", "a list of different lengths", `${framed("Content-Length: 5, 6")}hello!`],
  ["RFC 9112 §6.3", "two framings", framed("Content-Length: 5", "Transfer-Encoding: chunked") + hello],
  [
    "RFC 9112 §6.3",
    "two framings, the other way round",
    framed("Transfer-Encoding: chunked", "Content-Length: 5") + hello
  ],
  ["RFC 9112 §6.1", "a coding that nobody asked for", framed("Transfer-Encoding: gzip, chunked") + hello, {
    node: { fails: "undici reads it to its end, and uses the connection again" }
  }],
  ["RFC 9112 §6.1", "a coding after chunked", framed("Transfer-Encoding: chunked, gzip") + hello],
  ["RFC 9112 §6.1", "chunked twice", framed("Transfer-Encoding: chunked, chunked") + hello, {
    node: { fails: "undici reads it to its end, and uses the connection again" }
  }],
  ["RFC 9112 §7", "the coding identity, which is gone", `${framed("Transfer-Encoding: identity")}hello`],
  [
    "RFC 9112 §6.1",
    "chunks from an HTTP/1.0 backend",
    message("HTTP/1.0 200 OK", "Transfer-Encoding: chunked") + hello,
    {
      node: { fails: "undici reads them" }
    }
  ]
]

/** What is wrong in a chunked body, after a first chunk that is right. */
const chunks: ReadonlyArray<Refused> = [
  ["RFC 9112 §7.1", "a chunk size that is no number", "xyz\r\n"],
  ["RFC 9112 §7.1", "a chunk size with a sign", "-5\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk size with a prefix", "0x5\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk size that no number can hold", "fffffffffffffffff\r\nhello\r\n"],
  ["RFC 9112 §2.2", "a chunk size on a line that ends with LF alone", "5\nhello\r\n"],
  ["RFC 9112 §7.1.1", "an extension on a line that ends with LF alone", "5;a\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk that is longer than its size", "4\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk without a line break", `5\r\nhello${lastChunk}`],
  ["RFC 9112 §7.1", "an end with LF alone", "0\r\n\n"],
  ["RFC 9112 §7.1.2", "a trailer that is folded", "0\r\nX-A: 1\r\n 2\r\n\r\n"],
  ["RFC 9112 §7.1.2", "a trailer without a colon", "0\r\nX-A\r\n\r\n"],
  ["RFC 9110 §6.5.1", "a length among the trailers", "0\r\nContent-Length: 5\r\n\r\n"]
]

onEachEngine("framing of answers", (test) => {
  for (const [clause, name, bytes, expected, asking = {}, differences = {}] of whole) {
    answers(test, { clause, name, differences }, bytes, expected, asking)
  }

  for (const [clause, name, bytes, differences = {}] of refused) {
    disbelieves(test, { clause, name, differences }, bytes)
  }

  for (const [clause, name, bytes, differences = {}] of chunks) {
    test(`${name} (${clause}): the answer is cut, and never looks complete`, async (lab) => {
      const backend = await lab.answering(`${chunked}3\r\nabc\r\n${bytes}${lastChunk}`)
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      await client.send(get())
      const answer = await client.response().catch(() => undefined)
      // What is wrong may be known before the head is on its way to the client.
      if (answer?.status !== 502) {
        assert.notStrictEqual(answer?.ending, "complete")
        await client.untilOver()
      }
      await backend.deserted()
      assert.include(["protocol_error", "reset_mid_body"], (await lb.completed()).reason)
      assert.strictEqual(lb.inFlight, 0)
    }, differences)
  }

  test("a first chunk that is wrong, and comes with the head, is no answer at all (RFC 9112 §7.1)", async (lab) => {
    const backend = await lab.answering(`${chunked}xyz\r\n`)
    const lb = await lab.balancer([backend])
    const answer = await (await lab.connect(lb)).exchange(get())
    assert.deepStrictEqual([answer.status, answer.ending], [502, "complete"])
    assert.strictEqual((await lb.completed()).reason, "protocol_error")
    await backend.deserted()
  }, { node: { fails: "undici has given the head to us before" } })

  test("an answer that comes byte by byte is an answer (RFC 9112 §2.1)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      for (const byte of `${message("HTTP/1.1 200 OK", "X-A: b", "Transfer-Encoding: chunked")}${hello}`) {
        await peer.send(byte)
      }
    })
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get())
    assert.deepStrictEqual([answer.ending, answer.body.toString()], ["complete", "hello"])
  })
})
