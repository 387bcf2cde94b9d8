/**
 * What RFC 9112 calls invalid is refused and never repaired: two readers of one message must not find two different ends of
 * it. And what is refused never reaches a backend, neither as it is nor as somebody else's request.
 */
import type { Differences } from "./support/Engines.ts"
import { assert, onEachEngine } from "./support/Lab.ts"
import { type Answer, message, ok, value, values } from "./support/Peer.ts"

const host = "Host: example.com"
const smuggled = message("GET /smuggled HTTP/1.1", host)
const empty = "0\r\n\r\n"
const post = (...fields: ReadonlyArray<string>): string => message("POST / HTTP/1.1", host, ...fields)
const getWith = (...fields: ReadonlyArray<string>): string => message("GET / HTTP/1.1", host, ...fields)

/** What is wrong, the bytes, and the statuses that may be the answer. */
type Case = readonly [name: string, bytes: string, ...statuses: ReadonlyArray<number>]

const framing: ReadonlyArray<Case> = [
  ["the codings gzip and chunked", post("Transfer-Encoding: gzip, chunked") + empty, 400, 501],
  [
    "both Content-Length and Transfer-Encoding (CVE-2026-2835)",
    post("Content-Length: 5", "Transfer-Encoding: chunked") + empty,
    400
  ],
  ["both, the other way round", post("Transfer-Encoding: chunked", "Content-Length: 5") + empty, 400],
  ["two different lengths", post("Content-Length: 5", "Content-Length: 6") + "hello", 400],
  ["two lengths, although they are the same", post("Content-Length: 5", "Content-Length: 5") + "hello", 400],
  ["a list of lengths", post("Content-Length: 5, 5") + "hello", 400],
  ["an empty length (CVE-2023-45539)", post("Content-Length:") + smuggled, 400],
  ["a length with a sign", post("Content-Length: +5") + "hello", 400],
  ["a negative length", post("Content-Length: -5") + "hello", 400],
  ["a length in hexadecimal", post("Content-Length: 0x5") + "hello", 400],
  ["a length with a fraction", post("Content-Length: 5.0") + "hello", 400],
  ["a length that no number can hold", post("Content-Length: 184467440737095516160") + "hello", 400],
  ["a length before a vertical tab", post("Content-Length: 5\x0b") + "hello", 400],
  ["the coding gzip", post("Transfer-Encoding: gzip") + empty, 400, 501],
  ["chunked twice", post("Transfer-Encoding: chunked, chunked") + empty, 400, 501],
  ["chunked before something else", post("Transfer-Encoding: chunked, identity") + empty, 400, 501],
  ["the coding identity", post("Transfer-Encoding: identity") + smuggled, 400, 501],
  ["a coding that looks like chunked", post("Transfer-Encoding: xchunked") + empty, 400, 501],
  ["a coding that begins like chunked", post("Transfer-Encoding: chunkedx") + empty, 400, 501],
  ["a quoted coding", post("Transfer-Encoding: \"chunked\"") + empty, 400, 501],
  ["an empty coding", post("Transfer-Encoding:") + smuggled, 400, 501],
  ["a vertical tab before the coding", post("Transfer-Encoding:\x0bchunked") + empty, 400, 501],
  ["two lines of codings", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + empty, 400, 501],
  ["a space before the colon of a length", post("Content-Length : 5") + "hello", 400],
  ["a space before the colon of a coding (CVE-2022-32213)", post("Transfer-Encoding : chunked") + empty, 400],
  ["a coding on a folded line (CVE-2022-32215)", post("Transfer-Encoding:\r\n chunked") + empty, 400]
]

const chunks: ReadonlyArray<Case> = [
  ["a chunk size that is no number", "xyz\r\n", 400],
  ["a chunk size with a sign", "-5\r\nhello\r\n", 400],
  ["a chunk size with a prefix", "0x5\r\nhello\r\n", 400],
  ["a chunk size that no number can hold", "fffffffffffffffff\r\nhello\r\n", 400],
  ["a space before a chunk size", " 5\r\nhello\r\n", 400],
  ["a chunk size on a line that ends with LF alone", "5\nhello\r\n", 400],
  ["an extension on a line that ends with LF alone (CVE-2025-22871, CVE-2025-55315)", "5;a\nhello\r\n", 400],
  ["a chunk that is longer than its size", "4\r\nhello\r\n", 400],
  ["a chunk without a line break", `5\r\nhello${empty}`, 400],
  ["an extension without an end (CVE-2024-22019)", `5;${"a".repeat(100_000)}`, 400, 413],
  ["trailers without an end", `0\r\n${"X-Trailer: aaaaaaaaaa\r\n".repeat(2_000)}`, 400, 413, 431]
]

