/** Who reads slowly, or not at all, gets every byte in the end, holds up nobody else, and makes nothing grow. */
import { onTestFinished } from "vitest"
import { assert, type Balancer, type Lab, onEachEngine } from "./support/Lab.ts"
import { host, message, type Peer } from "./support/Peer.ts"

const get = (target: string): string => message(`GET ${target} HTTP/1.1`, host)

/** No timeout may do the work of the flow. */
// node:http counts the time for a head on while it does not read, because answers wait to be read.
const patient = { connect: 60_000, head: 60_000, idle: 60_000, response: 60_000 }

/** The body of the nth answer, which is like no other. */
const bodyOf = (target: string, length: number): string =>
  `${target} `.repeat(Math.ceil(length / (target.length + 1))).slice(0, length)

/**
 * Exchanges of another client, until those of the first one have not gone on for a while. Gives how many there were.
 */
const untilStuck = async (lab: Lab, lb: Balancer): Promise<number> => {
  const other = await lab.connect(lb)
  let count = 0
  let others = 0
  for (let same = 0; same < 50; others++) {
    await other.exchange(get(`/other/${others}`))
    await lb.completed(others + 1 + count)
    const now = lb.journal.completed.length - others - 1
    same = now === count ? same + 1 : 0
    count = now
  }
  return count
}

onEachEngine("a slow client", (test) => {
  test("gets the answers to requests that it sent in advance as they were, however late it reads them", async (lab) => {
    const backend = await lab.answering(({ target }) =>
      message("HTTP/1.1 200 OK", "Content-Length: 9000") + bodyOf(target, 9_000)
    )
    // Node's server has them all in flight at once.
    const lb = await lab.balancer([backend], { ...patient, limit: { inFlightPerBackend: 2_000 } })
    const client = await lab.connect(lb)
    client.socket.pause()
    const targets = Array.from({ length: 2_000 }, (_, i) => `/${i}`)
    void client.send(targets.map(get).join(""))
    // Their answers come over the same connection to the backend.
    const answered = await untilStuck(lab, lb)
    assert.isBelow(answered, 2_000)
    client.socket.resume()
    for (const target of targets) {
      assert.isTrue((await client.response()).body.toString() === bodyOf(target, 9_000), target)
    }
  })

  test("makes Node warn of nothing when it sends many requests in advance", async (lab) => {
    const warnings: Array<string> = []
    const onWarning = ({ message }: Error) => warnings.push(message)
    process.on("warning", onWarning)
    onTestFinished(() => void process.off("warning", onWarning))
    const backend = await lab.answering(({ target }) =>
      message("HTTP/1.1 200 OK", "Content-Length: 9") + bodyOf(target, 9)
    )
    const client = await lab.connect(await lab.balancer([backend], patient))
    const targets = Array.from({ length: 30 }, (_, i) => `/${i}`)
    await client.send(targets.map(get).join(""))
    for (const _ of targets) await client.response()
    assert.deepStrictEqual(warnings, [])
  })
})

onEachEngine("a body that is larger than what is held for a backend that is still looked for", (test) => {
  for (const size of [60_000, 65_536, 70_000, 100_000, 131_072, 200_000]) {
    test(`does not hold up the next request of its connection (${size} bytes)`, async (lab) => {
      const backend = await lab.raw(async (peer: Peer) => {
        while (true) {
          const { body } = await peer.request()
          const text = String(body.length)
          await peer.send(message("HTTP/1.1 200 OK", `Content-Length: ${text.length}`) + text)
        }
      })
      const lb = await lab.balancer([backend], patient)
      for (let i = 0; i < 3; i++) {
        const client = await lab.connect(lb)
        const upload = message("POST / HTTP/1.1", host, `Content-Length: ${size}`) + "x".repeat(size)
        assert.strictEqual((await client.exchange(upload)).body.toString(), String(size))
        assert.strictEqual((await client.exchange(get("/"))).body.toString(), "0")
        // So that the next one has to wait for a connection.
        for (const peer of backend.peers) peer.destroy()
      }
    })
  }
})
