/** Closing the layers: nobody new gets in, who is inside gets an answer, up to a time, and nothing is left open. */
import { assert, onEachEngine } from "./support/Lab.ts"
import { host, message, ok, Peer, value } from "./support/Peer.ts"

const get = message("GET / HTTP/1.1", host)

const refused = (port: number): Promise<boolean> =>
  Peer.connect(port).then(
    (peer) => peer.destroy() === undefined && false,
    () => true
  )

onEachEngine("shutdown", (test) => {
  test("an exchange in flight is finished, its connection closed, and nobody new gets in", async (lab) => {
    const backend = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([backend], { shutdown: 60_000 })
    const client = await lab.connect(lb)
    await client.send(get)
    const origin = await backend.asked()
    const closing = lb.close()
    while (!await refused(lb.port));
    assert.strictEqual(lb.inFlight, 1)
    await origin.send(message("HTTP/1.1 200 OK", "Content-Length: 4") + "late")
    const answer = await client.response()
    assert.deepStrictEqual([answer.status, answer.body.toString()], [200, "late"])
    assert.strictEqual(value(answer, "connection"), "close")
    await client.untilOver()
    await closing
    assert.strictEqual((await lb.completed()).reason, undefined)
    await backend.deserted()
  })

  test("a response whose head was sent before is finished, and its connection closed", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 10") + "hello")
    })
    const lb = await lab.balancer([backend], { shutdown: 60_000 })
    const client = await lab.connect(lb)
    await client.send(get)
    await client.untilText("hello")
    const closing = lb.close()
    while (!await refused(lb.port));
    await (await backend.asked()).send(" you!")
    await client.untilText(" you!")
    await client.untilOver()
    await closing
    assert.strictEqual((await lb.completed()).reason, undefined)
  })

  test("a request of which half the head has come is answered", async (lab) => {
    const lb = await lab.balancer([await lab.answering(ok)], { shutdown: 60_000 })
    const client = await lab.connect(lb)
    await client.send(get.slice(0, 20))
    // What was sent before is read by then.
    await (await lab.connect(lb)).exchange(get)
    const closing = lb.close()
    while (!await refused(lb.port));
    assert.strictEqual((await client.exchange(get.slice(20))).status, 200)
    await client.untilOver()
    await closing
  })

  test(
    "a request that comes on a used connection just then is answered, and its connection closed",
    async (lab) => {
      const lb = await lab.balancer([await lab.answering(ok)], { shutdown: 60_000 })
      const clients = await Promise.all(Array.from({ length: 5 }, () => lab.connect(lb)))
      for (const client of clients) await client.exchange(get)
      const closing = lb.close()
      while (!await refused(lb.port));
      for (const client of clients) {
        const answer = await client.exchange(get)
        assert.deepStrictEqual([answer.status, value(answer, "connection")], [200, "close"])
        await client.untilOver()
      }
      await closing
    }
  )

  test("an upload in flight is finished", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend], { shutdown: 60_000 })
    const client = await lab.connect(lb)
    await client.send(message("POST / HTTP/1.1", host, "Content-Length: 10", "Expect: 100-continue"))
    assert.strictEqual((await client.response()).status, 100)
    const closing = lb.close()
    while (!await refused(lb.port));
    const answer = await client.exchange("hello you!")
    assert.deepStrictEqual([answer.status, value(answer, "connection")], [200, "close"])
    await closing
    assert.strictEqual(backend.requests[0]!.body.toString(), "hello you!")
  })

  test("connections on which nothing happens hold up nothing: used ones, unused ones, and those to backends", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend], { shutdown: 60_000, idle: 60_000 })
    const used = await lab.connect(lb)
    assert.strictEqual((await used.exchange(get)).status, 200)
    const unused = await lab.connect(lb)
    // The answer to another client says that the server knows of the connection that says nothing.
    assert.strictEqual((await (await lab.connect(lb)).exchange(get)).status, 200)
    await lb.close()
    await used.untilOver()
    await unused.untilOver()
    await backend.deserted()
  })

  test("a request that was sent behind one in flight is answered, and the connection closed after it", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      // An engine may send both on one connection.
      while (true) {
        const { target } = await peer.request()
        await peer.send(target === "/next" ? ok : message("HTTP/1.1 200 OK", "Content-Length: 10") + "hello")
      }
    })
    const lb = await lab.balancer([backend], { shutdown: 60_000 })
    const client = await lab.connect(lb)
    await client.send(message("GET /first HTTP/1.1", host))
    await client.untilText("hello")
    const origin = await backend.asked()
    const closing = lb.close()
    while (!await refused(lb.port));
    await client.send(message("GET /next HTTP/1.1", host))
    await origin.send(" you!")
    await client.untilText(" you!")
    const answer = await client.response()
    assert.deepStrictEqual([answer.status, value(answer, "connection")], [200, "close"])
    await client.untilOver()
    await closing
  })

  for (const [when, isBefore] of [["before", true], ["just then", false]] as const) {
    test(`a request that was sent ${when}, behind one without an answer yet, is answered as well`, async (lab) => {
      const backend = await lab.raw(async (peer) => {
        while (true) {
          const { target } = await peer.request()
          if (target === "/next") await peer.send(ok)
        }
      })
      const lb = await lab.balancer([backend], { shutdown: 60_000 })
      const client = await lab.connect(lb)
      await client.send(message("GET /first HTTP/1.1", host))
      const origin = await backend.asked()
      const next = async () => {
        await client.send(message("GET /next HTTP/1.1", host))
        // What has come is read, and worked on where an engine does that before its turn.
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      if (isBefore) await next()
      const closing = lb.close()
      while (!await refused(lb.port));
      if (!isBefore) await next()
      await origin.send(ok)
      for (let i = 0; i < 2; i++) assert.strictEqual((await client.response()).status, 200)
      await client.untilOver()
      await closing
    })
  }

  test("answers that are there before an earlier one are sent behind it, however long that takes", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while (true) if ((await peer.request()).target === "/") await peer.send(ok)
    })
    const lb = await lab.balancer([backend], { shutdown: 60_000 })
    const client = await lab.connect(lb)
    await client.send(message("GET /slow HTTP/1.1", host) + get + get)
    const origin = await backend.asked()
    const closing = lb.close()
    // Requests that were on their way have come.
    await new Promise((resolve) => setTimeout(resolve, 300))
    await origin.send(ok)
    for (let i = 0; i < 3; i++) assert.strictEqual((await client.response()).status, 200)
    await client.untilOver()
    await closing
  })

  test("a client that sends one request after the other without waiting for answers holds up nothing", async (lab) => {
    const backend = await lab.http((_request, response) => void setTimeout(() => response.end(), 20))
    const lb = await lab.balancer([backend], { shutdown: 60_000 })
    const client = await lab.connect(lb)
    const sending = setInterval(() => client.send(get), 5)
    lab.afterwards(() => clearInterval(sending))
    let last = await client.response()
    const closing = lb.close()
    while (value(last, "connection") !== "close") last = await client.response()
    await client.untilOver()
    assert.strictEqual(client.unread, "")
    client.end()
    await closing
  })

  test("a request behind an answer that says it is the last one is not worked on (RFC 9112 §9.6)", async (lab) => {
    const backend = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([backend], { shutdown: 60_000 })
    const client = await lab.connect(lb)
    await client.send(get)
    const origin = await backend.asked()
    const closing = lb.close()
    while (!await refused(lb.port));
    await origin.send(message("HTTP/1.1 200 OK", "Content-Length: 10") + "hello")
    await client.untilText("hello")
    await client.send(message("POST /late HTTP/1.1", host, "Content-Length: 0"))
    // What has come is read.
    await new Promise((resolve) => setTimeout(resolve, 50))
    await origin.send(" you!")
    await client.untilText(" you!")
    await client.untilOver()
    await closing
    assert.lengthOf(backend.peers, 1)
  })

  test("when the time is up an exchange without a head is answered with 503, and its backend aborted", async (lab) => {
    const backend = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([backend], { shutdown: 100, idle: 60_000, response: 60_000 })
    const client = await lab.connect(lb)
    await client.send(get)
    await backend.asked()
    const closing = lb.close()
    const answer = await client.response()
    assert.strictEqual(answer.status, 503)
    assert.include(answer.body.toString(), "reason: draining")
    await client.untilOver()
    await closing
    assert.strictEqual((await lb.completed()).reason, "draining")
    const { failed, inFlight } = lb.members[0]!.endpoint.load
    assert.deepStrictEqual([failed, inFlight], [0, 0])
    await backend.deserted()
  })

  test("when the time is up requests that wait for room were tried nowhere, though there is room then", async (lab) => {
    const backend = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([backend], { shutdown: 200, limit: { inFlightPerBackend: 1 } })
    const first = await lab.connect(lb)
    await first.send(get)
    await backend.asked()
    const waiting = await Promise.all([lab.connect(lb), lab.connect(lb)])
    for (const client of waiting) await client.send(get)
    // What was sent before is read by then.
    assert.strictEqual((await (await lab.connect(lb)).exchange(message("GET / HTTP/1.1"))).status, 400)
    await lb.close()
    for (const client of waiting) assert.strictEqual((await client.response()).status, 503)
    const stopped = lb.journal.completed.filter(({ reason }) => reason === "draining")
    assert.sameDeepMembers(
      stopped.map(({ backend, tries }) => [backend, tries]),
      [[backend.origin, 1], [undefined, 0], [undefined, 0]]
    )
    assert.deepInclude(lb.members[0]!.endpoint.load, { inFlight: 0, failed: 0 })
  })

  test("when the time is up a response in flight is cut, and does not look complete", async (lab) => {
    for (const version of ["HTTP/1.1", "HTTP/1.0"]) {
      const backend = await lab.raw(async (peer) => {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "5\r\nhello\r\n")
      })
      const lb = await lab.balancer([backend], { shutdown: 100, idle: 60_000 })
      const client = await lab.connect(lb)
      await client.send(message(`GET / ${version}`, host))
      const reading = client.response()
      await client.until(() => client.bytesReceived > 0, "the head")
      await lb.close()
      assert.strictEqual((await reading).ending, "reset")
      assert.strictEqual((await lb.completed()).reason, "draining")
      assert.strictEqual(lb.inFlight, 0)
      await backend.deserted()
    }
  })

  test("when the time is up half a head, half an upload and a client that does not read are cut", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      const { method } = await peer.requestHead()
      if (method === "GET") await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 100000000"))
      if (method === "GET") await peer.send(Buffer.alloc(100_000_000))
    })
    const lb = await lab.balancer([backend], { shutdown: 100, idle: 60_000 })
    const half = await lab.connect(lb)
    await half.send("GET / HTTP/1.1\r\nHo")
    const uploading = await lab.connect(lb)
    await uploading.send(message("POST / HTTP/1.1", host, "Content-Length: 1000") + "some")
    await backend.asked(1)
    const deaf = await lab.connect(lb)
    deaf.socket.pause()
    await deaf.send(get)
    await backend.asked(2)
    await lb.close()
    deaf.socket.resume()
    for (const client of [half, uploading, deaf]) await client.untilOver()
    await backend.deserted()
    assert.strictEqual(lb.inFlight, 0)
  })

  test("a port that is taken is an error and not a defect", async (lab) => {
    const backend = await lab.answering(ok)
    const lb = await lab.balancer([backend])
    const failure = await lab.balancer([backend], { port: lb.port }).then(
      () => undefined,
      (error: unknown) => String(error)
    )
    assert.match(failure ?? "", /ServeError/)
  })
})