const heads: ReadonlyArray<Case> = [
  ["two Hosts (RFC 9112 §3.2)", message("GET / HTTP/1.1", host, "Host: other.example"), 400],
  ["two Hosts, although they are the same", message("GET / HTTP/1.1", host, host), 400],
  ["a Host with a path", message("GET / HTTP/1.1", "Host: example.com/x"), 400],
  ["a Host with a user", message("GET / HTTP/1.1", "Host: user@example.com"), 400],
  ["a Host of two words", message("GET / HTTP/1.1", "Host: example.com evil.example"), 400],
  ["a Host with a backslash", message("GET / HTTP/1.1", "Host: example.com\\@evil.example"), 400],
  ["a list of Hosts", message("GET / HTTP/1.1", "Host: example.com, evil.example"), 400],
  ["a space before a colon (RFC 9112 §5.1)", getWith("X-A : 1"), 400],
  ["a folded line (RFC 9112 §5.2)", getWith("X-A: 1\r\n 2"), 400],
  ["a space before the first field line (RFC 9112 §2.2)", message("GET / HTTP/1.1", ` ${host}`, "X-A: 1"), 400],
  ["a field line without a colon", getWith("X-A"), 400],
  ["a field line without a name", getWith(": 1"), 400],
  ["a field name with a character that names do not have", getWith("X(A): 1"), 400],
  ["a zero byte in a value (RFC 9110 §5.5)", getWith("X-A: a\0b"), 400],
  ["a CR in a value (RFC 9110 §5.5)", getWith("X-A: a\rX-B: b"), 400],
  ["a control character in a value", getWith("X-A: a\x01b"), 400],
  ["lines that end with LF alone", "GET / HTTP/1.1\nHost: example.com\n\n", 400],
  ["a field line that ends with LF alone", `GET / HTTP/1.1\r\n${host}\nX-A: 1\r\n\r\n`, 400],
  ["an end of the head with LF alone", `GET / HTTP/1.1\r\n${host}\r\n\n`, 400],
  ["a tab in the request line", message("GET\t/\tHTTP/1.1", host), 400],
  ["no target", message("GET HTTP/1.1", host), 400],
  ["a target with a space", message("GET /a b HTTP/1.1", host), 400],
  ["a version that there is not", message("GET / HTTP/1.2", host), 400, 505],
  ["a version in small letters", message("GET / http/1.1", host), 400, 505],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505],
  ["a TLS greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ["noise", "\xff\xfe\x00\x01noise\r\n\r\n", 400],
  ["a head of more than 16 KiB (RFC 6585 §5)", getWith(`X-A: ${"a".repeat(20_000)}`), 431],
  ["a target of more than 16 KiB", message(`GET /${"a".repeat(20_000)} HTTP/1.1`, host), 414, 431],
  ["a head without an end", `GET / HTTP/1.1\r\n${host}\r\n${"X-A: aaaaaaaaaa\r\n".repeat(10_000)}`, 431]
]

/** What node:http takes all the same, and why. */
const lenient: ReadonlyArray<readonly [why: string, ...Case]> = [
  ["node:http refuses it, and goes on to what follows", "no Host (RFC 9112 §3.2)", message("GET / HTTP/1.1"), 400],
  [
    "node:http reads the chunks, and what follows",
    "a coding from an HTTP/1.0 client",
    message("POST / HTTP/1.0", host, "Transfer-Encoding: chunked") + empty,
    400
  ],
  ["node:http reads them as one", "two spaces in the request line", message("GET  / HTTP/1.1", host), 400],
  ["node:http answers it", "HTTP/0.9", "GET /\r\n\r\n", 400, 505],
  ["node:http answers it", "HTTP/2.0 in an HTTP/1.1 request line", message("GET / HTTP/2.0", host), 400, 505]
]

