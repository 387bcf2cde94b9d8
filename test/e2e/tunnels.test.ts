/** What becomes of a tunnel when its ends are slow, silent or gone, and when the balancer closes. */
import { setTimeout as sleep } from "node:timers/promises"
import { assert, type Lab, onEachEngine, type Wishes } from "./support/Lab.ts"
import type { Peer } from "./support/Peer.ts"
import { agreeing, asking, noTunnels } from "./support/Tunnels.ts"

/** A tunnel that stands. `agreed` runs at the backend right behind its 101. */
const tunnel = async (lab: Lab, wishes: Wishes = {}, agreed: (peer: Peer) => unknown = () => {}) => {
  const backend = await lab.raw(async (peer) => {
    await peer.request()
    void peer.send(agreeing)
    await agreed(peer)
  })
  const lb = await lab.balancer([backend], { idle: 60_000, shutdown: 60_000, ...wishes })
  const client = await lab.connect(lb)
  assert.strictEqual((await client.exchange(asking)).status, 101)
  return { lb, client, origin: await backend.asked(), backend }
}

/** Waits until the bytes of a connection do not go on, which shows in nothing but time. */
const untilStuck = async ({ socket }: Peer): Promise<number> => {
  const bytes = () => socket.bytesWritten - socket.writableLength
  let before = -1
  for (let looks = 0; looks < 5; looks++) {
    if (before !== bytes()) looks = 0
    before = bytes()
    await sleep(30)
  }
  return before
}

/** The bytes of so many numbers, so that what is lost or swapped shows. */
const numbers = (count: number): Uint8Array => {
  const words = new Uint32Array(count)
  for (let i = 0; i < count; i++) words[i] = i
  return new Uint8Array(words.buffer)
}

const sides = ["client", "origin"] as const
const other = { client: "origin", origin: "client" } as const

