/**
 * What a client gets when a backend does not answer as it should: the right status, soon, and a
 * connection that goes on.
 */
import { frozen } from "./support/Frozen.ts"
import { assert, type Balancer, onEachEngine } from "./support/Lab.ts"
import { type Answer, host, message, ok, type Peer, value } from "./support/Peer.ts"

const get = message("GET / HTTP/1.1", host)
const post = message("POST / HTTP/1.1", host, "Content-Length: 5") + "hello"

/** Asserts what the client was told, and that the log says the same. */
const assertRefused = async (lb: Balancer, answer: Answer, status: number, reason: string, nth = 1): Promise<void> => {
  assert.deepStrictEqual([answer.status, answer.ending], [status, "complete"])
  assert.include(answer.body.toString(), `reason: ${reason}`)
  const entry = await lb.completed(nth)
  assert.deepStrictEqual([entry.status, entry.reason], [status, reason])
  assert.strictEqual(lb.inFlight, 0)
}

onEachEngine("errors", (test) => {
  test("a backend that refuses connections is passed over for another one", async (lab) => {
    const down = await lab.named("down")
    const up = await lab.named("up")
    const lb = await lab.balancer([down, up])
    await down.stop()
    const client = await lab.connect(lb)
    for (let i = 0; i < 6; i++) assert.strictEqual((await client.exchange(get)).body.toString(), "up")
    await lb.completed(6)
    const { failed, inFlight, total } = lb.members[0]!.endpoint.load
    assert.deepStrictEqual([failed, inFlight], [total, 0])
    assert.isAtLeast(total, 3)
    for (const { backend, tries } of lb.journal.completed) {
      assert.strictEqual(backend, up.origin)
      assert.include([1, 2], tries)
    }
  })

  test("a body that was not begun goes whole to the next backend, with either framing", async (lab) => {
    const down = await lab.named("down")
    const up = await lab.answering(ok)
    const lb = await lab.balancer([down, up])
    await down.stop()
    const client = await lab.connect(lb)
    const chunked = message("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n"
    for (const request of [post, post, chunked, chunked]) {
      assert.strictEqual((await client.exchange(request)).status, 200)
      assert.strictEqual(up.requests.at(-1)!.body.toString(), "hello")
    }
    await client.send(message("POST / HTTP/1.1", host, "Expect: 100-continue", "Content-Length: 5"))
    assert.strictEqual((await client.response()).status, 100)
    assert.strictEqual((await client.exchange("hello")).status, 200)
    assert.strictEqual(up.requests.at(-1)!.body.toString(), "hello")
    assert.strictEqual(up.requests.length, 5)
  })

  test("when nobody accepts a connection the answer is 502 connect_failed, after everybody was asked", async (lab) => {
    const backends = await Promise.all(["a", "b", "c", "d"].map((name) => lab.named(name)))
    const lb = await lab.balancer(backends)
    await Promise.all(backends.map((backend) => backend.stop()))
    const client = await lab.connect(lb)
    await assertRefused(lb, await client.exchange(get), 502, "connect_failed")
    assert.strictEqual(lb.journal.completed[0]!.tries, 4)
    await assertRefused(lb, await client.exchange(post), 502, "connect_failed", 2)
  })

  test("a backend that accepts no connection in time is passed over, and alone it means 504 connect_timeout", async (lab) => {
    const stuck = await frozen(lab)
    const alone = await lab.balancer([stuck], { connect: 300 })
    const together = await lab.balancer([stuck, await lab.named("up")], { connect: 300 })
    await stuck.freeze()
    const [refused, served] = await Promise.all([
      (await lab.connect(alone)).exchange(get),
      (await lab.connect(together)).exchange(get)
    ])
    await assertRefused(alone, refused, 504, "connect_timeout")
    assert.deepStrictEqual([served.status, served.body.toString()], [200, "up"])
  })

  test("the time to connect may be longer than all others", async (lab) => {
    const stuck = await frozen(lab)
    const lb = await lab.balancer([stuck], { connect: 2_500, response: 200, idle: 200 })
    await stuck.freeze()
    await assertRefused(lb, await (await lab.connect(lb)).exchange(get), 504, "connect_timeout")
  })

  test("a backend that does not begin to answer in time is passed over for GET, and means 504 headers_timeout for POST", async (lab) => {
    const hanging = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([hanging, await lab.named("other")], { response: 200 })
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange(get)).body.toString(), "other")
    await (await hanging.asked()).untilOver()
    assert.strictEqual((await lb.completed()).tries, 2)
    assert.strictEqual(lb.members[0]!.endpoint.load.failed, 1)
    await assertRefused(lb, await client.exchange(post), 504, "headers_timeout", 2)
    assert.strictEqual(lb.journal.completed[1]!.tries, 1)
  })

  test("interim responses give a backend no more time for its answer", async (lab) => {
    const early = message("HTTP/1.1 103 Early Hints")
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      // For five seconds.
      for (let i = 0; i < 50 && !peer.over; i++) {
        await peer.send(early)
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      await peer.send(ok)
    })
    const lb = await lab.balancer([backend], { connect: 100, response: 300 })
    for (const request of [get, post]) {
      const client = await lab.connect(lb)
      let answer = await client.exchange(request)
      while (answer.status < 200) answer = await client.response()
      assert.strictEqual(answer.status, 504)
    }
    assert.deepStrictEqual(lb.journal.completed.map(({ reason }) => reason), ["headers_timeout", "headers_timeout"])
  })

  test("the answer to a request with a body may not take longer either", async (lab) => {
    const hanging = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([hanging], { response: 200 })
    await assertRefused(lb, await (await lab.connect(lb)).exchange(post), 504, "headers_timeout")
  })

  for (
    const [how, leave] of [["closes", (peer: Peer) => peer.end()], ["resets", (peer: Peer) => peer.reset()]] as const
  ) {
    test(`a backend that ${how} without an answer to POST means 502 reset_before_headers, and nobody else is asked`, async (lab) => {
      const dying = await lab.raw(async (peer) => {
        await peer.request()
        leave(peer)
      })
      const other = await lab.answering(ok)
      const lb = await lab.balancer([dying, other])
      const client = await lab.connect(lb)
      await assertRefused(lb, await client.exchange(post), 502, "reset_before_headers")
      assert.deepStrictEqual([lb.journal.completed[0]!.tries, other.requests.length], [1, 0])
      assert.strictEqual((await client.exchange(post)).status, 200)
    })

    test(`a backend that ${how} without an answer to GET is not missed: another one is asked (RFC 9110 §9.2.2)`, async (lab) => {
      const dying = await lab.raw(async (peer) => {
        await peer.request()
        leave(peer)
      })
      const other = await lab.answering(ok)
      const lb = await lab.balancer([dying, other])
      assert.strictEqual((await (await lab.connect(lb)).exchange(get)).status, 200)
      assert.deepStrictEqual([lb.journal.completed[0]!.tries, other.requests.length], [2, 1])
      assert.strictEqual(lb.members[0]!.endpoint.load.failed, 1)
    })

    test(`a backend that ${how} in the middle of the head means 502 reset_before_headers`, async (lab) => {
      const dying = await lab.raw(async (peer) => {
        await peer.request()
        await peer.send("HTTP/1.1 200 OK\r\nContent-Le")
        leave(peer)
      })
      const lb = await lab.balancer([dying])
      await assertRefused(lb, await (await lab.connect(lb)).exchange(get), 502, "reset_before_headers")
    })
  }

  test("an answer that is no HTTP means 502 protocol_error, each time (RFC 9112 §2.2)", async (lab) => {
    const backend = await lab.answering("SSH-2.0-OpenSSH_9.9\r\n\r\n")
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await assertRefused(lb, await client.exchange(get), 502, "protocol_error")
    assert.strictEqual((await client.exchange(get)).status, 502)
  })

  test("without a backend that is up the answer is 503 no_backend, with a time to come back", async (lab) => {
    const lb = await lab.balancer([{ origin: await lab.nobody() }, { origin: await lab.nobody() }])
    const client = await lab.connect(lb)
    const answer = await client.exchange(get)
    await assertRefused(lb, answer, 503, "no_backend")
    assert.match(value(answer, "content-type") ?? "", /^text\/plain/)
    assert.match(value(answer, "retry-after") ?? "", /^\d+$/)
    assert.strictEqual(value(answer, "cache-control"), "no-store")
    assert.notInclude(answer.body.toString(), "127.0.0.1")
    const json = await client.exchange(message("GET / HTTP/1.1", host, "Accept: text/html, application/json;q=0.9"))
    assert.strictEqual(value(json, "content-type"), "application/problem+json")
    const problem: unknown = JSON.parse(json.body.toString())
    assert.deepInclude(problem, { status: 503, reason: "no_backend", title: "Service Unavailable" })
    const head = await client.exchange(message("HEAD / HTTP/1.1", host), { noBody: true })
    assert.strictEqual(head.status, 503)
    assert.strictEqual((await client.exchange(get)).status, 503)
  })

  test("a backend's own 502, 503 and 504 go through, and count against it", async (lab) => {
    const backend = await lab.answering((request) =>
      message(`HTTP/1.1 ${request.target.slice(1)} Own`, "Content-Length: 3") + "own"
    )
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    for (const status of [502, 503, 504, 500]) {
      const answer = await client.exchange(message(`GET /${status} HTTP/1.1`, host))
      assert.deepStrictEqual([answer.status, answer.reason, answer.body.toString()], [status, "Own", "own"])
    }
    await lb.completed(4)
    assert.strictEqual(lb.members[0]!.endpoint.load.failed, 3)
  })

  test("a backend that dies during an upload means 502, although the body was not read to its end", async (lab) => {
    for (const leave of [(peer: Peer) => peer.end(), (peer: Peer) => peer.reset()]) {
      const backend = await lab.raw(async (peer) => {
        if ((await peer.requestHead()).method === "GET") return peer.send(ok)
        await peer.untilText("some")
        leave(peer)
      })
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      await client.send(message("POST / HTTP/1.1", host, "Content-Length: 1000") + "some")
      await assertRefused(lb, await client.response(), 502, "reset_before_headers")
      // The rest of the body is read and thrown away, and then the connection goes on.
      await client.send("x".repeat(996))
      await client.send(get)
      assert.strictEqual((await client.response()).status, 200)
    }
  })

  test("an upload that is too long to be thrown away after an error ends with the connection", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.untilText("some")
      peer.end()
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await client.send(message("POST / HTTP/1.1", host, "Content-Length: 100000000") + "some")
    const answer = await client.response()
    await assertRefused(lb, answer, 502, "reset_before_headers")
    assert.strictEqual(value(answer, "connection"), "close")
    await client.untilOver()
  })

  test("an early answer to an upload that still runs reaches the client (Pingora CVE-2025-4366)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.send(message("HTTP/1.1 413 Content Too Large", "Content-Length: 3") + "too")
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await client.send(message("POST / HTTP/1.1", host, "Content-Length: 1000000") + "x".repeat(1_000))
    const answer = await client.response()
    assert.deepStrictEqual([answer.status, answer.body.toString()], [413, "too"])
    await lb.completed()
    assert.strictEqual(lb.inFlight, 0)
    // What is left of the body is never anybody's request, on either side.
    await client.send(message("GET /smuggled HTTP/1.1", host))
    const other = await lab.connect(lb)
    await other.send(message("GET /other HTTP/1.1", host))
    await backend.asked(2)
    assert.strictEqual(backend.peers.flatMap((peer) => peer.requestsRead).reduce((sum, n) => sum + n, 0), 2)
  })

  test(
    "an early 413 with a close, while 20 MB are still being sent, reaches the client (nodejs/node#54366)",
    async (lab) => {
      const backend = await lab.raw(async (peer) => {
        await peer.requestHead()
        await peer.send(message("HTTP/1.1 413 Content Too Large", "Content-Length: 3", "Connection: close") + "too")
        peer.destroy()
      })
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      const sending = client.send(Buffer.concat([
        Buffer.from(message("POST / HTTP/1.1", host, "Content-Length: 20000000")),
        Buffer.alloc(20_000_000)
      ]))
      const answer = await client.response()
      assert.deepStrictEqual([answer.status, answer.body.toString()], [413, "too"])
      await sending
    },
    { node: { races: "undici gives up at the first EPIPE and does not read what has come" } }
  )
})
