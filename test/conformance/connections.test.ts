/** Connections (RFC 9112 §9): which of them go on after an exchange, which end, and when. */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok, value } from "../e2e/support/Peer.ts"
import { assertRequest, echo, get, lastChunk, post } from "./support/Rules.ts"

const counted = message("HTTP/1.1 200 OK", "Content-Length: 5") + "hello"
const chunked = message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + `5\r\nhello\r\n${lastChunk}`
const old = (...fields: ReadonlyArray<string>): string => message("GET / HTTP/1.0", host, ...fields)

/** What a client asks, what the backend answers, and what becomes of the client's connection. */
type Case = readonly [
  clause: string,
  name: string,
  request: string,
  answer: string,
  after: "kept" | "closed",
  differences?: Differences
]

const kept: ReadonlyArray<Case> = [
  ["RFC 9112 §9.3", "an HTTP/1.1 connection goes on", get(), counted, "kept"],
  ["RFC 9112 §9.3", "also after chunks", get(), chunked, "kept"],
  ["RFC 9112 §9.3", "also after a 204", get(), message("HTTP/1.1 204 No Content"), "kept"],
  ["RFC 9112 §9.3", "also after a 304", get(), message("HTTP/1.1 304 Not Modified", "Content-Length: 5"), "kept"],
  [
    "RFC 9112 §9.3",
    "also after an error of the backend's",
    get(),
    message("HTTP/1.1 500 No", "Content-Length: 0"),
    "kept"
  ],
  ["RFC 9112 §9.3", "also after a body", `${post("Content-Length: 5")}hello`, counted, "kept"],
  [
    "RFC 9110 §7.6.1",
    "whatever the backend says about its own",
    get(),
    message("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 0"),
    "kept"
  ],
  ["RFC 9110 §7.6.1", "and whatever version it speaks", get(), message("HTTP/1.0 200 OK", "Content-Length: 0"), "kept"],
  ["RFC 9110 §7.6.1", "other options close nothing", get("Connection: closed, x-close"), counted, "kept"],
  ["RFC 9112 §9.6", "Connection: close ends it", get("Connection: close"), counted, "closed"],
  ["RFC 9112 §9.6", "in capitals, too", get("CONNECTION: CLOSE"), counted, "closed"],
  ["RFC 9112 §9.6", "among other options, too", get("Connection: X-A,\tclose , X-B"), counted, "closed"],
  ["RFC 9112 §9.6", "in a second line, too", get("Connection: X-A", "Connection: close"), counted, "closed"],
  ["RFC 9112 §9.3", "close outranks keep-alive", get("Connection: keep-alive, close"), counted, "closed"],
  ["RFC 9112 §9.6", "also after chunks", get("Connection: close"), chunked, "closed"],
  ["RFC 9112 §9.6", "also after a 204", get("Connection: close"), message("HTTP/1.1 204 No Content"), "closed"],
  ["RFC 9112 §9.3", "an HTTP/1.0 connection ends", old(), counted, "closed"],
  ["RFC 9112 §9.3", "unless it is to be kept", old("Connection: keep-alive"), counted, "kept"],
  ["RFC 9112 §9.3", "in capitals, too", old("Connection: Keep-Alive"), counted, "kept"],
  ["RFC 9112 §9.3", "also after a 204", old("Connection: keep-alive"), message("HTTP/1.1 204 No Content"), "kept", {
    node: { fails: "node:http knows no length, and closes" }
  }],
  ["RFC 9112 §9.3", "but not with close beside it", old("Connection: keep-alive, close"), counted, "closed", {
    node: { fails: "node:http keeps it" }
  }],
  ["RFC 9112 §9.3", "nor by Proxy-Connection", old("Proxy-Connection: keep-alive"), counted, "closed", {
    node: { fails: "node:http takes it for Connection" }
  }],
  ["RFC 9112 §9.3", "nor after a body without a length", old("Connection: keep-alive"), chunked, "closed"]
]

/** What ends a backend's connection, and what does not. */
const backends: ReadonlyArray<readonly [clause: string, name: string, answer: string, reused: boolean]> = [
  ["RFC 9112 §9.3", "is used again after a counted body", counted, true],
  ["RFC 9112 §9.3", "is used again after chunks", chunked, true],
  ["RFC 9112 §9.3", "is used again after a 204", message("HTTP/1.1 204 No Content"), true],
  [
    "RFC 9112 §9.6",
    "is not used again after Connection: close",
    message("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 0"),
    false
  ],
  [
    "RFC 9112 §9.6",
    "nor in capitals",
    message("HTTP/1.1 200 OK", "connection: X-A, CLOSE", "Content-Length: 0"),
    false
  ],
  ["RFC 9112 §9.3", "is not used again after HTTP/1.0", message("HTTP/1.0 200 OK", "Content-Length: 0"), false],
  ["RFC 9112 §6.3", "is not used again if something came after the answer", `${counted}more`, false],
  [
    "RFC 9112 §6.3",
    "is not used again if something came after a 204",
    `${message("HTTP/1.1 204 No Content")}more`,
    false
  ]
]

