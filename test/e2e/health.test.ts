/**
 * Health checks over real sockets and the live clock: who stops is out, who comes back is in, and no client notices.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { frozen } from "./support/Frozen.ts"
import { assert, type Balancer, type Lab, onEachEngine } from "./support/Lab.ts"
import { host, message, ok } from "./support/Peer.ts"

const get = message("GET / HTTP/1.1", host)

/** A client that asks a hundred times a second until it is told to stop, and what it was answered. */
const busyClient = async (lab: Lab, lb: Balancer) => {
  const client = await lab.connect(lb)
  const answers: Array<string> = []
  const stopping = new AbortController()
  const run = async () => {
    while (!stopping.signal.aborted) {
      const answer = await client.exchange(get)
      answers.push(answer.status === 200 ? answer.body.toString() : String(answer.status))
      await sleep(10)
    }
  }
  const running = run()
  const stop = async () => {
    stopping.abort()
    await running
  }
  return { answers, stop }
}

onEachEngine("health", (test) => {
  test("a backend that stops is out, one that comes back is in again, and nobody gets an error meanwhile", async (lab) => {
    const targets = await Promise.all(["a", "b", "c"].map((name) => lab.named(name)))
    const lb = await lab.balancer(targets, { healthInterval: 100, rise: 2 })
    const { answers, stop } = await busyClient(lab, lb)
    await lb.completed(30)
    // An exchange that is under way when its backend dies is another story: see errors.
    while (lb.inFlight > 0) await sleep(1)
    await targets[1]!.stop()
    await lb.untilStatus("Up", "Down", "Up")
    const whileDown = lb.journal.completed.length
    await lb.completed(whileDown + 30)
    const last = answers.slice(whileDown + 1)
    assert.sameMembers([...new Set(last)], ["a", "c"])
    await lab.named("b", "127.0.0.1", targets[1]!.port)
    await lb.untilStatus("Up", "Up", "Up")
    const whileUp = lb.journal.completed.length
    await lb.completed(whileUp + 30)
    await stop()
    assert.sameMembers([...new Set(answers.slice(whileUp + 1))], ["a", "b", "c"])
    assert.sameMembers([...new Set(answers)], ["a", "b", "c"])
  })

  test("a check that fails says why in the log", async (lab) => {
    const refusing = { origin: (await lab.nobody()).replace("127.0.0.1", "localhost") }
    const failing = await lab.raw(async (peer) => {
      await peer.untilText("\r\n\r\n")
      await peer.send(message("HTTP/1.1 500 Oops", "Content-Length: 0"))
    })
    const silent = await lab.raw((peer) => peer.untilText("\r\n\r\n"))
    const talking = await lab.raw(async (peer) => {
      await peer.untilText("\r\n\r\n")
      await peer.send("SSH-2.0-OpenSSH_9.9\r\n")
    })
    const lb = await lab.balancer([refusing, failing, silent, talking])
    assert.deepStrictEqual(lb.members.map(({ health }) => health.probe.state), Array(4).fill("Failing"))
    const why = lb.members.map(({ health }) => health.why)
    assert.deepStrictEqual(why.slice(0, 3), ["Connection refused", "status: 500", "no answer within 1s"])
    assert.match(why[3]!, /HTTP/)
  })

  test("a backend that hangs at its checks is out, and its connections are not kept", async (lab) => {
    let hanging = false
    const backend = await lab.raw(async (peer) => {
      while (true) {
        await peer.untilText("\r\n\r\n")
        if (!hanging) await peer.send(ok)
      }
    })
    const lb = await lab.balancer([backend], { healthInterval: 50 })
    hanging = true
    await lb.untilStatus("Down")
    await backend.peers[0]!.untilOver()
    await lb.close()
    await backend.deserted()
  })

  for (const address of ["127.0.0.1", "::1"]) {
    test(`localhost is found where it listens on ${address} only`, async (lab) => {
      const { port } = await lab.named("local", address)
      const lb = await lab.balancer([{ origin: `http://localhost:${port}` }])
      assert.deepStrictEqual(lb.members.map(({ health }) => health.probe.state), ["Passing"])
      const client = await lab.connect(lb)
      for (let i = 0; i < 3; i++) assert.strictEqual((await client.exchange(get)).body.toString(), "local")
    })
  }

  test("a name is found where it answers, although another of its addresses is silent", async (lab) => {
    const silent = await frozen(lab)
    const port = Number(new URL(silent.origin).port)
    await lab.named("six", "::1", port)
    const lb = await lab.balancer([{ origin: `http://localhost:${port}` }])
    await silent.freeze()
    assert.strictEqual((await (await lab.connect(lb)).exchange(get)).body.toString(), "six")
    assert.strictEqual((await lb.completed()).tries, 1)
  })

  test("an IPv6 address is an address", async (lab) => {
    const backend = await lab.answering(ok)
    const six = await lab.named("six", "::1")
    const client = await lab.connect(await lab.balancer([six, backend], { hostHeader: "backend" }))
    const answers = [await client.exchange(get), await client.exchange(get)]
    assert.deepStrictEqual(answers.map(({ body, status }) => [status, body.toString()]), [[200, "six"], [200, ""]])
  })
})
