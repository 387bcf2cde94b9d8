/**
 * Limits (RFC 9110 §17.5, RFC 9112 §3, RFC 6585 §5): each with its status, just below it all is well,
 * and nothing is endless.
 */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { type Asked, host, message, ok, type Received } from "../e2e/support/Peer.ts"
import { assertUnseen, get, lastChunk, postChunked, refuses } from "./support/Rules.ts"

const headLimit = 16 * 1024
const targetLimit = 8 * 1024
const fieldLimit = 100

/** A request whose head has this many bytes. */
const headOf = (bytes: number): string => {
  const bare = get("X-A: ")
  return get(`X-A: ${"a".repeat(bytes - bare.length)}`)
}

/** A request with a target of this many bytes. */
const targetOf = (bytes: number): string => message(`GET /${"a".repeat(bytes - 1)} HTTP/1.1`, host)

/**
 * This many field lines with names like indices of an array, which some engines sort and hash in a way of their own.
 */
const numbered = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => `${i}: ${i}`)

const numberedOnly = (received: Received): ReadonlyArray<string> =>
  received.fields.filter(([name]) => /^\d+$/.test(name)).map((field) => field.join(": "))

const lenient: Differences = { node: { fails: "node:http has no such limit" } }
const says431: Differences = { node: { fails: "node:http has one limit for the whole head" } }

const passes: ReadonlyArray<readonly [clause: string, name: string, bytes: string, differences?: Differences]> = [
  ["RFC 6585 §5", "a head of 16 KiB", headOf(headLimit)],
  ["RFC 9112 §3", "a target of 8 KiB", targetOf(targetLimit)],
  ["RFC 6585 §5", "100 fields", get(...numbered(fieldLimit - 1))]
]

const refused: ReadonlyArray<
  readonly [clause: string, name: string, bytes: string, status: number, differences?: Differences]
> = [
  ["RFC 6585 §5", "a head of one byte more than 16 KiB", headOf(headLimit + 1), 431, {
    node: { fails: "node:http does not count all of it" }
  }],
  ["RFC 6585 §5", "a head with a large field", headOf(100_000), 431],
  ["RFC 6585 §5", "a head without an end", `GET / HTTP/1.1\r\n${host}\r\n${"X-A: aaaaaaaaaa\r\n".repeat(10_000)}`, 431],
  ["RFC 6585 §5", "a field name without an end", `GET / HTTP/1.1\r\n${host}\r\n${"a".repeat(100_000)}`, 431],
  ["RFC 6585 §5", "101 fields", get(...numbered(fieldLimit)), 431, lenient],
  ["RFC 6585 §5; Node CVE-2026-21717", "1,500 fields", get(...numbered(1_500)), 431, lenient],
  ["RFC 9112 §3", "a target of one byte more than 8 KiB", targetOf(targetLimit + 1), 414, lenient],
  ["RFC 9112 §3", "a target of 20,000 bytes", targetOf(20_000), 414, says431],
  ["RFC 9112 §3", "a target without an end", `GET /${"a".repeat(100_000)}`, 414, says431],
  ["RFC 9112 §3", "a method without an end", "G".repeat(100_000), 431, { node: { fails: "node:http says 400" } }]
]

/** The body cannot be read on, or its trailers are too large. */
const unread = [400, 431]

const chunks: ReadonlyArray<
  readonly [clause: string, name: string, bytes: string, statuses: ReadonlyArray<number>, differences?: Differences]
> = [
  ["RFC 9112 §7.1.1; Node CVE-2024-22019", "an extension without an end", `5;${"a".repeat(100_000)}`, [400, 413]],
  [
    "RFC 9112 §7.1.1; Node CVE-2024-22019",
    "an extension in each of many small chunks",
    `1;${"a".repeat(200)}\r\na\r\n`.repeat(1_000),
    [400, 413],
    {
      node: { fails: "node:http counts those of one chunk only" }
    }
  ],
  ["RFC 9112 §7.1", "a chunk size with 1,000 zeros", `${"0".repeat(1_000)}5\r\nhello\r\n`, [400], lenient],
  ["RFC 9112 §7.1.2", "trailers without an end", `0\r\n${"X-Trailer: aaaaaaaaaa\r\n".repeat(10_000)}`, unread],
  ["RFC 9112 §7.1.2", "a trailer of 20,000 bytes", `0\r\nX-Trailer: ${"a".repeat(20_000)}\r\n\r\n`, unread],
  ["RFC 9112 §7.1.2", "101 trailers", `0\r\n${message(...numbered(fieldLimit + 1))}`, unread, lenient]
]

