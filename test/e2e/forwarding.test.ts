/**
 * Requests find their backends, and nothing comes with them that was not sent. Byte for byte it is
 * told in test/conformance.
 */
import { assert, onEachEngine } from "./support/Lab.ts"
import { host, message, ok, type Received } from "./support/Peer.ts"

const get = (...fields: ReadonlyArray<string>): string => message("GET / HTTP/1.1", host, ...fields)

/** Field lines that are neither framing nor about the connection nor ours. */
const content = (received: Received): ReadonlyArray<string> =>
  received.fields
    .filter(([name]) =>
      !/^(?:host|connection|keep-alive|content-length|transfer-encoding|date|x-forwarded-.*)$/i.test(name)
    )
    .map(([name, value]) => `${name}: ${value}`)

onEachEngine("forwarding", (test) => {
  test("three requests get three backends, in order, and the fourth the first one again", async (lab) => {
    const lb = await lab.balancer([await lab.named("a"), await lab.named("b"), await lab.named("c")])
    const client = await lab.connect(lb)
    const bodies: Array<string> = []
    for (let i = 0; i < 4; i++) bodies.push((await client.exchange(get())).body.toString())
    assert.deepStrictEqual(bodies, ["a", "b", "c", "a"])
  })

  test("a connection to a backend is used again, until it is as old as it may become", async (lab) => {
    const backend = await lab.answering(ok)
    const young = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 20; i++) await young.exchange(get())
    assert.strictEqual(backend.peers.length, 1)

    for (const connectionsPerBackend of [1, 10]) {
      const before = backend.peers.length
      const lb = await lab.balancer([backend], { backendLifetime: 300, limit: { connectionsPerBackend } })
      const client = await lab.connect(lb)
      let answered = 0
      for (; backend.peers.length < before + 3; answered++) {
        const post = message("POST / HTTP/1.1", host, "Content-Length: 1") + "a"
        assert.strictEqual((await client.exchange(answered % 2 === 0 ? get() : post)).status, 200)
      }
      assert.isAbove(answered, 20)
      assert.isTrue(backend.peers[before]!.over)
    }
  })

  test("an unused connection to a backend is closed in time, however long the backend would keep it", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 200 OK", "Keep-Alive: timeout=60", "Content-Length: 0"))
    })
    const checks = await lab.named("checks")
    const lb = await lab.balancer([backend], { backendKeepAlive: 300, health: { port: checks.port } })
    assert.strictEqual((await (await lab.connect(lb)).exchange(get())).status, 200)
    await backend.deserted()
  })

  test("nothing is added to what a client sends but Host, Connection and X-Forwarded-*", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(get())
    assert.deepStrictEqual(
      backend.requests[0]!.fields.map(([name]) => name.toLowerCase()).filter((name) => name !== "connection")
        .toSorted(),
      ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
    )
  })

  test("nothing is added to what a backend sends but Date and what is about the connection (RFC 9110 §6.6.1)", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Content-Length: 2") + "ok")
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get())
    const names = answer.fields.map(([name]) => name.toLowerCase()).filter((name) =>
      !/^(?:connection|keep-alive)$/.test(name)
    )
    assert.deepStrictEqual(names.toSorted(), ["content-length", "date"])
  })

  test("trace fields of the client go through as they were", async (lab) => {
    const fields = ["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "b3: 0"]
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(get(...fields))
    assert.deepStrictEqual(content(backend.requests[0]!), fields)
  })
})
