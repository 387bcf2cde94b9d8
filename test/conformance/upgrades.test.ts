/**
 * Upgrades (RFC 9110 §7.8): a tunnel stands when a client has asked for it and the backend has agreed, and not a byte
 * sooner. Before that, and if the backend does not agree, a request to upgrade is a request like any other.
 */
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok, value, values } from "../e2e/support/Peer.ts"
import { answers, assertAnswer, forwards, get, post } from "./support/Rules.ts"
import { agreeing, asking, noTunnels } from "./support/Tunnels.ts"

const refusals: ReadonlyArray<readonly [name: string, answer: string, line: string, body: string]> = [
  ["426", `${message("HTTP/1.1 426 Upgrade Required", "Content-Length: 2")}no`, "HTTP/1.1 426 Upgrade Required", "no"],
  ["200", `${message("HTTP/1.1 200 OK", "Content-Length: 2")}no`, "HTTP/1.1 200 OK", "no"],
  ["401", message("HTTP/1.1 401 Unauthorized", "Content-Length: 0"), "HTTP/1.1 401 Unauthorized", ""]
]

/** Requests that a backend must not take for a wish to upgrade. */
const stripped: ReadonlyArray<readonly [clause: string, name: string, request: string]> = [
  [
    "RFC 9110 §7.8",
    "an upgrade in HTTP/1.0",
    message("GET / HTTP/1.0", host, "Connection: upgrade", "Upgrade: websocket")
  ],
  ["RFC 9110 §7.8", "an upgrade that Connection does not name", get("Upgrade: websocket")],
  [
    "RFC 9113 §3.1",
    "an upgrade to h2c",
    get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
  ],
  ["RFC 9113 §3.1", "an upgrade to h2c in capitals", get("Connection: upgrade", "Upgrade: H2C")],
  ["RFC 9113 §3.1", "an upgrade to h2c of another version", get("Connection: upgrade", "Upgrade: h2c/1.0")]
]