onEachEngine("connections", (test) => {
  for (const [clause, name, request, answer, after, differences = {}] of kept) {
    test(`${name} (${clause}): ${after}`, async (lab) => {
      const backend = await lab.answering(answer)
      const client = await lab.connect(await lab.balancer([backend]))
      const { ending, fields } = await client.exchange(request)
      assert.strictEqual(ending, "complete")
      const options = fields.filter(([name]) => name.toLowerCase() === "connection").map(([, value]) =>
        value.toLowerCase()
      )
      if (after === "closed") {
        assert.include(options, "close")
        assert.strictEqual(await client.untilOver(), "ended")
        return
      }
      // HTTP/1.0 clients must be told (RFC 9112 Appendix C.2.2).
      assert.deepStrictEqual(
        options,
        request.includes("HTTP/1.0") ? ["keep-alive"] : options.filter((it) => it !== "close")
      )
      assert.strictEqual((await client.exchange(request)).ending, "complete")
    }, differences)
  }

  for (const [clause, name, answer, reused] of backends) {
    test(`a backend's connection ${name} (${clause})`, async (lab) => {
      const backend = await lab.answering(answer)
      const client = await lab.connect(await lab.balancer([backend]))
      for (let i = 0; i < 4; i++) assert.strictEqual((await client.exchange(get())).ending, "complete")
      const counts = backend.peers.map(({ requestsRead }) => requestsRead).filter((count) => count > 0)
      assert.deepStrictEqual(counts, reused ? [4] : [1, 1, 1, 1])
    })
  }

  test("a client's Connection: close does not close the backend's (RFC 9110 §7.6.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend])
    for (let i = 0; i < 3; i++) await (await lab.connect(lb)).exchange(get("Connection: close"))
    assert.deepStrictEqual(backend.peers.map(({ requestsRead }) => requestsRead).filter((count) => count > 0), [3])
  })

  test("empty lines between requests are passed over (RFC 9112 §2.2)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(`${post("Content-Length: 5")}hello\r\n\r\n\r\n${get()}`)
    for (let i = 0; i < 2; i++) assert.strictEqual((await client.response()).status, 200)
    assertRequest(backend.requests[1], {})
  })

  test("a client that ends its half in the middle of an exchange has left (RFC 9112 §9.5)", async (lab) => {
    const backend = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([backend], { idle: 60_000, response: 60_000 })
    const client = await lab.connect(lb)
    await client.send(get())
    const origin = await backend.asked()
    client.end()
    await origin.untilOver()
    await client.untilOver()
    assert.strictEqual((await lb.completed()).reason, "client_aborted")
  })

  test("a client that ends its half between two exchanges gets the end of the other (RFC 9112 §9.6)", async (lab) => {
    const lb = await lab.balancer([await lab.answering(ok)])
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange(get())).status, 200)
    client.end()
    assert.strictEqual(await client.untilOver(), "ended")
    assert.strictEqual((await lb.completed()).reason, undefined)
  })

  test("a backend that says 408 on an idle connection and closes it has answered nobody (RFC 9110 §15.5.9)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while (true) await peer.send(echo((await peer.request()).target))
    })
    const client = await lab.connect(await lab.balancer([backend]))
    for (const target of ["/1", "/2", "/3", "/4", "/5"]) {
      assert.deepStrictEqual((await client.exchange(message(`GET ${target} HTTP/1.1`, host))).body.toString(), target)
      const idle = backend.peers.filter((peer) => !peer.over)
      for (const peer of idle) {
        await peer.send(message("HTTP/1.1 408 Request Timeout", "Connection: close", "Content-Length: 0"))
        peer.end()
        await peer.untilOver()
      }
    }
  })

  test("the last answer says that the connection ends (RFC 9112 §9.6)", async (lab) => {
    const client = await lab.connect(await lab.balancer([await lab.answering(ok)]))
    assert.strictEqual(value(await client.exchange(get("Connection: close")), "connection")?.toLowerCase(), "close")
    assert.strictEqual(await client.untilOver(), "ended")
  })
})
