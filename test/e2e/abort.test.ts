/**
 * A client that leaves takes its exchange with it: the backend is told at once, nothing is left in
 * flight, nobody is blamed.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { frozen } from "./support/Frozen.ts"
import { assert, type Balancer, onEachEngine } from "./support/Lab.ts"
import { host, message, ok, type Peer, value } from "./support/Peer.ts"

const request = message("GET /path?secret HTTP/1.1", host)

/** No timeout may do the work of the abort. */
const patient = { idle: 60_000, response: 60_000 }

const leaving: ReadonlyArray<readonly [name: string, leave: (client: Peer) => void]> = [
  ["closes", (client) => client.destroy()],
  ["resets", (client) => client.reset()]
]

const assertAborted = async (lb: Balancer, status: number, reason = "client_aborted"): Promise<void> => {
  const entry = await lb.completed()
  assert.deepStrictEqual([entry.reason, entry.status, entry.path], [reason, status, "/path"])
  const { consecutiveFailures, failed, inFlight, total } = lb.members[0]!.endpoint.load
  assert.deepStrictEqual({ consecutiveFailures, failed, inFlight, total }, {
    consecutiveFailures: 0,
    failed: 0,
    inFlight: 0,
    total: 1
  })
}

onEachEngine("abort", (test) => {
  test("a client that is gone before its request is read is known by its address all the same", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend], patient)
    const [client, other] = [await lab.connect(lb), await lab.connect(lb)]
    // The connection of the first one is accepted by then.
    await other.exchange(request)
    // In one turn: the request and the reset are there before the balancer reads either.
    client.socket.write(request)
    client.reset()
    await lb.completed(2)
    for (const { client } of lb.journal.completed) assert.strictEqual(client, "127.0.0.1")
    for (const asked of backend.requests) assert.strictEqual(value(asked, "x-forwarded-for"), "127.0.0.1")
  })

  for (const [name, leave] of leaving) {
    test(`a client that ${name} before the head of the response aborts the backend's request at once`, async (lab) => {
      const backend = await lab.raw((peer) => peer.request())
      const lb = await lab.balancer([backend], patient)
      const client = await lab.connect(lb)
      await client.send(request)
      const origin = await backend.asked()
      assert.strictEqual(lb.inFlight, 1)
      leave(client)
      await origin.untilOver()
      await assertAborted(lb, 499)
    })

    test(`a client that ${name} in the middle of the response aborts it at once`, async (lab) => {
      const backend = await lab.raw(async (peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "5\r\nhello\r\n")
      })
      const lb = await lab.balancer([backend], patient)
      const client = await lab.connect(lb)
      await client.send(request)
      await client.untilText("hello")
      leave(client)
      await (await backend.asked()).untilOver()
      await assertAborted(lb, 200)
    })

    test(`a client that ${name} while it does not read aborts the response at once`, async (lab) => {
      const backend = await lab.raw(async (peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 100000000"))
        await peer.send(Buffer.alloc(100_000_000))
      })
      const lb = await lab.balancer([backend], patient)
      const client = await lab.connect(lb)
      await client.send(request)
      await client.responseHead()
      client.socket.pause()
      leave(client)
      await (await backend.asked()).untilOver()
      await assertAborted(lb, 200)
    })

    for (
      const [framing, fields, part] of [
        ["counted", "Content-Length: 1000", "hello"],
        ["chunked", "Transfer-Encoding: chunked", "5\r\nhello\r\n"]
      ] as const
    ) {
      test(`a client that ${name} in the middle of a ${framing} upload aborts it, and the backend never sees its end`, async (lab) => {
        const backend = await lab.raw((peer) => peer.requestHead())
        const lb = await lab.balancer([backend], patient)
        const client = await lab.connect(lb)
        await client.send(message("POST /path HTTP/1.1", host, fields) + part)
        const origin = await backend.asked()
        await origin.untilText("hello")
        leave(client)
        await origin.untilOver()
        assert.notInclude(origin.unread, "0\r\n")
        await assertAborted(lb, 499)
      })
    }

    test(`a client that ${name} after an early response, in the middle of its upload, aborts both`, async (lab) => {
      const backend = await lab.raw(async (peer) => {
        await peer.requestHead()
        await peer.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "5\r\nhello\r\n")
      })
      const lb = await lab.balancer([backend], patient)
      const client = await lab.connect(lb)
      await client.send(message("POST /path HTTP/1.1", host, "Content-Length: 1000") + "some")
      await client.untilText("hello")
      leave(client)
      await (await backend.asked()).untilOver()
      await assertAborted(lb, 200)
    })

    test(`a client that ${name} after its 100 Continue and sends nothing aborts the exchange`, async (lab) => {
      const backend = await lab.raw((peer) => peer.requestHead())
      const lb = await lab.balancer([backend], patient)
      const client = await lab.connect(lb)
      await client.send(message("POST /path HTTP/1.1", host, "Content-Length: 10", "Expect: 100-continue"))
      assert.strictEqual((await client.response()).status, 100)
      leave(client)
      await assertAborted(lb, 499)
    })
  }

  test("a client that stops in the middle of its upload is cut after the time between two reads", async (lab) => {
    const backend = await lab.raw((peer) => peer.requestHead())
    const lb = await lab.balancer([backend], { ...patient, idle: 200 })
    const client = await lab.connect(lb)
    await client.send(message("POST /path HTTP/1.1", host, "Content-Length: 1000") + "some")
    await client.untilOver()
    await (await backend.asked()).untilOver()
    await assertAborted(lb, 408, "request_timeout")
  })

  test("a client that stops reading in the middle of a response is cut after the time between two reads", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 100000000"))
      await peer.send(Buffer.alloc(100_000_000))
    })
    const lb = await lab.balancer([backend], { ...patient, idle: 200 })
    const client = await lab.connect(lb)
    await client.send(request)
    await client.responseHead()
    client.socket.pause()
    await (await backend.asked()).untilOver()
    await assertAborted(lb, 200)
  })

  test("waiting for a backend is not idling, however short the time between two reads", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while (true) {
        await peer.request()
        await sleep(700)
        await peer.send(ok)
      }
    })
    const lb = await lab.balancer([backend], { ...patient, idle: 100 })
    for (const asked of [request, message("POST /path HTTP/1.1", host, "Content-Length: 5") + "hello"]) {
      assert.strictEqual((await (await lab.connect(lb)).exchange(asked)).status, 200)
    }
  })

  test("a client that stops in its upload while a backend is looked for is cut by the time there is one", async (lab) => {
    const stuck = await frozen(lab)
    const backend = await lab.raw((peer) => peer.requestHead())
    const lb = await lab.balancer([stuck, backend], { ...patient, connect: 500, idle: 100 })
    await stuck.freeze()
    const client = await lab.connect(lb)
    await client.send(message("POST /path HTTP/1.1", host, "Content-Length: 1000") + "some")
    await client.untilOver()
    const { reason, tries } = await lb.completed()
    assert.strictEqual(tries, 2)
    assert.include(["client_aborted", "request_timeout"], reason)
    await backend.deserted()
  })

  test("a backend that does not read an upload is the one who is late, and not its client", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      peer.socket.pause()
    })
    const lb = await lab.balancer([backend], { response: 300, idle: 300 })
    const client = await lab.connect(lb)
    // Here the client is in the same process, and late itself while that is busy with so many bytes.
    const bytes = Buffer.alloc(100_000_000)
    void client.send(message("POST /path HTTP/1.1", host, "Content-Length: 100000000"))
    void client.send(bytes)
    assert.strictEqual((await client.response()).status, 504)
    assert.strictEqual((await lb.completed()).reason, "headers_timeout")
  })

  test("a client that leaves does not disturb the others on the same backend", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while ((await peer.request()).target !== "/hang") await peer.send(ok)
    })
    const lb = await lab.balancer([backend], patient)
    const staying = await lab.connect(lb)
    for (let i = 0; i < 20; i++) {
      const leaver = await lab.connect(lb)
      await leaver.send(message("GET /hang HTTP/1.1", host))
      const answering = staying.exchange(message("GET / HTTP/1.1", host))
      leaver.reset()
      assert.strictEqual((await answering).status, 200)
    }
    await lb.completed(40)
    assert.strictEqual(lb.inFlight, 0)
  })

  for (const method of ["GET", "HEAD"]) {
    test(`several requests at once on one connection are all aborted with it (${method})`, async (lab) => {
      const backend = await lab.raw((peer) => peer.request())
      const lb = await lab.balancer([backend], patient)
      const client = await lab.connect(lb)
      await client.send(message(`${method} /path HTTP/1.1`, host).repeat(3))
      await backend.asked()
      client.destroy()
      for (const peer of backend.peers) await peer.untilOver()
      await lb.journal.until(() => lb.inFlight === 0, "nothing in flight")
      // The wire engine begins only the first of them.
      const begun = lb.journal.filter(({ _tag }) => _tag === "Sent").length
      await lb.completed(begun)
    })
  }
})