onEachEngine("a tunnel", (declare) => {
  const test: typeof declare = (name, run) => declare(name, run, noTunnels)

  test("is in flight for as long as it stands", async (lab) => {
    const { client, lb, origin } = await tunnel(lab)
    assert.strictEqual(lb.inFlight, 1)
    client.end()
    await origin.untilOver()
    await origin.send("still here")
    await client.untilText("still here")
    assert.strictEqual(lb.inFlight, 1)
    origin.end()
    await client.untilClosed()
    assert.strictEqual((await lb.completed()).status, 101)
    assert.strictEqual(lb.inFlight, 0)
  })

  test("goes on while the balancer closes, which waits for its end", async (lab) => {
    const { client, lb, origin } = await tunnel(lab)
    const closing = lb.close()
    for (let i = 0; i < 3; i++) {
      await client.send("ping")
      await origin.untilText("ping")
      await origin.send("pong")
      await client.untilText("pong")
      await sleep(10)
    }
    client.end()
    origin.end()
    await closing
    assert.strictEqual(lb.inFlight, 0)
  })

  test("that is cut when the time to close is over is in the log by then, and ends in order", async (lab) => {
    const { client, lb, origin } = await tunnel(lab, { shutdown: 100 })
    await lb.close()
    assert.deepInclude(await lb.completed(), { status: 101, reason: "draining" })
    await client.until(() => client.ended, "the end")
    await origin.untilOver()
    assert.strictEqual(lb.inFlight, 0)
  })

  for (const side of sides) {
    test(`whose ${side} reads nothing is cut when the time to close is over`, async (lab) => {
      const ends = await tunnel(lab, { shutdown: 100 })
      ends[side].socket.pause()
      void ends[other[side]].send(Buffer.alloc(50_000_000))
      await untilStuck(ends[other[side]])
      await ends.lb.close()
      await ends[other[side]].untilClosed()
      ends[side].socket.resume()
      await ends[side].untilOver()
      assert.strictEqual(ends.lb.inFlight, 0)
    })

    test(`whose ${side} reads nothing holds up the other end, and loses no byte`, async (lab) => {
      const ends = await tunnel(lab)
      const slow = ends[side]
      const fast = ends[other[side]]
      slow.socket.pause()
      const before = slow.bytesReceived
      const content = numbers(12_500_000)
      void fast.send(content)
      assert.isBelow(await untilStuck(fast), 30_000_000)
      // The way back is open.
      await slow.send("back")
      await fast.untilText("back")
      slow.socket.resume()
      fast.end()
      await slow.until(() => slow.ended, "the end")
      assert.strictEqual(slow.bytesReceived - before, content.length)
      assert.isTrue((await slow.bytes(content.length)).equals(content))
      slow.end()
      await ends.lb.completed()
    })

    test(`whose ${side} reads nothing is over after the time between two reads`, async (lab) => {
      const ends = await tunnel(lab, { idle: 300 })
      ends[side].socket.pause()
      void ends[other[side]].send(Buffer.alloc(50_000_000))
      await ends[other[side]].untilOver()
      const { reason, status } = await ends.lb.completed()
      assert.deepStrictEqual([status, reason], [101, "tunnel_idle"])
      assert.strictEqual(ends.lb.inFlight, 0)
    })

    for (
      const [how, leave] of [
        ["closes", (peer: Peer) => peer.destroy()],
        ["resets", (peer: Peer) => peer.reset()]
      ] as const
    ) {
      test(`whose ${side} ${how} is over for the other end`, async (lab) => {
        const ends = await tunnel(lab)
        leave(ends[side])
        await ends[other[side]].untilOver()
        ends[other[side]].end()
        await ends[other[side]].untilClosed()
        assert.isUndefined((await ends.lb.completed()).reason)
        assert.strictEqual(ends.lb.inFlight, 0)
      })

      test(`whose ${side} ${how} with bytes on the way in both directions is over`, async (lab) => {
        const ends = await tunnel(lab)
        void ends.client.send(Buffer.alloc(5_000_000))
        void ends.origin.send(Buffer.alloc(5_000_000))
        await ends[side].until(() => ends[side].bytesReceived > 1_000_000, "some bytes")
        leave(ends[side])
        await ends[other[side]].untilOver()
        ends[other[side]].end()
        await ends.lb.completed()
        assert.strictEqual(ends.lb.inFlight, 0)
      })
    }
  }

  for (const hold of [undefined, 50]) {
    const when = hold === undefined ? "at once" : "before the client has heard of it"
    test(`whose backend says something and ends its half ${when} is one all the same`, async (lab) => {
      const { client, lb, origin } = await tunnel(lab, hold === undefined ? {} : { hold }, async (peer) => {
        await sleep(10)
        void peer.send("welcome")
        peer.end()
      })
      await client.untilText("welcome")
      await client.until(() => client.ended, "the end of this half")
      await client.send("thanks")
      await origin.untilText("thanks")
      client.end()
      assert.strictEqual((await lb.completed()).status, 101)
    })
  }

  test("whose backend is gone before the client has heard of it is over", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(agreeing)
      await sleep(10)
      peer.reset()
    })
    const lb = await lab.balancer([backend], { idle: 60_000, hold: 50 })
    const client = await lab.connect(lb)
    await client.send(asking)
    await client.untilOver()
    client.end()
    await lb.completed()
    assert.strictEqual(lb.inFlight, 0)
  })

  test("whose backend ends its half and then leaves, while it does not read, is over at once", async (lab) => {
    const { client, lb, origin } = await tunnel(lab)
    origin.socket.pause()
    origin.end()
    await client.until(() => client.ended, "the end of the other half")
    void client.send(Buffer.alloc(16_000_000))
    await untilStuck(client)
    origin.reset()
    await lb.completed()
    assert.strictEqual(lb.inFlight, 0)
  })

  test("whose ends leave, one after the other, while neither reads is over at once", async (lab) => {
    const { client, lb, origin } = await tunnel(lab)
    for (const { socket } of [client, origin]) socket.pause()
    for (const end of [client, origin]) void end.send(Buffer.alloc(8_000_000))
    await Promise.all([untilStuck(client), untilStuck(origin)])
    origin.reset()
    // What the backend has said may still be read.
    await sleep(50)
    assert.isFalse(client.over)
    client.reset()
    await lb.completed()
    assert.strictEqual(lb.inFlight, 0)
  })
})
