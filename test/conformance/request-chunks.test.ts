/**
 * Chunked bodies of requests that are wrong (RFC 9112 §7.1): no backend takes one for whole, and what
 * follows is nobody's request.
 */
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { ok } from "../e2e/support/Peer.ts"
import { assertRequest, lastChunk, postChunked, smuggled } from "./support/Rules.ts"

/** What is wrong in a chunked body, after a first chunk that is right. */
const chunks: ReadonlyArray<readonly [clause: string, name: string, bytes: string]> = [
  ["RFC 9112 §7.1", "a chunk size that is no number", "xyz\r\n"],
  ["RFC 9112 §7.1", "a chunk without a size", "\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk size with a sign", "-5\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk size with a plus", "+5\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk size with a prefix", "0x5\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk size with a separator", "1_0\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk size that no number can hold", "fffffffffffffffff\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk size that wraps around to 5", "10000000000000005\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a space before a chunk size", " 5\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a space after a chunk size", "5 \r\nhello\r\n"],
  ["RFC 9112 §2.2", "a chunk size on a line that ends with LF alone", "5\nhello\r\n"],
  ["RFC 9112 §2.2", "a chunk size on a line that ends with CR alone", "5\rhello\r\n"],
  ["RFC 9112 §7.1.1; Go CVE-2025-22871", "an extension on a line that ends with LF alone", "5;a\nhello\r\n"],
  ["RFC 9112 §7.1.1; Kestrel CVE-2025-55315", "a CR in an extension", "5;a\rb\r\nhello\r\n"],
  ["RFC 9112 §7.1.1", "a zero byte in an extension", "5;a\0b\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk that is longer than its size", "4\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk that is shorter than its size", "6\r\nhello\r\n"],
  ["RFC 9112 §7.1", "a chunk without a line break", `5\r\nhello${lastChunk}`],
  ["RFC 9112 §7.1", "a chunk that ends with LF alone", "5\r\nhello\n"],
  ["RFC 9112 §7.1", "an end with LF alone", "0\r\n\n"],
  ["RFC 9112 §7.1.2", "a trailer that is folded", "0\r\nX-A: 1\r\n 2\r\n\r\n"],
  ["RFC 9112 §7.1.2", "a trailer without a colon", "0\r\nX-A\r\n\r\n"],
  ["RFC 9112 §2.2", "a trailer that ends with LF alone", "0\r\nX-A: 1\nX-B: 2\r\n\r\n"],
  ["RFC 9110 §6.5.1", "a length among the trailers", "0\r\nContent-Length: 5\r\n\r\n"],
  ["RFC 9110 §6.5.1", "a coding among the trailers", "0\r\nTransfer-Encoding: chunked\r\n\r\n"]
]

onEachEngine("chunks of requests", (test) => {
  for (const [clause, name, bytes] of chunks) {
    test(
      `${name} (${clause}): 400, a close, and no backend takes the body for whole`,
      async (lab) => {
        const backend = await lab.answering(ok)
        const lb = await lab.balancer([backend])
        const client = await lab.connect(lb)
        await client.send(`${postChunked}3\r\nabc\r\n${bytes}${lastChunk}${smuggled}`)
        assert.strictEqual((await client.response()).status, 400)
        await client.untilOver()
        assert.strictEqual(client.unread, "")
        const { reason, status } = await lb.completed()
        assert.deepStrictEqual([status, reason], [400, "bad_request"])
        await backend.deserted()
        assert.deepStrictEqual(backend.requests.filter((request) => request.ending === "complete"), [])
        assert.strictEqual(lb.inFlight, 0)
      }
    )
  }

  test("a request that comes byte by byte is a request (RFC 9112 §2.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    for (const byte of `${postChunked}5\r\nhello\r\n${lastChunk}`) await client.send(byte)
    assert.strictEqual((await client.response()).status, 200)
    assertRequest(backend.requests[0], { line: "POST / HTTP/1.1", framing: "chunked", body: "hello" })
  })
})
