/**
 * Tunnels (RFC 9110 §7.8): after the 101 every byte goes through, each half ends for itself, and
 * before it not a byte does.
 */
import { assert, type Balancer, type Lab, onEachEngine, type RawTarget } from "../e2e/support/Lab.ts"
import { host, message, ok, type Peer } from "../e2e/support/Peer.ts"
import { post, smuggled } from "./support/Rules.ts"
import { agreeing, asking, noTunnels } from "./support/Tunnels.ts"

/** Both ends of a tunnel that stands. */
interface Tunnel {
  readonly client: Peer
  readonly origin: Peer
  readonly backend: RawTarget
  readonly lb: Balancer
}

const tunnel = async (lab: Lab, request = asking, answer = agreeing): Promise<Tunnel> => {
  const backend = await lab.raw(async (peer) => {
    await peer.request()
    await peer.send(answer)
  })
  const lb = await lab.balancer([backend])
  const client = await lab.connect(lb)
  assert.strictEqual((await client.exchange(request)).status, 101)
  return { client, origin: await backend.asked(), backend, lb }
}

/** An exchange of another client. What the balancer was about to send before it, it has sent after it. */
const meanwhile = async (lab: Lab, lb: Balancer): Promise<void> => {
  const other = await lab.connect(lb)
  assert.strictEqual((await other.exchange(message("GET /other HTTP/1.1", host))).status, 200)
}

/** All values that a byte has. */
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

onEachEngine("tunnels", (test) => {
  test("then every byte goes through, in both directions (RFC 9110 §7.8)", async (lab) => {
    const { client, origin } = await tunnel(lab)
    await client.send(everyByte)
    assert.deepStrictEqual(await origin.bytes(256), everyByte)
    await origin.send(everyByte)
    assert.deepStrictEqual(await client.bytes(256), everyByte)
    const much = Buffer.concat(Array.from({ length: 4_096 }, () => everyByte))
    const [there, back] = [origin.bytes(much.length), client.bytes(much.length)]
    await Promise.all([client.send(much), origin.send(much)])
    assert.isTrue(much.equals(await there))
    assert.isTrue(much.equals(await back))
  }, noTunnels)

  test("what looks like HTTP in a tunnel is bytes (RFC 9110 §7.8)", async (lab) => {
    const { backend, client, origin } = await tunnel(lab)
    await client.send(smuggled)
    assert.strictEqual((await origin.bytes(smuggled.length)).toString("latin1"), smuggled)
    await origin.send(ok)
    assert.strictEqual((await client.bytes(ok.length)).toString("latin1"), ok)
    assert.strictEqual(backend.peers.filter(({ requestsRead }) => requestsRead > 0).length, 1)
  }, noTunnels)

  test("bytes that come with the 101 are not lost (RFC 9110 §15.2.2)", async (lab) => {
    const { client } = await tunnel(lab, asking, `${agreeing}first`)
    assert.strictEqual((await client.bytes(5)).toString(), "first")
  }, noTunnels)

  test("so are bytes that come after interim answers (RFC 9110 §15.2)", async (lab) => {
    const backend = await lab.answering(`${message("HTTP/1.1 103 Early Hints")}${agreeing}first`)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(asking)).status, 103)
    assert.strictEqual((await client.response()).status, 101)
    assert.strictEqual((await client.bytes(5)).toString(), "first")
  }, noTunnels)

  test(
    "bytes that the client sends before the 101 reach the backend after it (Pingora CVE-2026-2833, Envoy CVE-2024-23326)",
    async (lab) => {
      const backend = await lab.raw(async (peer) => {
        while ((await peer.request()).target === "/other") await peer.send(ok)
      })
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      await client.send(`${asking}early`)
      const origin = await backend.asked()
      await meanwhile(lab, lb)
      assert.strictEqual(origin.unread, "")
      await origin.send(agreeing)
      assert.strictEqual((await client.response()).status, 101)
      assert.strictEqual((await origin.bytes(5)).toString(), "early")
    },
    noTunnels
  )

  test("a tunnel that the client has ended still carries what the backend says (RFC 9112 §9.6)", async (lab) => {
    const { client, origin } = await tunnel(lab)
    await client.send("last")
    client.end()
    assert.strictEqual(await origin.untilOver(), "ended")
    assert.strictEqual((await origin.bytes(4)).toString(), "last")
    await origin.send("answer")
    origin.end()
    assert.strictEqual((await client.bytes(6)).toString(), "answer")
    assert.strictEqual(await client.untilOver(), "ended")
  }, noTunnels)

  test("and one that the backend has ended what the client says (RFC 9112 §9.6)", async (lab) => {
    const { client, lb, origin } = await tunnel(lab)
    await origin.send("last")
    origin.end()
    assert.strictEqual(await client.untilOver(), "ended")
    assert.strictEqual((await client.bytes(4)).toString(), "last")
    await client.send("answer")
    client.end()
    assert.strictEqual((await origin.bytes(6)).toString(), "answer")
    assert.strictEqual(await origin.untilOver(), "ended")
    assert.strictEqual((await lb.completed()).status, 101)
    assert.strictEqual(lb.inFlight, 0)
  }, noTunnels)

  for (const side of ["client", "backend"] as const) {
    test(`a tunnel that the ${side} resets is over on both sides (RFC 9112 §9.5)`, async (lab) => {
      const { client, lb, origin } = await tunnel(lab)
      const [one, other] = side === "client" ? [client, origin] : [origin, client]
      one.reset()
      await other.untilOver()
      await lb.completed()
      assert.strictEqual(lb.inFlight, 0)
    }, noTunnels)
  }

  test("a request with a body that asks for an upgrade becomes a tunnel after it (RFC 9110 §7.8)", async (lab) => {
    const request = `${post("Connection: upgrade", "Upgrade: websocket", "Content-Length: 5")}hello`
    const { client, origin } = await tunnel(lab, request)
    await client.send("ping")
    assert.strictEqual((await origin.bytes(4)).toString(), "ping")
  }, noTunnels)
})
