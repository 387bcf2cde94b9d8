/**
 * What health checks can be told to do, over real sockets: what they ask for, what they expect, and
 * what they leave behind.
 */
import * as Duration from "effect/Duration"
import type { Settings } from "../../src/services/Configuration.ts"
import { assert, onEachEngine } from "./support/Lab.ts"
import { host, message, ok, value } from "./support/Peer.ts"

const states = (members: ReadonlyArray<{ readonly health: { readonly probe: { readonly state: string } } }>) =>
  members.map(({ health }) => health.probe.state)

onEachEngine("checks", (test) => {
  test("ask as they are told to", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 401 No", "Content-Length: 0"))
    const lb = await lab.balancer([backend], {
      health: {
        path: "/up?deep",
        method: "OPTIONS",
        host: "shop.example",
        headers: [{ name: "X-Check", value: "very deep" }],
        status: [{ first: 401, last: 401 }]
      }
    })
    assert.deepStrictEqual(states(lb.members), ["Passing"])
    const [asked] = backend.requests
    assert.strictEqual(asked?.line, "OPTIONS /up?deep HTTP/1.1")
    assert.deepStrictEqual(asked && [value(asked, "Host"), value(asked, "X-Check")], ["shop.example", "very deep"])
  })

  test("that go to another port, where nobody listens, do not keep requests from backends that answer", async (lab) => {
    const port = Number(new URL(await lab.nobody()).port)
    const lb = await lab.balancer([await lab.named("a"), await lab.named("b")], { health: { port } })
    assert.deepStrictEqual(states(lb.members), ["Failing", "Failing"])
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange(message("GET / HTTP/1.1", "Host: a"))).status, 200)
  })

  test("ask without a body by HEAD, and say by POST that theirs is empty", async (lab) => {
    for (const [method, length] of [["HEAD", undefined], ["POST", "0"]] as const) {
      const backend = await lab.answering(message("HTTP/1.1 200 OK", "Content-Length: 0"))
      const lb = await lab.balancer([backend], { health: { path: "/up", method } })
      assert.deepStrictEqual(states(lb.members), ["Passing"])
      const [asked] = backend.requests
      assert.deepStrictEqual(asked && [asked.method, value(asked, "Content-Length")], [method, length])
    }
  })

  test("may go to another port and host than the traffic", async (lab) => {
    const agent = await lab.answering(ok)
    const lb = await lab.balancer([{ origin: "http://nowhere.invalid:1" }], {
      health: { path: "/up", address: "127.0.0.1", port: agent.port }
    })
    assert.deepStrictEqual(states(lb.members), ["Passing"])
    const [asked] = agent.requests
    assert.strictEqual(asked && value(asked, "Host"), `127.0.0.1:${agent.port}`)
  })

  test("look for a text, and say when it is not there", async (lab) => {
    const chunked = await lab.answering(
      `${message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}6\r\nall is\r\n5\r\n well\r\n0\r\n\r\n`
    )
    const sick = await lab.answering(`${message("HTTP/1.1 200 OK", "Content-Length: 4")}sick`)
    const lb = await lab.balancer([chunked, sick], { health: { path: "/up", body: "is well" } })
    assert.deepStrictEqual(states(lb.members), ["Passing", "Failing"])
    assert.strictEqual(lb.members[1]?.health.why, "status: 200, but no \"is well\" in the body")
  })

  test("let go of an answer without an end, and of one with the wrong status", async (lab) => {
    const endless = (head: string) =>
      lab.raw(async (peer) => {
        await peer.untilText("\r\n\r\n")
        await peer.send(message(head, "Transfer-Encoding: chunked"))
        const chunk = `1000\r\n${"x".repeat(0x1000)}\r\n`
        while (!peer.over) await peer.send(chunk)
      })
    const backends = [await endless("HTTP/1.1 200 OK"), await endless("HTTP/1.1 500 Oops")]
    const lb = await lab.balancer(backends)
    assert.deepStrictEqual(states(lb.members), ["Passing", "Failing"])
    // The balancer still runs, so it is the checks that have ended these connections.
    for (const backend of backends) await backend.deserted()
  })

  test("find a connection to a backend whose connections are all in use", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while (true) {
        const { target } = await peer.request()
        if (target !== "/slow") await peer.send(ok)
      }
    })
    const lb = await lab.balancer([backend], {
      healthInterval: 50,
      response: 1_000,
      health: { path: "/up", timeout: Duration.millis(300) },
      limit: { connectionsPerBackend: 1, inFlightPerBackend: 1 }
    })
    const client = await lab.connect(lb)
    await client.send(message("GET /slow HTTP/1.1", host))
    // Some checks more than the request and the checks before it.
    await backend.asked(backend.peers.reduce((sum, peer) => sum + peer.requestsRead, 0) + 10)
    const changes = Array.from(lb.journal).flatMap((entry) => (entry._tag === "HealthChanged" ? [entry.status] : []))
    assert.deepStrictEqual(changes, ["Up"])
  }, { node: { fails: "undici keeps checks waiting as well" } })

  const tcp: Partial<Settings["health"]> = { kind: "tcp", timeout: Duration.millis(500) }

  test("that only connect pass where somebody listens, whatever it is, and leave nothing open", async (lab) => {
    const silent = await lab.raw(() => undefined)
    const talking = await lab.raw((peer) => peer.send("220 mail.example\r\n"))
    const refusing = { origin: (await lab.nobody()).replace("127.0.0.1", "localhost") }
    const unknown = { origin: "http://nowhere.invalid:1" }
    const six = await lab.named("six", "::1")
    const lb = await lab.balancer([silent, talking, refusing, unknown, six], { health: tcp })
    assert.deepStrictEqual(states(lb.members), ["Passing", "Passing", "Failing", "Failing", "Passing"])
    assert.deepStrictEqual(lb.members.slice(0, 3).map(({ health }) => health.why), [
      "connected",
      "connected",
      "Connection refused"
    ])
    for (const backend of [silent, talking]) await backend.deserted()
    assert.strictEqual(silent.peers.length, 1)
    assert.strictEqual(silent.peers[0]?.unread, "")
  })

  test("that only connect do so with TLS where the traffic has it", async (lab) => {
    const silent = await lab.raw(() => undefined)
    const lb = await lab.balancer([{ origin: silent.origin.replace("http:", "https:") }], { health: tcp })
    assert.deepStrictEqual(lb.members.map(({ health }) => health.why), ["no answer within 500ms"])
    await silent.deserted()
  })

  test("that only connect notice who stops and who returns", async (lab) => {
    const backend = await lab.named("a")
    const lb = await lab.balancer([backend], { healthInterval: 50, health: tcp })
    await backend.stop()
    await lb.untilStatus("Down")
    await lab.named("a", "127.0.0.1", backend.port)
    await lb.untilStatus("Up")
  })

  test("that only connect use another port where they are told to", async (lab) => {
    const agent = await lab.raw(() => undefined)
    const origin = await lab.nobody()
    const lb = await lab.balancer([{ origin }], { health: { ...tcp, port: agent.port } })
    assert.deepStrictEqual(states(lb.members), ["Passing"])
  })
})
