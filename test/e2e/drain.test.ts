/** Taking a backend out without losing a request. */
import { assert, onEachEngine } from "./support/Lab.ts"
import { host, message } from "./support/Peer.ts"
import { agreeing, asking, noTunnels } from "./support/Tunnels.ts"

const get = message("GET / HTTP/1.1", host)
const ok = message("HTTP/1.1 200 OK", "Content-Length: 4") + "done"

onEachEngine("a backend that drains", (test) => {
  test("finishes what it has, gets nothing new, and is drained when nothing is in flight", async (lab) => {
    const old = await lab.raw((peer) => peer.request())
    const other = await lab.answering(ok)
    const lb = await lab.balancer([old, other], { health: { kind: "off" } })
    const first = await lab.connect(lb)
    await first.send(get)
    const asked = await old.asked()
    let isDrained = false
    const draining = lb.drain(old.origin).then(() => isDrained = true)
    for (let i = 0; i < 4; i++) {
      const client = await lab.connect(lb)
      assert.strictEqual((await client.exchange(get)).status, 200)
    }
    assert.strictEqual(other.requests.length, 4)
    assert.isFalse(isDrained)
    await asked.send(ok)
    await first.untilText("done")
    await draining
    assert.strictEqual(lb.inFlight, 0)
  })

  test("is drained at once when nothing is in flight, and so is one that nobody knows", async (lab) => {
    const [a, b] = [await lab.named("a"), await lab.named("b")]
    const lb = await lab.balancer([a, b])
    await lb.drain(a.origin)
    await lb.drain("http://nobody.example")
    await lb.untilStatus("Draining", "Up")
  })

  test("lets tunnels go on for a while, and then cuts them", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(agreeing)
    })
    const lb = await lab.balancer([backend, await lab.named("other")], { idle: 60_000, health: { kind: "off" } })
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange(asking)).status, 101)
    const origin = await backend.asked()
    const drained = lb.drain(backend.origin, 200)
    await client.send("still here")
    await origin.untilText("still here")
    assert.strictEqual(lb.inFlight, 1)
    await drained
    await client.untilOver()
    await origin.untilOver()
    assert.strictEqual(lb.inFlight, 0)
  }, noTunnels)
})
