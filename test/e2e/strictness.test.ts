/**
 * What RFC 9112 calls invalid is refused and never repaired: two readers of one message must not find two different ends of
 * it. And what is refused never reaches a backend, neither as it is nor as somebody else's request.
 */
import { assert, onEachEngine } from "./support/Lab.ts"
import { message, ok, value, values } from "./support/Peer.ts"

const host = "Host: example.com"
const smuggled = message("GET /smuggled HTTP/1.1", host)
const empty = "0\r\n\r\n"
const post = (...fields: ReadonlyArray<string>): string => message("POST / HTTP/1.1", host, ...fields)
const getWith = (...fields: ReadonlyArray<string>): string => message("GET / HTTP/1.1", host, ...fields)

onEachEngine("strictness", (test) => {
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
