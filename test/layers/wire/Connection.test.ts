/** Two connections that were joined. */
import { afterEach, assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import * as Net from "node:net"
import { Connection } from "../../../src/layers/wire/Connection.ts"
import { Deadlines } from "../../../src/layers/wire/Deadlines.ts"
import { FullSocket } from "./FullSocket.ts"

/** A connection of which nothing but its tunnel is of interest. */
class Joined extends Connection {
  expired = 0
  override cancel(): void {}
  /** As what comes after a 101. */
  protected override onBytes(chunk: Buffer): boolean {
    this.hold()
    return this.receive(chunk)
  }
  protected override onEnd(): void {}
  protected override onDrain(): void {}
  protected override onClose(): void {}
  protected override onGone(): void {}
  protected override onExpire(): void {
    this.expired++
  }
}

const opened: Array<() => void> = []

afterEach(() => {
  for (const close of opened.splice(0)) close()
})

/** Both ends of a new connection: ours, and the peer's. */
const pair = async (deadlines: Deadlines, idle = 60_000) => {
  const server = Net.createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as Net.AddressInfo
  const accepted = once(server, "connection") as Promise<[Net.Socket]>
  const peer = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
  const [socket] = await accepted
  opened.push(() => server.close(), () => peer.destroy(), () => socket.destroy())
  const connection = new Joined(socket, deadlines, idle)
  socket.on("data", (chunk: Buffer) => void connection.receive(chunk))
  return { connection, peer: peer.resume() }
}

/** A tunnel, and how its time goes by. */
const tunnel = async (idle: number) => {
  const deadlines = new Deadlines(0, () => 0)
  const [left, right] = [await pair(deadlines, idle), await pair(deadlines)]
  let over: boolean | undefined
  left.connection.joinTo(right.connection, (hasExpired) => over = hasExpired)
  let now = 0
  const pass = (millis: number) => {
    for (const until = now + millis; now < until;) deadlines.look(now += 100)
  }
  return { left, right, pass, isDestroyed: () => left.connection.socket.destroyed, hasExpired: () => over }
}

describe("a connection that was handed over", () => {
  it("does not expire, however little time it had left", async () => {
    const deadlines = new Deadlines(0, () => 0)
    const { connection } = await pair(deadlines)
    connection.deadline = 1_000
    connection.handOver({ receive: () => false, onEnd: () => {}, onClose: () => {} })
    for (let now = 0; now < 10_000; now += 100) deadlines.look(now)
    assert.strictEqual(connection.expired, 0)
  })

  it("tells an end that has come before", async () => {
    const { connection, peer } = await pair(new Deadlines(0, () => 0))
    peer.end()
    await once(connection.socket, "end")
    let hasEnded = false
    connection.handOver({ receive: () => false, onEnd: () => hasEnded = true, onClose: () => {} })
    assert.isTrue(hasEnded)
  })
})

describe("a connection whose peer does not read", () => {
  it("expires once", async () => {
    const deadlines = new Deadlines(0, () => 0)
    const { connection } = await pair(deadlines, 1_000)
    connection.onWaiting(true)
    for (let now = 0; now < 10_000; now += 100) deadlines.look(now)
    assert.strictEqual(connection.expired, 1)
  })
})

describe("a tunnel", () => {
  it.each(["left", "right"] as const)(
    "still brings what came, before it was one, when its %s end had ended",
    async (side) => {
      const deadlines = new Deadlines(0, () => 0)
      const [left, right] = [await pair(deadlines), await pair(deadlines)]
      const [from, to] = side === "left" ? [left, right] : [right, left]
      from.peer.end("bye")
      await once(from.connection.socket, "end")
      let received = ""
      to.peer.on("data", (chunk) => received += chunk)
      left.connection.joinTo(right.connection, () => {})
      await Promise.race([once(to.peer, "end"), once(to.peer, "error"), once(to.peer, "close")])
      assert.strictEqual(received, "bye")
    }
  )

  it("is over when its other end was closed before it was one", async () => {
    const deadlines = new Deadlines(0, () => 0)
    const [left, right] = [await pair(deadlines), await pair(deadlines)]
    right.connection.socket.destroy()
    await once(right.connection.socket, "close")
    left.connection.joinTo(right.connection, () => {})
    assert.isTrue(left.connection.socket.writableEnded)
    await once(left.connection.socket, "close")
  })

  it("does not expire for what its client had not read before it was one, nor while its client reads", async () => {
    const deadlines = new Deadlines(0, () => 0)
    const [left, right] = [new FullSocket(), new FullSocket()]
    const [client, backend] = [left, right].map((socket) => new Joined(socket, deadlines, 60_000))
    let now = 0
    const pass = (millis: number) => {
      for (const until = now + millis; now < until;) deadlines.look(now += 100)
    }
    client!.onWaiting(true)
    pass(50_000)
    client!.joinTo(backend!, () => {})
    pass(50_000)
    left.isFull = true
    backend!.receive(Buffer.alloc(1_000_000))
    assert.isTrue(right.isPaused())
    pass(50_000)
    await left.empty()
    assert.isFalse(right.isPaused())
    pass(50_000)
    assert.isFalse(left.destroyed)
    pass(11_000)
    assert.isTrue(left.destroyed)
  })

  it("may stand still for as long as it was told to, while both sides are open", async () => {
    const { isDestroyed, pass } = await tunnel(60_000)
    pass(59_000)
    assert.isFalse(isDestroyed())
    pass(2_000)
    assert.isTrue(isDestroyed())
  })

  it.each(["left", "right"] as const)("may stand still for ten seconds once its %s end has ended", async (side) => {
    const ends = await tunnel(60_000)
    const other = side === "left" ? "right" : "left"
    ends[side].peer.end()
    await once(ends[other].peer, "end")
    ends.pass(9_000)
    assert.isFalse(ends.isDestroyed())
    // What still moves keeps it.
    ends[other].peer.write("more")
    await once(ends[side].peer, "data")
    ends.pass(9_000)
    assert.isFalse(ends.isDestroyed())
    ends.pass(2_000)
    assert.isTrue(ends.isDestroyed())
    await once(ends.left.connection.socket, "close")
    if (!ends.right.connection.socket.closed) await once(ends.right.connection.socket, "close")
    assert.isTrue(ends.hasExpired())
  })

  it("may not stand still any longer for having been half closed", async () => {
    const ends = await tunnel(5_000)
    ends.left.peer.end()
    await once(ends.right.peer, "end")
    ends.pass(6_000)
    assert.isTrue(ends.isDestroyed())
  })
})
