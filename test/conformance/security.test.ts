/**
 * What other proxies had advisories for, as attacks from end to end: somebody attacks, and somebody else on the same
 * balancer must not notice.
 *
 * The shapes of a message that such attacks are made of have their tests beside the rule that they break: framing and
 * requests in `request-framing` and `request-heads`, targets in `targets`, tunnels in `upgrades`, claims about the
 * client in `hop-by-hop` and `trailers`, exhaustion in `limits`. Answers that are cut are in `e2e/truncation`, answers
 * on idle connections and deaths at every byte in `e2e/robustness`, early answers in `e2e/errors`.
 */
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok } from "../e2e/support/Peer.ts"
import { answers, assertAnswer, echo, forwards, get, lastChunk, postChunked, smuggled } from "./support/Rules.ts"

const attack = (...fields: ReadonlyArray<string>): string => message("POST /attack HTTP/1.1", host, ...fields)

/**
 * The length of what comes before the hidden request, so that a reader of Content-Length and one of chunks disagree.
 */
const ambiguous: ReadonlyArray<readonly [name: string, bytes: string]> = [
  [
    "CL.TE: the front reads the length, the back the chunks",
    attack(`Content-Length: ${lastChunk.length + smuggled.length}`, "Transfer-Encoding: chunked") + lastChunk + smuggled
  ],
  [
    "TE.CL: the front reads the chunks, the back the length",
    `${attack("Content-Length: 4", "Transfer-Encoding: chunked")}${
      smuggled.length.toString(16)
    }\r\n${smuggled}\r\n${lastChunk}`
  ],
  [
    "TE.TE: one of both does not know the coding",
    attack("Content-Length: 4", "Transfer-Encoding: chunked", "Transfer-encoding: x") + lastChunk + smuggled
  ],
  [
    "a coding with a vertical tab",
    attack("Content-Length: 4", "Transfer-Encoding: \x0bchunked") + lastChunk + smuggled
  ],
  ["a coding behind a space", attack("Content-Length: 4", " Transfer-Encoding: chunked") + lastChunk + smuggled],
  [
    "a coding behind a LF",
    attack(`Content-Length: ${lastChunk.length}`, "X: y\nTransfer-Encoding: chunked") + lastChunk + smuggled
  ],
  [
    "a coding before a colon with a space",
    attack("Content-Length: 4", "Transfer-Encoding : chunked") + lastChunk + smuggled
  ],
  [
    "CL.0: the back reads no body",
    message("GET /attack HTTP/1.1", host, `Content-Length: ${smuggled.length}`) + smuggled
  ],
  ["0.CL: the front reads no length", attack("Content-Length:", `Content-Length: ${smuggled.length}`) + smuggled],
  ["two lengths", attack("Content-Length: 0", `Content-Length: ${smuggled.length}`) + smuggled],
  ["a length with a plus", attack(`Content-Length: +${smuggled.length}`) + smuggled],
  [
    "TERM.EXT: an extension that ends with LF for one of both",
    `${attack("Transfer-Encoding: chunked")}2;\nxx\r\n10\r\n\r\n0\r\n\r\n${smuggled}`
  ],
  [
    "EXT.TERM: an extension that ends with CR for one of both",
    `${attack("Transfer-Encoding: chunked")}2;\rxx\r\n10\r\n\r\n0\r\n\r\n${smuggled}`
  ],
  [
    "SPILL: a chunk that is longer than its size",
    `${attack("Transfer-Encoding: chunked")}5\r\nhelloXX0\r\n\r\n${smuggled}`
  ],
  [
    "chunks from an HTTP/1.0 client",
    message("POST /attack HTTP/1.0", host, "Transfer-Encoding: chunked", "Connection: keep-alive") + smuggled
  ],
  ["a folded coding", attack("Content-Length: 4", "Transfer-Encoding:\r\n chunked") + lastChunk + smuggled],
  ["the hidden request in a trailer", `${attack("Transfer-Encoding: chunked")}0\r\nX: y\r\n${smuggled}`]
]

/** Names that mean something to JavaScript. */
const names = [
  "__proto__: a",
  "constructor: b",
  "toString: c",
  "hasOwnProperty: d",
  "valueOf: e",
  "__proto__: f",
  "then: g"
]

