/**
 * Requests that come all at once (RFC 9112 §9.3.2): answered one by one, in order, and none after the last one (§9.6).
 */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok, type Peer } from "../e2e/support/Peer.ts"
import { echo, get, lastChunk, post, postChunked, smuggled } from "./support/Rules.ts"

const targets = ["/1", "/2", "/3", "/4", "/5"]

const bodies = async (client: Peer, count: number): Promise<ReadonlyArray<string>> => {
  const all: Array<string> = []
  for (let i = 0; i < count; i++) all.push((await client.response()).body.toString())
  return all
}

const concurrent: Differences = { node: { fails: "the platform's server begins them all at once" } }

onEachEngine("requests that come all at once", (test) => {
  test("requests that come all at once are answered in order (RFC 9112 §9.3.2)", async (lab) => {
    const backend = await lab.answering(({ target }) => echo(target))
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(targets.map((target) => message(`GET ${target} HTTP/1.1`, host)).join(""))
    assert.deepStrictEqual(await bodies(client, 5), targets)
  })

  test("no backend sees the second of them before the first is answered (RFC 9112 §9.3.2)", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while (true) {
        const { target } = await peer.request()
        if (target !== "/first") await peer.send(echo(target))
      }
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await client.send(message("GET /first HTTP/1.1", host) + message("GET /second HTTP/1.1", host))
    const first = await backend.asked()
    // What the balancer was about to send before this exchange, it has sent after it.
    const other = await lab.connect(lb)
    assert.strictEqual((await other.exchange(message("GET /other HTTP/1.1", host))).status, 200)
    const asked = backend.peers.reduce((sum, { requestsRead }) => sum + requestsRead, 0)
    assert.strictEqual(asked, 2)
    await first.send(echo("/first"))
    assert.deepStrictEqual(await bodies(client, 2), ["/first", "/second"])
  }, concurrent)

  test("requests with bodies that come all at once keep their bodies (RFC 9112 §9.3.2)", async (lab) => {
    const backend = await lab.answering(({ body }) => echo(body.toString()))
    const client = await lab.connect(await lab.balancer([backend]))
    const inChunks = `${postChunked}5\r\nthree\r\n${lastChunk}`
    await client.send(`${post("Content-Length: 3")}one${post("Content-Length: 3")}two${inChunks}${post()}`)
    assert.deepStrictEqual(await bodies(client, 4), ["one", "two", "three", ""])
  })

  test("requests that come all at once may come in any pieces (RFC 9112 §9.3.2)", async (lab) => {
    const backend = await lab.answering(({ body, target }) => echo(target + body.toString()))
    const client = await lab.connect(await lab.balancer([backend]))
    const all = message("GET /1 HTTP/1.1", host) +
      `${post("Content-Length: 3")}two${postChunked}5\r\nthree\r\n${lastChunk}`
    for (let at = 0; at < all.length; at += 7) await client.send(all.slice(at, at + 7))
    assert.deepStrictEqual(await bodies(client, 3), ["/1", "/two", "/three"])
  })

  test("an answer that breaks off behind another one is cut in its turn (RFC 9112 §8)", async (lab) => {
    const held = new Set<Peer>()
    const backend = await lab.raw(async (peer) => {
      while (true) {
        const { target } = await peer.request()
        if (target === "/first") held.add(peer)
        else await peer.send(target === "/second" ? echo(target).slice(0, -1) : echo(target))
        if (target === "/second") peer.end()
      }
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await client.send(message("GET /first HTTP/1.1", host) + message("GET /second HTTP/1.1", host))
    // What broke off before these exchanges waits only for the first answer.
    const other = await lab.connect(lb)
    for (const target of ["/3", "/4"]) await other.exchange(message(`GET ${target} HTTP/1.1`, host))
    for (const peer of held) await peer.send(echo("/first"))
    assert.strictEqual((await client.response()).body.toString(), "/first")
    assert.strictEqual(await client.untilOver(), "reset")
  })

  test("a message is answered, whatever comes at once with it (RFC 9112 §9.3.2)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(`${post("Content-Length: 5")}hello, world\r\n\r\n`)).status, 200)
    assert.strictEqual((await client.response()).status, 400)
    await client.untilOver()
  }, { node: { fails: "node:http answers the error at once, in place of the message" } })

  for (
    const [name, request] of [["Connection: close", get("Connection: close")], [
      "HTTP/1.0",
      message("GET / HTTP/1.0", host)
    ]] as const
  ) {
    test(
      `a request that closes the connection is answered, whatever comes at once with it (${name}, RFC 9112 §9.6)`,
      async (lab) => {
        const backend = await lab.answering(ok)
        const lb = await lab.balancer([backend])
        const client = await lab.connect(lb)
        assert.strictEqual((await client.exchange(request + smuggled)).status, 200)
        await client.untilOver()
        assert.strictEqual(client.unread, "")
        assert.deepStrictEqual(backend.requests.map(({ target }) => target), ["/"])
      }
    )

    test(`what follows it does not hide that its client leaves (${name}, RFC 9112 §9.6)`, async (lab) => {
      const backend = await lab.raw((peer) => peer.request())
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      await client.send(request + smuggled)
      const peer = await backend.asked()
      client.end()
      await peer.untilOver()
      assert.strictEqual((await lb.completed()).status, 499)
    })

    test(`what follows it is nobody's request (${name}, RFC 9112 §9.6)`, async (lab) => {
      const backend = await lab.answering(ok)
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      await client.send(request + smuggled)
      await client.untilOver()
      await lb.completed()
      assert.notInclude(backend.requests.map(({ target }) => target), "/smuggled")
    })
  }
})