const allowed: ReadonlyArray<readonly [name: string, bytes: string, body: string]> = [
  ["empty lines before the request line (RFC 9112 §2.2)", `\r\n\r\n${getWith()}`, ""],
  ["no Host from an HTTP/1.0 client", message("GET / HTTP/1.0"), ""],
  ["white space around a value (RFC 9112 §5.1)", post("Content-Length:   5  ") + "hello", "hello"],
  ["chunked in capitals (RFC 9112 §7)", post("TRANSFER-ENCODING: CHUNKED") + `5\r\nhello\r\n${empty}`, "hello"],
  ["zeros before a chunk size", post("Transfer-Encoding: chunked") + `0005\r\nhello\r\n${empty}`, "hello"],
  ["a Host with brackets and a port", message("GET / HTTP/1.1", "Host: [::1]:8080"), ""],
  ["a Host with every character that names have", message("GET / HTTP/1.1", "Host: a-b_c.~%20!$&'()*+;=:80"), ""]
]

onEachEngine("strictness", (test) => {
  const refuses = (name: string, bytes: string, statuses: ReadonlyArray<number>, differences?: Differences) =>
    test(
      `${name}: ${statuses.join(" or ")}, then the connection is closed, and nothing reaches a backend`,
      async (lab) => {
        const backend = await lab.answering(ok)
        const client = await lab.connect(await lab.balancer([backend]))
        await client.send(bytes + smuggled)
        assert.include(statuses, (await client.response()).status)
        await client.untilOver()
        assert.deepStrictEqual(backend.requests, [])
      },
      differences
    )
  for (const [name, bytes, ...statuses] of [...framing, ...heads]) refuses(name, bytes, statuses)
  for (const [why, name, bytes, ...statuses] of lenient) refuses(name, bytes, statuses, { node: { fails: why } })

  for (const [name, bytes, ...statuses] of chunks) {
    test(`${name}: ${statuses.join(" or ")} or a close, and no backend takes the body for whole (RFC 9112 §7.1)`, async (lab) => {
      const backend = await lab.answering(ok)
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      await client.send(`${post("Transfer-Encoding: chunked")}3\r\nabc\r\n${bytes}${empty}${smuggled}`)
      const answers: Array<Answer> = []
      await client.response().then((answer) => answers.push(answer), () => {})
      for (const answer of answers) assert.include([...statuses, 502], answer.status)
      await client.untilOver()
      await lb.completed()
      await backend.deserted()
      assert.deepStrictEqual(backend.requests.filter((request) => request.ending === "complete"), [])
      assert.strictEqual(lb.inFlight, 0)
    })
  }

  for (const [name, bytes, body] of allowed) {
    test(`${name}: allowed`, async (lab) => {
      const backend = await lab.answering(ok)
      const client = await lab.connect(await lab.balancer([backend]))
      assert.strictEqual((await client.exchange(bytes)).status, 200)
      assert.strictEqual(backend.requests[0]!.body.toString(), body)
    })
  }

  test("requests that come all at once are answered in order (RFC 9112 §9.3.2)", async (lab) => {
    const release: Array<() => void> = []
    const backend = await lab.http((request, response) => {
      request.resume()
      release.push(() => response.end(request.url))
      // The last one is answered first.
      if (release.length === 5) { for (const answer of release.toReversed()) answer() }
    })
    const client = await lab.connect(await lab.balancer([backend]))
    const targets = ["/1", "/2", "/3", "/4", "/5"]
    await client.send(targets.map((target) => message(`GET ${target} HTTP/1.1`, host)).join(""))
    const bodies: Array<string> = []
    for (const _ of targets) bodies.push((await client.response()).body.toString())
    assert.deepStrictEqual(bodies, targets)
  })

  test("requests with bodies that come all at once keep their bodies", async (lab) => {
    const backend = await lab.http((request, response) => void request.pipe(response))
    const client = await lab.connect(await lab.balancer([backend]))
    const chunked = `${post("Transfer-Encoding: chunked")}5\r\nthree\r\n${empty}`
    await client.send(`${post("Content-Length: 3")}one${post("Content-Length: 3")}two${chunked}${post()}`)
    const bodies: Array<string> = []
    for (let i = 0; i < 4; i++) bodies.push((await client.response()).body.toString())
    assert.deepStrictEqual(bodies, ["one", "two", "three", ""])
  })

  test("what follows a message is none of it, and refused if it is no message", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(`${post("Content-Length: 5")}hello`)).status, 200)
    assert.strictEqual((await client.exchange(", world\r\n\r\n")).status, 400)
    await client.untilOver()
    assert.deepStrictEqual(backend.requests.map(({ body, target }) => [target, body.toString()]), [["/", "hello"]])
  })

  test("a message is answered, whatever comes at once with it", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(`${post("Content-Length: 5")}hello, world\r\n\r\n`)).status, 200)
    assert.strictEqual((await client.response()).status, 400)
  }, { node: { fails: "node:http answers the error at once, in place of the message" } })

  test("what follows a request that closes the connection is nobody's request (RFC 9112 §9.6)", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await client.send(getWith("Connection: close") + smuggled)
    await client.untilOver()
    await lb.completed()
    assert.notInclude(backend.requests.map(({ target }) => target), "/smuggled")
  })

  test(
    "a request that closes the connection is answered, whatever comes at once with it (RFC 9112 §9.6)",
    async (lab) => {
      const backend = await lab.answering(ok)
      const client = await lab.connect(await lab.balancer([backend]))
      assert.strictEqual((await client.exchange(getWith("Connection: close") + smuggled)).status, 200)
      await client.untilOver()
    },
    { node: { fails: "node:http takes what follows for an error, and answers that" } }
  )

  test("a request that comes byte by byte is a request", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    for (const byte of post("Transfer-Encoding: chunked") + `5\r\nhello\r\n${empty}`) await client.send(byte)
    assert.strictEqual((await client.response()).status, 200)
    assert.strictEqual(backend.requests[0]!.body.toString(), "hello")
  })

  test("an answer that comes byte by byte is an answer", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      const answer = message("HTTP/1.1 200 OK", "X-A: b", "Transfer-Encoding: chunked") + `5\r\nhello\r\n${empty}`
      for (const byte of answer) await peer.send(byte)
    })
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(getWith())
    assert.deepStrictEqual([answer.status, value(answer, "x-a"), answer.body.toString()], [200, "b", "hello"])
  })

  for (
    const [protocol, ...fields] of [
      ["h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
      ["websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    ] as const
  ) {
    test(`an upgrade to ${protocol} is not forwarded, and the request is answered as if it had not asked (RFC 9110 §7.8)`, async (lab) => {
      const backend = await lab.answering(message("HTTP/1.1 426 Upgrade Required", "Content-Length: 2") + "no")
      const lb = await lab.balancer([backend])
      for (const body of ["", "hello"]) {
        const client = await lab.connect(lb)
        const head = [host, `Upgrade: ${protocol}`, ...fields, ...(body === "" ? [] : ["Content-Length: 5"])]
        const answer = await client.exchange(message(`${body === "" ? "GET" : "POST"} / HTTP/1.1`, ...head) + body)
        assert.deepStrictEqual([answer.status, answer.body.toString()], [426, "no"])
        const request = backend.requests.at(-1)!
        assert.deepStrictEqual([values(request, "upgrade"), values(request, "http2-settings")], [[], []])
        assert.notMatch(value(request, "connection") ?? "", /upgrade/i)
        assert.strictEqual(request.body.toString(), body)
        // Nothing was upgraded: what follows is a request.
        assert.strictEqual((await client.exchange(getWith())).status, 426)
      }
      await lb.completed(4)
      assert.strictEqual(lb.inFlight, 0)
    })

    test(`a backend that switches to ${protocol} unasked is no tunnel (CVE-2026-2833, CVE-2024-23326)`, async (lab) => {
      const backend = await lab.answering(
        message("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", `Upgrade: ${protocol}`) + "bytes"
      )
      const client = await lab.connect(await lab.balancer([backend]))
      const answer = await client.exchange(getWith(`Upgrade: ${protocol}`, ...fields))
      assert.strictEqual(answer.status, 502)
    })
  }

  test("a client that leaves during a request that asked for an upgrade aborts it", async (lab) => {
    const backend = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([backend], { idle: 60_000, response: 60_000 })
    const client = await lab.connect(lb)
    await client.send(getWith("Connection: Upgrade", "Upgrade: websocket"))
    const origin = await backend.asked()
    client.destroy()
    await origin.untilOver()
    assert.strictEqual((await lb.completed()).reason, "client_aborted")
  })

  test("CONNECT gets no tunnel and no hang (RFC 9110 §9.3.6)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("CONNECT internal.example:22 HTTP/1.1", "Host: internal.example:22"))
    const answer = await client.response()
    assert.include([400, 405, 501], answer.status)
    await client.untilOver()
    assert.deepStrictEqual(backend.requests, [])
  })

  test("TRACE is a request like any other (RFC 9110 §9.3.8)", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 405 Method Not Allowed", "Content-Length: 0"))
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(message("TRACE / HTTP/1.1", host))).status, 405)
    assert.strictEqual(backend.requests[0]!.method, "TRACE")
  })
})
