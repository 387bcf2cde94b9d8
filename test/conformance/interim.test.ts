/** Interim answers (RFC 9110 §15.2): to whom they are forwarded, and which of them are none. */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok } from "../e2e/support/Peer.ts"
import { allAnswers, assertAnswer, get, seenAnswer } from "./support/Rules.ts"

const dropped: Differences = { node: { fails: "the platform's client drops them" } }

const continued = "HTTP/1.1 100 Continue"

const interim: ReadonlyArray<
  readonly [clause: string, name: string, bytes: string, line: string, fields?: ReadonlyArray<string>]
> = [
  ["RFC 2518 §10.1", "a 102", message("HTTP/1.1 102 Processing"), "HTTP/1.1 102 Processing"],
  [
    "RFC 8297 §2",
    "a 103 with fields in order, case and repetition",
    message("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload", "link: </b>; rel=preload", "X-A: \xe9"),
    "HTTP/1.1 103 Early Hints",
    ["Link: </a>; rel=preload", "link: </b>; rel=preload", "X-A: \xe9"]
  ],
  ["RFC 9110 §15", "one that nobody knows", message("HTTP/1.1 199 Strange Thing"), "HTTP/1.1 199 Strange Thing"],
  ["RFC 9112 §4", "one without a phrase", message("HTTP/1.1 103", "X-A: 1"), "HTTP/1.1 103 ", ["X-A: 1"]],
  [
    "RFC 9110 §7.6.1",
    "one with fields about the connection, which stay on it",
    message(
      "HTTP/1.1 103 Early Hints",
      "Connection: keep-alive, X-Secret",
      "X-Secret: 1",
      "Keep-Alive: timeout=9",
      "X-A: 1"
    ),
    "HTTP/1.1 103 Early Hints",
    ["X-A: 1"]
  ],
  [
    "RFC 9110 §8.6",
    "one with a length, which it must not have",
    message("HTTP/1.1 103 Early Hints", "Content-Length: 5", "X-A: 1"),
    "HTTP/1.1 103 Early Hints",
    ["X-A: 1"]
  ]
]

const badInterim: ReadonlyArray<readonly [clause: string, name: string, bytes: string, differences?: Differences]> = [
  [
    "RFC 9110 §15.2.2",
    "a switch of protocols that nobody asked for",
    message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: h2c")
  ],
  ["RFC 9110 §15.2.2", "one without a word about the protocol", message("HTTP/1.1 101 Switching Protocols")],
  ["RFC 9112 §5.1", "a 103 with a space before a colon", message("HTTP/1.1 103 Early Hints", "Link : </a>")],
  ["RFC 9112 §2.2", "a 103 with a zero byte", message("HTTP/1.1 103 Early Hints", "Link: \0")]
]

onEachEngine("interim answers", (test) => {
  for (const [clause, name, bytes, line, fields = []] of interim) {
    test(`${name} is forwarded (${clause})`, async (lab) => {
      const backend = await lab.answering(bytes + message("HTTP/1.1 200 OK", "Content-Length: 2") + "ok")
      const client = await lab.connect(await lab.balancer([backend]))
      await client.send(get())
      assertAnswer(await client.response(), { line, fields })
      assertAnswer(await client.response(), { framing: "2", body: "ok" })
      assert.strictEqual(client.unread, "")
    }, dropped)

    test(`${name} is not for an HTTP/1.0 client (RFC 9110 §15.2)`, async (lab) => {
      const backend = await lab.answering(bytes + message("HTTP/1.1 200 OK", "Content-Length: 2") + "ok")
      const client = await lab.connect(await lab.balancer([backend]))
      await client.send(message("GET / HTTP/1.0", host))
      assertAnswer(await client.response(), { framing: "2", body: "ok", connection: "close" })
      assert.strictEqual(await client.untilOver(), "ended")
    })
  }

  test("several are forwarded in order, and their fields are none of the final one's (RFC 9110 §15.2)", async (lab) => {
    const bytes = message("HTTP/1.1 103 A", "X-A: 1") + message("HTTP/1.1 102 B") + message("HTTP/1.1 103 C", "X-C: 1")
    const backend = await lab.answering(bytes + ok)
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 2; i++) {
      await client.send(get())
      const answers = await allAnswers(client)
      assert.deepStrictEqual(answers.map(({ line }) => line), [
        "HTTP/1.1 103 A",
        "HTTP/1.1 102 B",
        "HTTP/1.1 103 C",
        "HTTP/1.1 200 OK"
      ])
      assert.deepStrictEqual(answers.map((answer) => seenAnswer(answer).fields), [["X-A: 1"], [], ["X-C: 1"], []])
    }
  }, dropped)

  test("one is on its way before the final answer is (RFC 8297 §2)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 103 Early Hints"))
      await peer.untilText("never")
    })
    const client = await lab.connect(await lab.balancer([backend], { response: 500 }))
    await client.send(get())
    assert.strictEqual((await client.response()).status, 103)
    await backend.peers.at(-1)!.send(ok)
    assert.strictEqual((await client.response()).status, 200)
  }, dropped)

  test("they do not get in the way of the final one (RFC 9110 §15.2)", async (lab) => {
    const bytes = message("HTTP/1.1 102 Processing") + message("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload")
    const backend = await lab.answering(bytes + message("HTTP/1.1 200 OK", "Content-Length: 2") + "ok")
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 2; i++) {
      await client.send(get())
      assertAnswer((await allAnswers(client)).at(-1)!, { framing: "2", body: "ok" })
    }
  })

  test("a 100 that nobody asked for goes no further (RFC 9110 §15.2.1)", async (lab) => {
    const backend = await lab.answering(message(continued) + ok)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(get())).status, 200)
  }, { node: { fails: "undici takes it for an error of the backend" } })

  test("100 of them are forwarded, and again for the next request (RFC 9110 §15.2)", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 102 Processing").repeat(100) + ok)
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 2; i++) {
      await client.send(get())
      assert.deepStrictEqual((await allAnswers(client)).map(({ status }) => status), [
        ...Array.from({ length: 100 }, () => 102),
        200
      ])
    }
    assert.lengthOf(backend.peers, 1)
  }, dropped)

  test("more than 100 of them mean 502, and the backend's connection is closed (RFC 9110 §15.2)", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 102 Processing").repeat(101) + ok)
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await client.send(get())
    assert.strictEqual((await allAnswers(client)).at(-1)!.status, 502)
    await backend.deserted()
    assert.strictEqual((await lb.completed()).reason, "protocol_error")
  })

  for (const [clause, name, bytes, differences = {}] of badInterim) {
    test(`${name} means 502, and the backend's connection is closed (${clause})`, async (lab) => {
      const backend = await lab.answering(bytes + ok)
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      await client.send(get())
      const answers = await allAnswers(client)
      assert.deepStrictEqual(answers.map(({ status }) => status), [502])
      await backend.deserted()
      assert.strictEqual((await lb.completed()).reason, "protocol_error")
    }, differences)
  }
})
