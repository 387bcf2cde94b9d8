/** What a client may wait for before it sends a body (RFC 9110 §10.1.1): it gets a 100 from us, or an answer. */
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok, type Peer } from "../e2e/support/Peer.ts"
import {
  allAnswers,
  assertAnswer,
  assertRequest,
  assertUnseen,
  echo,
  get,
  lastChunk,
  post,
  seenAnswer,
  smuggled
} from "./support/Rules.ts"

const continued = "HTTP/1.1 100 Continue"

const expecting = (...fields: ReadonlyArray<string>): string => post("Expect: 100-continue", ...fields)

onEachEngine("expectations", (test) => {
  for (
    const [name, head, bytes, framing] of [
      ["a counted body", expecting("Content-Length: 5"), "hello", "5"],
      ["a chunked body", expecting("Transfer-Encoding: chunked"), `5\r\nhello\r\n${lastChunk}`, "chunked"],
      ["an expectation in capitals", post("EXPECT: 100-CONTINUE", "Content-Length: 5"), "hello", "5"]
    ] as const
  ) {
    test(`who waits for 100 with ${name} gets it from us, and the backend sees no Expect (RFC 9110 §10.1.1)`, async (lab) => {
      const backend = await lab.answering(ok)
      const client = await lab.connect(await lab.balancer([backend]))
      await client.send(head)
      assertAnswer(await client.response(), { line: continued })
      assert.strictEqual((await client.exchange(bytes)).status, 200)
      assertRequest(backend.requests[0], { line: "POST / HTTP/1.1", framing, body: "hello" })
      assert.strictEqual((await client.exchange(get())).status, 200)
    })
  }

  test("a 100 of the backend's does not follow ours (RFC 9110 §15.2)", async (lab) => {
    const backend = await lab.answering(message(continued) + ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(expecting("Content-Length: 5"))
    assert.strictEqual((await client.response()).status, 100)
    await client.send("hello")
    assert.deepStrictEqual((await allAnswers(client)).map(({ status }) => status), [200])
  }, { node: { fails: "undici takes it for an error of the backend" } })

  test("a 100 never follows the head that it is for, behind other answers either (RFC 9110 §15.2)", async (lab) => {
    const held = new Set<Peer>()
    const backend = await lab.raw(async (peer) => {
      while (true) {
        const { target } = await peer.request()
        if (target === "/first") held.add(peer)
        else await peer.send(echo(target))
      }
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    const waiting = message("POST /second HTTP/1.1", host, "Expect: 100-continue", "Content-Length: 5")
    await client.send(`${message("GET /first HTTP/1.1", host)}${waiting}hello`)
    // What was answered before these exchanges waits only for the first answer.
    const other = await lab.connect(lb)
    for (const target of ["/3", "/4"]) await other.exchange(message(`GET ${target} HTTP/1.1`, host))
    for (const peer of held) await peer.send(echo("/first"))
    assert.strictEqual((await client.response()).body.toString(), "/first")
    assert.strictEqual((await allAnswers(client)).at(-1)?.body.toString(), "/second")
    assert.strictEqual(client.unread, "")
  })

  test("who waits for 100 behind another request gets it in its turn (RFC 9112 §9.3.2)", async (lab) => {
    const backend = await lab.answering(({ body, target }) => echo(target + body.toString()))
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("GET /first HTTP/1.1", host) + expecting("Content-Length: 5"))
    assert.strictEqual((await client.response()).body.toString(), "/first")
    assertAnswer(await client.response(), { line: continued })
    assert.strictEqual((await client.exchange("hello")).body.toString(), "/hello")
  })

  test("who announces 100-continue and does not wait is served as well (RFC 9110 §10.1.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(`${expecting("Content-Length: 5")}hello`)
    assert.strictEqual((await allAnswers(client)).at(-1)!.status, 200)
    assertRequest(backend.requests[0], { line: "POST / HTTP/1.1", framing: "5", body: "hello" })
  })

  test("who has no body to wait with gets no 100 (RFC 9110 §10.1.1)", async (lab) => {
    const lb = await lab.balancer([await lab.answering(ok)])
    for (const request of [get("Expect: 100-continue"), expecting("Content-Length: 0")]) {
      assert.strictEqual((await (await lab.connect(lb)).exchange(request)).status, 200)
    }
  })

  test("an HTTP/1.0 client gets no 100 (RFC 9110 §10.1.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    const head = message("POST / HTTP/1.0", host, "Expect: 100-continue", "Content-Length: 5")
    assert.strictEqual((await client.exchange(`${head}hello`)).status, 200)
    assertRequest(backend.requests[0], { line: "POST / HTTP/1.1", framing: "5", body: "hello" })
  })

  for (const expectation of ["tea", "100-continue, tea", "100-continued", "100-continue=1"]) {
    test(
      `the expectation ${expectation}, which nobody knows, is refused with 417 (RFC 9110 §10.1.1)`,
      async (lab) => {
        const backend = await lab.answering(ok)
        const client = await lab.connect(await lab.balancer([backend]))
        await client.send(post(`Expect: ${expectation}`, "Content-Length: 5"))
        assert.strictEqual((await client.response()).status, 417)
        assertUnseen(backend)
      },
      expectation.startsWith("100-continue,") || expectation.startsWith("100-continue=")
        ? { node: { fails: "node:http looks for 100-continue in it" } }
        : {}
    )
  }

  const notForNode = { node: { fails: "node:http takes it for one that nobody knows" } }
  for (
    const [fields, differences] of [
      [["Expect:"], notForNode],
      [["Expect: ,"], notForNode],
      [["Expect: 100-continue, "], {}],
      [["Expect: 100-continue", "Expect: 100-Continue"], {}]
    ] as const
  ) {
    test(`${fields.join(" and ")} is no other expectation (RFC 9110 §5.6.1, §10.1.1)`, async (lab) => {
      const client = await lab.connect(await lab.balancer([await lab.answering(ok)]))
      await client.send(`${post(...fields, "Content-Length: 5")}hello`)
      assert.strictEqual((await allAnswers(client)).at(-1)!.status, 200)
    }, differences)
  }

  test("an expectation that nobody knows on another line is refused with 417 (RFC 9110 §5.3)", async (lab) => {
    const client = await lab.connect(await lab.balancer([await lab.answering(ok)]))
    await client.send(post("Expect: 100-continue", "Expect: tea", "Content-Length: 5"))
    assert.strictEqual((await client.response()).status, 417)
  }, { node: { fails: "node:http looks at the first line" } })

  test("a HEAD that is refused gets no content (RFC 9110 §9.3.2)", async (lab) => {
    const client = await lab.connect(await lab.balancer([await lab.answering(ok)]))
    const answer = await client.exchange(message("HEAD / HTTP/1.1", host, "Expect: tea", "Connection: close"), {
      noBody: true
    })
    assert.strictEqual(answer.status, 417)
    await client.untilOver()
    assert.strictEqual(client.unread, "")
  })

  test("who is refused with 417 sends its body to nobody (RFC 9110 §10.1.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(post("Expect: tea", `Content-Length: ${smuggled.length}`) + smuggled)
    assert.strictEqual(answer.status, 417)
    await client.send(get("Connection: close"))
    await client.untilOver()
    assert.deepStrictEqual(backend.requests.filter(({ target }) => target === "/smuggled"), [])
  })

  test("who cannot be served gets the error instead of 100, and then a close (RFC 9110 §10.1.1)", async (lab) => {
    const client = await lab.connect(await lab.balancer([{ origin: await lab.nobody() }]))
    const answer = await client.exchange(expecting("Content-Length: 1000000"))
    assert.strictEqual(answer.status, 503)
    // The body was never asked for, and the client may or may not send it: only a close makes the next message clear.
    assert.strictEqual(seenAnswer(answer).connection, "close")
    await client.untilOver()
  })

  test("a backend can refuse before it reads the body, and the client gets to know (RFC 9110 §10.1.1; Go CVE-2024-24791)", async (lab) => {
    const seen: Array<string> = []
    const backend = await lab.raw(async (peer) => {
      while (true) {
        const { line, method } = await peer.requestHead()
        seen.push(line)
        await peer.send(message("HTTP/1.1 413 Content Too Large", "Content-Length: 3") + "too")
        if (method === "POST") await peer.bytes(smuggled.length)
      }
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    let answer = await client.exchange(expecting(`Content-Length: ${smuggled.length}`))
    await client.send(smuggled)
    if (answer.status === 100) answer = await client.response()
    assert.deepStrictEqual([answer.line, answer.body.toString()], ["HTTP/1.1 413 Content Too Large", "too"])
    // The body is nobody's request, and no connection is used again on which it is still expected.
    const other = await lab.connect(lb)
    assert.strictEqual((await other.exchange(message("GET /other HTTP/1.1", host))).status, 413)
    assert.deepStrictEqual(seen, ["POST / HTTP/1.1", "GET /other HTTP/1.1"])
  })
})
