/**
 * Whoever falls silent in the middle of an exchange ends it after the time between two reads, whatever went on before.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Differences } from "./support/Engines.ts"
import { assert, type Balancer, type Lab, onEachEngine, type RawTarget } from "./support/Lab.ts"
import { host, message, type Peer } from "./support/Peer.ts"

/** Only the time between two reads or writes may end an exchange here. */
const brief = { idle: 300, response: 60_000 }

const noCrossing: Differences = { node: { races: "its client does not go on with an upload beside the answer" } }

const upload = (length: number): string => message("POST / HTTP/1.1", host, `Content-Length: ${length}`)
const begin = message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "5\r\nhello\r\n"

/** Waits until the bytes of a connection do not go on, which shows in nothing but time. */
const untilStuck = async (bytes: () => number): Promise<void> => {
  for (let before = -1; before !== bytes();) {
    before = bytes()
    await sleep(30)
  }
}

const assertOver = async (lb: Balancer, client: Peer, backend: RawTarget): Promise<void> => {
  await client.untilOver()
  await backend.deserted()
  await lb.completed()
  assert.strictEqual(lb.inFlight, 0)
}

/** An upload whose answer begins before it ends, and whose backend did not read for a moment. */
const crossing = async (lab: Lab) => {
  const backend = await lab.raw(async (peer) => {
    await peer.requestHead()
    await peer.send(begin)
    peer.socket.pause()
  })
  const lb = await lab.balancer([backend], brief)
  const client = await lab.connect(lb)
  await client.send(upload(20_000_000))
  await client.untilText("hello")
  const peer = await backend.asked()
  void client.send(Buffer.alloc(20_000_000))
  await untilStuck(() => client.socket.bytesWritten - client.socket.writableLength)
  peer.socket.resume()
  return { lb, client, peer, backend }
}

onEachEngine("silence", (test) => {
  test("of a backend in the middle of its answer, after an upload that it had read slowly, ends both", async (lab) => {
    const { backend, client, lb, peer } = await crossing(lab)
    await peer.bytes(20_000_000)
    await assertOver(lb, client, backend)
  }, noCrossing)

  test("of a client that does not read, after the end of an upload that crossed its answer, ends both", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 100000000"))
      void peer.send(Buffer.alloc(100_000_000))
      await peer.bytes(1_000)
    })
    const lb = await lab.balancer([backend], brief)
    const client = await lab.connect(lb)
    await client.send(upload(1_000) + "x".repeat(500))
    await client.responseHead()
    client.socket.pause()
    const peer = await backend.asked()
    await untilStuck(() => peer.socket.bytesWritten - peer.socket.writableLength)
    await client.send("x".repeat(500))
    await backend.deserted()
    await lb.completed()
    assert.strictEqual(lb.inFlight, 0)
  })

  test("of a client that does not go on with an upload does not end an answer that no longer depends on it", async (lab) => {
    let go = () => {}
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.send(message("HTTP/1.1 413 Content Too Large", "Connection: close", "Transfer-Encoding: chunked"))
      for (let i = 0; i < 10; i++) {
        await peer.send("5\r\nhello\r\n")
        await sleep(100)
      }
      await peer.send("0\r\n\r\n")
      go()
    })
    const lb = await lab.balancer([backend], brief)
    const client = await lab.connect(lb)
    const answered = new Promise<void>((resolve) => go = resolve)
    await client.send(upload(1_000) + "x".repeat(500))
    const answer = await client.response()
    await answered
    assert.deepStrictEqual([answer.status, answer.ending, answer.body.length], [413, "complete", 50])
  })

  test("of nobody: who waits for the other side of its own exchange is not cut", async (lab) => {
    const { client, lb, peer } = await crossing(lab)
    await peer.bytes(10_000_000)
    // The answer goes on, and the rest of the upload is not read: nothing is the client's fault.
    peer.socket.pause()
    for (let i = 0; i < 8; i++) {
      await peer.send("5\r\nhello\r\n")
      await client.untilText("hello")
      if (i % 2 === 0) peer.socket.resume()
      else peer.socket.pause()
      await sleep(100)
    }
    peer.socket.resume()
    await peer.bytes(10_000_000)
    await peer.send("0\r\n\r\n")
    await client.untilText("0\r\n\r\n")
    assert.strictEqual((await lb.completed()).status, 200)
  }, noCrossing)

  test(
    "of a backend that was gone in the middle of an upload, behind the begin of an answer, is noticed at once",
    async (lab) => {
      const backend = await lab.raw(async (peer) => {
        await peer.requestHead()
        await peer.send(begin)
        await peer.bytes(1_000_000)
        peer.destroy()
      })
      const lb = await lab.balancer([backend], { idle: 60_000, response: 60_000 })
      const client = await lab.connect(lb)
      void client.send(upload(50_000_000))
      void client.send(Buffer.alloc(50_000_000))
      await client.untilOver()
      assert.strictEqual((await lb.completed()).reason, "reset_mid_body")
      assert.strictEqual(lb.inFlight, 0)
    },
    noCrossing
  )
})
