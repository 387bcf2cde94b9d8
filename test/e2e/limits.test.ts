/** The limits that an operator can set, and what is said when somebody is over one. */
import { assert, onEachEngine } from "./support/Lab.ts"
import { host, message, ok } from "./support/Peer.ts"

const only = { node: { fails: "only the wire engine has this limit" } } as const

onEachEngine("limits", (test) => {
  test("a request that announces a body over the limit is answered 413, and no backend hears of it", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend], { limit: { body: 1_000 } })
    const client = await lab.connect(lb)
    const answer = await client.exchange(message("POST /up HTTP/1.1", host, "Content-Length: 1001") + "a".repeat(1_001))
    assert.deepStrictEqual([answer.status, answer.reason], [413, "Content Too Large"])
    await client.untilOver()
    assert.deepStrictEqual(backend.requests, [])
  }, only)

  test(
    "a body in chunks is answered 413 as soon as it is over the limit, before the backend has all of it",
    async (lab) => {
      const backend = await lab.raw((peer) => peer.request())
      const lb = await lab.balancer([backend], { limit: { body: 100_000 } })
      const client = await lab.connect(lb)
      await client.send(message("POST /up HTTP/1.1", host, "Transfer-Encoding: chunked"))
      await client.send(`ffff\r\n${"a".repeat(65_535)}\r\n`)
      await client.send(`ffff\r\n${"a".repeat(65_535)}\r\n`)
      assert.strictEqual((await client.response()).status, 413)
      await client.untilOver()
      await backend.deserted()
      assert.strictEqual((await lb.completed()).reason, "body_too_large")
      assert.strictEqual(lb.members[0]!.endpoint.load.failed, 0)
    },
    only
  )

  test("a body that is as long as the limit is forwarded", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend], { limit: { body: 5 } }))
    const chunked = message("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n"
    for (const request of [message("POST / HTTP/1.1", host, "Content-Length: 5") + "hello", chunked]) {
      assert.strictEqual((await client.exchange(request)).status, 200)
    }
    assert.deepStrictEqual(backend.requests.map(({ body }) => body.toString()), ["hello", "hello"])
  })

  test("more connections than allowed are closed, and the others go on", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend], { limit: { connections: 2 } })
    const clients = [await lab.connect(lb), await lab.connect(lb)]
    for (const client of clients) {
      assert.strictEqual((await client.exchange(message("GET / HTTP/1.1", host))).status, 200)
    }
    const third = await lab.connect(lb)
    await third.untilOver()
    for (const client of clients) {
      assert.strictEqual((await client.exchange(message("GET / HTTP/1.1", host))).status, 200)
    }
  })

  test("a backend that is at its limit is left out, and when all are the answer is 503 overloaded", async (lab) => {
    const held = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([held], { limit: { connectionsPerBackend: 2 }, connect: 200 })
    for (let i = 0; i < 2; i++) await (await lab.connect(lb)).send(message("GET /held HTTP/1.1", host))
    await held.asked(2)
    const answer = await (await lab.connect(lb)).exchange(message("GET / HTTP/1.1", host))
    assert.strictEqual(answer.status, 503)
    assert.include(answer.body.toString(), "reason: overloaded")
    assert.strictEqual((await lb.completed()).reason, "overloaded")
  })

  test("what is refused before it is a request is in the log, with the address of its client", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange(message("GET / HTTP/1.1", host, "X : 1"))).status, 400)
    const { client: address, method, path, reason, status } = await lb.completed()
    assert.deepStrictEqual([method, path, status, reason, address], ["-", "-", 400, "bad_request", "127.0.0.1"])
  }, { node: { fails: "node:http answers it without a word to anybody" } })

  test(
    "what is refused for what its head says is in the log with its method and its path, without the query",
    async (lab) => {
      const backend = await lab.answering(ok)
      const lb = await lab.balancer([backend], { limit: { body: 10 } })
      const refusals = [
        ["Content-Length: 11", 413, "body_too_large"],
        ["Expect: cake", 417, "expectation_failed"],
        ["Transfer-Encoding: gzip, chunked", 501, "not_implemented"]
      ] as const
      for (const [i, [field, status, reason]] of refusals.entries()) {
        const client = await lab.connect(lb)
        assert.strictEqual((await client.exchange(message("PUT /a?token=b HTTP/1.1", host, field))).status, status)
        const logged = await lb.completed(i + 1)
        assert.deepStrictEqual([logged.method, logged.path, logged.status, logged.reason], [
          "PUT",
          "/a",
          status,
          reason
        ])
      }
    },
    { node: { fails: "node:http answers some of it without a word to anybody" } }
  )

  test("a head that does not come to its end is in the log with the time that it was given", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend], { head: 300 })
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange("GET / HTTP/1.1\r\n")).status, 408)
    const { durationMs, reason } = await lb.completed()
    assert.deepStrictEqual([durationMs, reason], [300, "request_timeout"])
  }, { node: { fails: "node:http answers it without a word to anybody" } })
})
