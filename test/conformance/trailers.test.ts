/**
 * Trailers (RFC 9110 §6.5, RFC 9112 §7.1.2) go through in both directions, and can say nothing that a head could not.
 */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok, value } from "../e2e/support/Peer.ts"
import { answers, assertAnswer, forwards, get, post, postChunked, seenRequest } from "./support/Rules.ts"

const noTrailers: Differences = { node: { fails: "it has no trailers" } }

const body = (...trailers: ReadonlyArray<string>): string => `5\r\nhello\r\n0\r\n${message(...trailers)}`
const none = `5\r\nhello\r\n0\r\n\r\n`

const answer = (...fields: ReadonlyArray<string>): string =>
  message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", ...fields)

const posted = { line: "POST / HTTP/1.1", framing: "chunked", body: "hello" }
const answered = { framing: "chunked", body: "hello" }

const high = "X-A: \x80\xa0\xff"

/** Trailers as they come and as they go. */
const forwardedOnes: ReadonlyArray<readonly [clause: string, name: string, trailers: ReadonlyArray<string>]> = [
  ["RFC 9110 §6.5", "a trailer", ["X-Checksum: 1"]],
  ["RFC 9110 §5.3", "several in order, case and repetition", ["X-B: 1", "x-a: 2", "X-A: 3", "X-B: 1"]],
  ["RFC 9110 §5.5", "any byte from 0x80", [high]],
  ["RFC 9110 §5.5", "an empty value", ["X-A: "]]
]

/** What may not come after the body, or concerns one connection only (RFC 9110 §6.5.1, §7.6.1). */
const dropped = [
  "Connection: X-A",
  "Keep-Alive: timeout=5",
  "Proxy-Connection: close",
  "Upgrade: websocket",
  "TE: trailers",
  "Proxy-Authorization: Basic dTpw"
]

/** What would change what we say about the client if somebody merged it into the head. */
const claims = [
  "X-Forwarded-For: 6.6.6.6",
  "X-Forwarded-Proto: https",
  "Forwarded: for=6.6.6.6",
  "X_Forwarded_For: 6.6.6.6"
]

onEachEngine("trailers", (test) => {
  for (const [clause, name, trailers] of forwardedOnes) {
    forwards(test, { clause, name: `in requests: ${name}`, differences: noTrailers }, postChunked + body(...trailers), {
      ...posted,
      trailers
    })
    answers(test, { clause, name: `in answers: ${name}`, differences: noTrailers }, answer() + body(...trailers), {
      ...answered,
      trailers
    })
  }

  const rule = { clause: "RFC 9110 §6.6.2", name: "Trailer goes with them", differences: noTrailers }
  forwards(
    test,
    { ...rule, name: `in requests: ${rule.name}` },
    post("Trailer: X-A", "Transfer-Encoding: chunked") + body("X-A: 1"),
    { ...posted, fields: ["Trailer: X-A"], trailers: ["X-A: 1"] }
  )
  answers(test, { ...rule, name: `in answers: ${rule.name}` }, answer("Trailer: X-A") + body("X-A: 1"), {
    ...answered,
    fields: ["Trailer: X-A"],
    trailers: ["X-A: 1"]
  })
  answers(
    test,
    { ...rule, clause: "RFC 9110 §6.5.1", name: "in answers: for who asks for them with TE" },
    answer("Trailer: X-A") + body("X-A: 1"),
    { ...answered, fields: ["Trailer: X-A"], trailers: ["X-A: 1"] },
    { request: get("Connection: TE", "TE: trailers") }
  )

  answers(
    test,
    { clause: "RFC 9112 §7.1.2", name: "an HTTP/1.0 client, who gets no chunks, gets no trailers" },
    answer() + body("X-A: 1"),
    { connection: "close", body: "hello" },
    { request: message("GET / HTTP/1.0", host) }
  )

  test("the answer to HEAD may name trailers and has none (RFC 9110 §6.6.2)", async (lab) => {
    const backend = await lab.answering(answer("X-A: 1"))
    const client = await lab.connect(await lab.balancer([backend]))
    const head = await client.exchange(message("HEAD / HTTP/1.1", host), { noBody: true })
    assert.deepStrictEqual([head.status, value(head, "x-a")], [200, "1"])
    assert.strictEqual(client.unread, "")
  })

  for (const line of dropped) {
    forwards(
      test,
      { clause: "RFC 9110 §6.5.1", name: `in requests: ${line} is dropped` },
      postChunked + body(line),
      posted
    )
  }
  for (const line of ["Connection: X-A", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Upgrade: h2c"]) {
    answers(
      test,
      { clause: "RFC 9110 §6.5.1", name: `in answers: ${line} is dropped` },
      answer() + body(line),
      answered
    )
  }
  for (const line of claims) {
    forwards(
      test,
      { clause: "RFC 9110 §6.5.1; CVE-2026-39858", name: `a stranger cannot say ${line} in a trailer` },
      postChunked + body(line),
      posted
    )
  }

  test("trailers do not become fields of the next request (RFC 9112 §7.1.2)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(postChunked + body("X-A: 1") + postChunked + none)
    for (let i = 0; i < 2; i++) assert.strictEqual((await client.response()).status, 200)
    assert.deepStrictEqual(seenRequest(backend.requests[1]!), {
      ...posted,
      host: "example.com",
      connection: "",
      fields: [],
      trailers: []
    })
  })

  test("trailers that come byte by byte are trailers (RFC 9112 §7.1.2)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      for (const byte of answer() + body("X-A: 1", "X-B: 2")) await peer.send(byte)
    })
    const client = await lab.connect(await lab.balancer([backend]))
    assertAnswer(await client.exchange(get()), { ...answered, trailers: ["X-A: 1", "X-B: 2"] })
  }, noTrailers)
})