onEachEngine("upgrades", (test) => {
  forwards(
    test,
    { clause: "RFC 9110 §7.8", name: "the wish is sent to the backend, as ours", differences: noTunnels },
    get("Connection: keep-alive, Upgrade, X-Secret", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "X-Secret: 1"),
    { connection: "upgrade", fields: ["Sec-WebSocket-Version: 13", "Upgrade: websocket"] }
  )
  forwards(
    test,
    { clause: "RFC 9110 §7.8", name: "to any protocol but h2c", differences: noTunnels },
    get("Connection: upgrade", "Upgrade: foo/2"),
    { connection: "upgrade", fields: ["Upgrade: foo/2"] }
  )
  forwards(
    test,
    { clause: "RFC 9110 §5.3", name: "to one of several on several lines", differences: noTunnels },
    get("Connection: upgrade", "Upgrade: foo", "Upgrade: bar"),
    { connection: "upgrade", fields: ["Upgrade: foo, bar"] }
  )
  forwards(
    test,
    { clause: "RFC 9110 §7.8", name: "with a body", differences: noTunnels },
    `${post("Connection: upgrade", "Upgrade: foo", "Content-Length: 5")}hello`,
    { line: "POST / HTTP/1.1", connection: "upgrade", framing: "5", fields: ["Upgrade: foo"], body: "hello" }
  )

  for (const [clause, name, request] of stripped) {
    forwards(test, { clause, name: `${name} is not forwarded, but the request is` }, request, {})
    test(`${name} makes no tunnel, whatever the backend says (${clause})`, async (lab) => {
      const backend = await lab.answering(({ target }) => target === "/next" ? ok : agreeing)
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      const answer = await client.exchange(request)
      assert.strictEqual(answer.status, 502)
      await backend.deserted()
      assert.strictEqual((await lb.completed()).reason, "protocol_error")
    })
  }

  forwards(
    test,
    { clause: "RFC 9113 §3.1", name: "a body goes on without the upgrade to h2c that it came with" },
    `${post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA", "Content-Length: 5")}hello`,
    { line: "POST / HTTP/1.1", framing: "5", body: "hello" }
  )

  test("h2c is not forwarded among others either (RFC 9113 §3.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(get("Connection: upgrade, HTTP2-Settings", "Upgrade: h2c, websocket", "HTTP2-Settings: AAMA"))
    const [asked] = backend.requests
    assert.notMatch(values(asked!, "upgrade").join(), /h2c/i)
    assert.deepStrictEqual(values(asked!, "http2-settings"), [])
  })

  test("the backend's 101 is passed on (RFC 9110 §15.2.2)", async (lab) => {
    const backend = await lab.answering(agreeing)
    const client = await lab.connect(await lab.balancer([backend]))
    assertAnswer(await client.exchange(asking), {
      line: "HTTP/1.1 101 Switching Protocols",
      connection: "upgrade",
      fields: ["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Upgrade: websocket"]
    })
  }, noTunnels)

  for (const [name, answer, line, body] of refusals) {
    test(`a refusal with ${name} is an answer like any other, and the connection goes on (RFC 9110 §7.8)`, async (lab) => {
      const backend = await lab.answering(({ target }) => target === "/" ? answer : ok)
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      for (let i = 0; i < 2; i++) {
        assertAnswer(await client.exchange(asking), { line, framing: String(body.length), body })
        assert.strictEqual((await client.exchange(message("GET /next HTTP/1.1", host))).status, 200)
      }
      await lb.completed(4)
      assert.strictEqual(lb.inFlight, 0)
    })
  }

  test(
    "what comes at once with a wish that is refused is the next request, and treated as one (RFC 9110 §7.8)",
    async (lab) => {
      const backend = await lab.answering(({ target }) =>
        message("HTTP/1.1 200 OK", `Content-Length: ${target.length}`) + target
      )
      const client = await lab.connect(await lab.balancer([backend]))
      await client.send(asking + message("GET /next HTTP/1.1", host))
      assert.strictEqual((await client.response()).body.toString(), "/")
      await client.send(message("GET /last HTTP/1.1", host))
      assert.strictEqual((await client.response()).body.toString(), "/next")
      assert.strictEqual((await client.response()).body.toString(), "/last")
      assert.deepStrictEqual(backend.requests.map((request) => value(request, "x-forwarded-for")), [
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.1"
      ])
    },
    { node: { fails: "node:http loses it" } }
  )

  for (const [options, connection] of [[[], "upgrade"], [["Connection: close"], "close,upgrade"]] as const) {
    answers(
      test,
      {
        clause: "RFC 9110 §7.8, §15.5.22",
        name: `an offer to upgrade goes on to the client, and the connection does what it would (${connection})`,
        differences: noTunnels
      },
      message("HTTP/1.1 426 Upgrade Required", "Connection: upgrade", "Upgrade: websocket", "Content-Length: 0"),
      { line: "HTTP/1.1 426 Upgrade Required", connection, framing: "0", fields: ["Upgrade: websocket"] },
      { request: get(...options) }
    )
  }

  test("an offer to upgrade does not go on to an HTTP/1.0 client, whose connection ends (RFC 9110 §7.8)", async (lab) => {
    const offer = ["Connection: upgrade", "Upgrade: websocket", "Content-Length: 0"]
    const backend = await lab.answering(message("HTTP/1.1 426 Upgrade Required", ...offer))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(message("GET / HTTP/1.0", host))
    assert.deepStrictEqual([answer.status, value(answer, "connection"), values(answer, "upgrade")], [426, "close", []])
  })

  test("a 101 to another protocol than the one that was asked for means 502 (RFC 9110 §7.8)", async (lab) => {
    const backend = await lab.answering(
      message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: h2c")
    )
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange(asking)).status, 502)
    await backend.deserted()
  })

  test("a 101 in the middle of the request means 502: nobody goes on in another protocol there (RFC 9110 §7.8)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.send(`${agreeing}bytes`)
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await client.send(`${post("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5")}he`)
    assert.strictEqual((await client.response()).status, 502)
    assert.strictEqual((await lb.completed()).reason, "protocol_error")
    await backend.deserted()
  })

  test("a 101 to a request that asked for nothing is no tunnel (Pingora CVE-2026-2833, Envoy CVE-2024-23326)", async (lab) => {
    const backend = await lab.answering(`${agreeing}bytes`)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(get())).status, 502)
    await backend.deserted()
    assert.strictEqual(client.unread, "")
  })

  test("a 200 to a wish to upgrade is no tunnel (Pingora CVE-2026-2833, Envoy CVE-2024-23326)", async (lab) => {
    const backend = await lab.answering(
      `${message("HTTP/1.1 200 OK", "Connection: upgrade", "Upgrade: websocket", "Content-Length: 0")}bytes`
    )
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(asking)).status, 200)
    // What the client sends now is a request, and what the backend sent is nobody's.
    assert.strictEqual((await client.exchange(get())).status, 200)
    assert.strictEqual(client.unread, "")
  })

  test("a client that leaves while it waits for the 101 takes its wish with it", async (lab) => {
    const backend = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([backend], { idle: 60_000, response: 60_000 })
    const client = await lab.connect(lb)
    await client.send(asking)
    const origin = await backend.asked()
    client.destroy()
    await origin.untilOver()
    assert.strictEqual((await lb.completed()).reason, "client_aborted")
  })
})