onEachEngine("limits", (test) => {
  for (const [clause, name, bytes, differences = {}] of passes) {
    test(`${name} is allowed, and arrives whole (${clause})`, async (lab) => {
      const backend = await lab.answering(ok)
      const client = await lab.connect(await lab.balancer([backend]))
      assert.strictEqual((await client.exchange(bytes)).status, 200)
      const { fields, line } = backend.requests[0]!
      const sent = bytes.split("\r\n").slice(2, -2)
      assert.strictEqual(line, bytes.split("\r\n", 1)[0])
      assert.includeDeepMembers(fields.map((field) => field.join(": ")), sent)
    }, differences)
  }

  for (const [clause, name, bytes, status, differences = {}] of refused) {
    refuses(test, { clause, name, differences }, bytes, status)
  }

  for (const [clause, name, bytes, statuses, differences = {}] of chunks) {
    test(
      `${name} (${clause}): ${statuses.join(" or ")}, a close, and no backend takes the body for whole`,
      async (lab) => {
        const backend = await lab.answering(ok)
        const lb = await lab.balancer([backend])
        const client = await lab.connect(lb)
        await client.send(`${postChunked}3\r\nabc\r\n${bytes}${lastChunk}`)
        assert.include(statuses, (await client.response()).status)
        await client.untilOver()
        await lb.completed()
        await backend.deserted()
        assert.deepStrictEqual(backend.requests.filter((request) => request.ending === "complete"), [])
      },
      differences
    )
  }

  test("a head that comes byte by byte has the same limit (RFC 6585 §5)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    for (const byte of headOf(headLimit + 1_024)) client.socket.write(byte, "latin1")
    assert.strictEqual((await client.response()).status, 431)
    await client.untilOver()
    assertUnseen(backend)
  })

  test("100 fields of an answer arrive, also numeric ones (Node CVE-2026-21717)", async (lab) => {
    const names = numbered(fieldLimit - 1)
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Content-Length: 0", ...names))
    const client = await lab.connect(await lab.balancer([backend]))
    assert.deepStrictEqual(numberedOnly(await client.exchange(get())), names)
  })

  test("100 fields of a request arrive in order, also numeric ones (Node CVE-2026-21717)", async (lab) => {
    const names = numbered(fieldLimit - 1).toReversed()
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(get(...names))
    const [request] = backend.requests as readonly [Asked]
    assert.deepStrictEqual(numberedOnly(request), names)
  })

  test("no field is lost among thousands: all arrive, or none (Node keeps 2,000 by default; Node CVE-2026-21717)", async (lab) => {
    const names = Array.from({ length: 2_100 }, (_, i) => `${i}: `)
    const backend = await lab.answering(({ target }) =>
      target === "/few" ? message("HTTP/1.1 200 OK", "Content-Length: 0", ...names) : ok
    )
    const lb = await lab.balancer([backend])
    const sent = await (await lab.connect(lb)).exchange(get(...names))
    if (sent.status === 200) assert.deepStrictEqual(numberedOnly(backend.requests[0]!), names)
    else assert.strictEqual(sent.status, 431)
    const received = await (await lab.connect(lb)).exchange(message("GET /few HTTP/1.1", host))
    if (received.status === 200) assert.deepStrictEqual(numberedOnly(received), names)
    else assert.strictEqual(received.status, 502)
  })

  test("a head of an answer without an end means 502, before it has filled the memory (RFC 9112 §4)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send("HTTP/1.1 200 OK\r\n")
      while (!peer.socket.destroyed) await peer.send(`X-A: ${"x".repeat(100)}\r\n`.repeat(100))
    })
    const lb = await lab.balancer([backend])
    assert.strictEqual((await (await lab.connect(lb)).exchange(get())).status, 502)
    assert.strictEqual((await lb.completed()).reason, "protocol_error")
    const peer = await backend.asked()
    await peer.untilOver()
    assert.isBelow(peer.socket.bytesWritten - peer.socket.writableLength, 10_000_000)
  })

  test("so does a status line without an end (RFC 9112 §4)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send("HTTP/1.1 200 ")
      while (!peer.socket.destroyed) await peer.send("x".repeat(10_000))
    })
    const lb = await lab.balancer([backend], { response: 300 })
    assert.strictEqual((await (await lab.connect(lb)).exchange(get())).status, 502)
    await (await backend.asked()).untilOver()
  }, { node: { fails: "undici reads on until the time for the head is over" } })

  test("interim answers without an end mean 502 (RFC 9110 §15.2)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      while (!peer.socket.destroyed) await peer.send(message("HTTP/1.1 102 Processing"))
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    let answer = await client.exchange(get())
    while (answer.status < 200) answer = await client.response()
    assert.strictEqual(answer.status, 502)
    await (await backend.asked()).untilOver()
  })

  test("so do chunk extensions in an answer (Node CVE-2024-22019)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "5\r\nhello\r\n1;")
      while (!peer.socket.destroyed) await peer.send("a".repeat(10_000))
    })
    const lb = await lab.balancer([backend], { idle: 300 })
    const client = await lab.connect(lb)
    await client.send(get())
    const answer = await client.response().catch(() => undefined)
    if (answer?.status !== 502) assert.notStrictEqual(answer?.ending, "complete")
    const peer = await backend.asked()
    await peer.untilOver()
    assert.isBelow(peer.socket.bytesWritten - peer.socket.writableLength, 10_000_000)
  }, { node: { fails: "undici reads on until the time between two reads is over" } })
})