onEachEngine("security", (test) => {
  for (const [name, bytes] of ambiguous) {
    test(`request smuggling harms nobody else (${name})`, async (lab) => {
      const backend = await lab.answering(({ target }) => echo(target))
      const lb = await lab.balancer([backend])
      const victim = await lab.connect(lb)
      const attacker = await lab.connect(lb)
      const ask = async () => {
        const answer = await victim.exchange(message("GET /victim HTTP/1.1", host))
        assert.deepStrictEqual([answer.status, answer.body.toString()], [200, "/victim"])
      }
      await ask()
      await attacker.send(bytes)
      assert.include([200, 400, 501], (await attacker.response()).status)
      for (let i = 0; i < 3; i++) await ask()
      assert.isEmpty(backend.requests.map(({ target }) => target).filter((it) => it !== "/victim" && it !== "/attack"))
    })
  }

  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
    test(`the body of ${method} never becomes a request of somebody else (Next.js CVE-2026-29057)`, async (lab) => {
      const backend = await lab.answering(({ target }) => echo(target))
      const lb = await lab.balancer([backend])
      const victim = await lab.connect(lb)
      const head = [`${method} /attack HTTP/1.1`, host]
      const attacks = [
        message(...head, `Content-Length: ${smuggled.length}`) + smuggled,
        `${message(...head, "Transfer-Encoding: chunked")}${
          smuggled.length.toString(16)
        }\r\n${smuggled}\r\n${lastChunk}`,
        // The five bytes that a connection which is used again would read from the next request.
        `${message(...head, "Content-Length: 5")}GET /`
      ]
      for (const bytes of attacks) {
        const attacker = await lab.connect(lb)
        await attacker.exchange(bytes, { noBody: method === "HEAD" })
        for (const target of ["/victim-1", "/victim-2"]) {
          const answer = await victim.exchange(message(`GET ${target} HTTP/1.1`, host))
          assert.deepStrictEqual([answer.status, answer.body.toString()], [200, target])
        }
      }
      assert.isEmpty(
        backend.requests.map(({ target }) => target).filter((it) => !/^\/(?:attack|victim-[12])$/.test(it))
      )
    })
  }

  test("an answer that comes with another one is nobody's (Node CVE-2026-48931, undici GHSA-35p6-xmwp-9g52)", async (lab) => {
    const poison = `${message("HTTP/1.1 200 OK", "Content-Length: 6")}poison`
    const backend = await lab.answering(({ target }) =>
      target === "/attack" ? echo(target) + poison.repeat(3) : echo(target)
    )
    const lb = await lab.balancer([backend])
    const [attacker, victim] = [await lab.connect(lb), await lab.connect(lb)]
    for (let i = 0; i < 10; i++) {
      assert.strictEqual((await attacker.exchange(message("GET /attack HTTP/1.1", host))).body.toString(), "/attack")
      assert.strictEqual((await victim.exchange(message("GET /victim HTTP/1.1", host))).body.toString(), "/victim")
    }
  })

  test(
    "what comes on an idle connection is no answer to a request that is just about to leave (Node CVE-2026-48931)",
    async (lab) => {
      const poison = `${message("HTTP/1.1 200 OK", "Content-Length: 6")}poison`
      const backend = await lab.answering(({ target }) => echo(target))
      const lb = await lab.balancer([backend])
      const [client, other] = [await lab.connect(lb), await lab.connect(lb)]
      const head = message("PUT /mine HTTP/1.1", host, "Content-Length: 10")
      for (let i = 0; i < 5; i++) {
        await client.exchange(get())
        const idle = backend.peers.find((peer) => !peer.over)
        // In one turn, so that both are there before the balancer reads either, the request first.
        client.socket.write(`${head}01234`)
        idle?.socket.write(poison)
        await other.exchange(get())
        await client.send("56789")
        assert.strictEqual((await client.response()).body.toString(), "/mine")
      }
    },
    { node: { races: "undici takes what comes in the same turn for the answer" } }
  )

  for (const framing of ["Content-Length: 44", "Transfer-Encoding: chunked"]) {
    test(
      `a body that a 204 announces with ${framing} is nobody's answer, however late it comes (RFC 9110 §8.6)`,
      async (lab) => {
        const backend = await lab.raw(async (peer, nth) => {
          await peer.request()
          if (nth > 0) return peer.send(echo("right"))
          await peer.send(message("HTTP/1.1 204 No Content", framing))
          await peer.request()
          return peer.send(echo("poisoned"))
        })
        const client = await lab.connect(await lab.balancer([backend]))
        assert.strictEqual((await client.exchange(get())).status, 204)
        assert.strictEqual((await client.exchange(get())).body.toString(), "right")
      }
    )
  }

  test("a body that comes after an answer to HEAD is nobody's answer (undici GHSA-35p6-xmwp-9g52)", async (lab) => {
    const poison = `${message("HTTP/1.1 200 OK", "Content-Length: 6")}poison`
    const backend = await lab.answering(({ method, target }) =>
      method === "HEAD" ? message("HTTP/1.1 200 OK", `Content-Length: ${poison.length}`) + poison : echo(target)
    )
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 5; i++) {
      await client.exchange(message("HEAD / HTTP/1.1", host), { noBody: true })
      assert.strictEqual((await client.exchange(message("GET /mine HTTP/1.1", host))).body.toString(), "/mine")
    }
  })

  test("the rest of an upload after an early answer is nobody's request (Pingora CVE-2025-4366)", async (lab) => {
    const seen: Array<string> = []
    const backend = await lab.raw(async (peer) => {
      for (let target = ""; target !== "/attack";) {
        target = (await peer.requestHead()).target
        seen.push(target)
        await peer.send(ok)
      }
    })
    const lb = await lab.balancer([backend])
    const attacker = await lab.connect(lb)
    await attacker.send(message("POST /attack HTTP/1.1", host, "Content-Length: 1000000") + "x".repeat(100))
    assert.strictEqual((await attacker.response()).status, 200)
    await attacker.send(smuggled)
    for (let i = 0; i < 3; i++) {
      assert.strictEqual((await (await lab.connect(lb)).exchange(message("GET /victim HTTP/1.1", host))).status, 200)
    }
    assert.deepStrictEqual(seen, ["/attack", "/victim", "/victim", "/victim"])
  })

  const clause = "Node CVE-2026-21710"
  forwards(test, { clause, name: "names of JavaScript are names like any other, in requests" }, get(...names), {
    fields: names
  })
  answers(
    test,
    { clause, name: "names of JavaScript are names like any other, in answers" },
    message("HTTP/1.1 200 OK", ...names, "Content-Length: 0"),
    { framing: "0", fields: names }
  )
  forwards(
    test,
    { clause, name: "also in trailers of a request", differences: { node: { fails: "it has no trailers" } } },
    `${postChunked}0\r\n${message(...names)}`,
    { line: "POST / HTTP/1.1", framing: "chunked", trailers: names }
  )
  answers(
    test,
    { clause, name: "also in trailers of an answer", differences: { node: { fails: "it has no trailers" } } },
    `${message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}0\r\n${message(...names)}`,
    { framing: "chunked", trailers: names }
  )
  forwards(
    test,
    { clause, name: "and as options of Connection" },
    get("Connection: __proto__, constructor", "__proto__: a"),
    {}
  )

  for (
    const bytes of [
      `${message("HTTP/1.1 200 OK", "Trailer: X-A", "Content-Length: 5")}hello`,
      `${message("HTTP/1.1 200 OK", "Trailer: X-A", "Transfer-Encoding: chunked")}5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n`
    ]
  ) {
    for (const version of ["1.0", "1.1"]) {
      const framing = bytes.includes("chunked") ? "a chunked" : "a counted"
      test(`Trailer in the head of ${framing} answer for HTTP/${version} does no harm (http-proxy)`, async (lab) => {
        const client = await lab.connect(await lab.balancer([await lab.answering(bytes)]))
        const answer = await client.exchange(message(`GET / HTTP/${version}`, host))
        assert.deepStrictEqual([answer.status, answer.ending, answer.body.toString()], [200, "complete", "hello"])
      })
    }
  }

  test("a wish to upgrade with many fields does no harm (ws CVE-2024-37890)", async (lab) => {
    const many = Array.from({ length: 90 }, (_, i) => `X-${i}: ${i}`)
    const backend = await lab.answering(message("HTTP/1.1 426 Upgrade Required", "Content-Length: 0"))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get(...many, "Connection: upgrade", "Upgrade: websocket"))
    assertAnswer(answer, { line: "HTTP/1.1 426 Upgrade Required", framing: "0" })
    assert.strictEqual(backend.requests[0]!.fields.filter(([name]) => /^X-\d+$/.test(name)).length, 90)
  })
})
