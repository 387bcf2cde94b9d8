/** `ClientConnection` on a socket that leads nowhere: what depends on turns of the event loop, and on time. */
import { assert, describe, it } from "@effect/vitest"
import { ClientConnection } from "../../../src/layers/wire/ClientConnection.ts"
import { ClientExchange, type OutgoingBody } from "../../../src/layers/wire/ClientExchange.ts"
import { unwritable } from "../../../src/layers/wire/Connect.ts"
import { Deadlines } from "../../../src/layers/wire/Deadlines.ts"
import { defaultLimits } from "../../../src/layers/wire/Head.ts"
import type { MessageWriter } from "../../../src/layers/wire/MessageWriter.ts"
import { empty } from "../../../src/layers/wire/OutgoingBody.ts"
import { message } from "../../e2e/support/Peer.ts"
import { FullSocket } from "./FullSocket.ts"

const timeouts = { connect: 2_000, response: 15_000, idle: 60_000, keepAlive: 4_000, lifetime: 3_600_000 }

/** A connection that stands, on which a request was sent. */
const sending = ({ body = empty, isFull = false, method = "GET", upgrade }: {
  readonly body?: OutgoingBody
  readonly isFull?: boolean
  readonly method?: string
  readonly upgrade?: string
} = {}) => {
  const deadlines = new Deadlines(0, () => 0)
  const socket = new FullSocket()
  socket.isFull = isFull
  const told: Array<number | string> = []
  const exchange = new ClientExchange(
    { origin: "http://a", method, target: "/", fields: ["Host", "a"], body: undefined, upgrade },
    body,
    {
      onInterim: () => {},
      onHead: ({ status }) => void told.push(status),
      onFailure: ({ reason }) => void told.push(reason)
    }
  )
  const owner = { onFree: () => void told.push("free"), onLost: () => void told.push("lost"), onGone: () => {} }
  const connection = new ClientConnection(
    socket,
    "connect",
    exchange,
    { limits: defaultLimits, timeouts, deadlines },
    owner
  )
  socket.emit("connect")
  const receive = (text: string) => void connection.receive(Buffer.from(text))
  let now = 0
  const pass = (millis: number) => {
    for (const end = now + millis; now < end;) deadlines.look(now += 100)
  }
  return { connection, exchange, pass, receive, socket, told }
}

/** A body of this length, of which the first half is there. */
const halfOf = (length: number) => {
  let writer: MessageWriter | undefined
  const body: OutgoingBody = {
    framing: { _tag: "Length", length },
    source: undefined,
    isWhole: false,
    start: (to) => {
      writer = to
      to.data(Buffer.alloc(length / 2, "x"))
      to.flush()
    }
  }
  /** Sends the rest. */
  const finish = () => {
    writer?.data(Buffer.alloc(length / 2, "y"))
    writer?.end([])
    writer?.flush()
  }
  return { body, finish }
}

describe("a request", () => {
  it("that may be sent again waits for the end of the turn, and any other leaves at once", async () => {
    const [get, post] = [sending(), sending({ method: "POST" })]
    assert.strictEqual(get.socket.text, "")
    assert.match(post.socket.text, /^POST /)
    await get.socket.turn()
    assert.match(get.socket.text, /^GET /)
  })

  for (
    const [what, status, fields, isSent] of [
      ["is sent to its end when an error comes before it", 400, [], true],
      [
        "is sent no further when an error comes that is the last answer (RFC 9112 §9.3)",
        400,
        ["Connection: close"],
        false
      ],
      ["is sent to its end when another answer comes that is the last one", 200, ["Connection: close"], true]
    ] as const
  ) {
    it(`that has a body ${what}`, async () => {
      const { body, finish } = halfOf(20_000)
      const { receive, socket } = sending({ body, method: "POST" })
      receive(message(`HTTP/1.1 ${status} Some`, "Content-Length: 10", ...fields))
      finish()
      await socket.turn()
      assert.strictEqual(socket.text.endsWith("y"), isSent)
    })
  }
})

describe("an answer", () => {
  it("that comes instead of the rest of the request does not end for want of a backend that reads on", () => {
    const { body } = halfOf(2_000_000)
    const { exchange, pass, receive, socket } = sending({ body, isFull: true, method: "POST" })
    receive(message("HTTP/1.1 413 Too much", "Connection: close", "Content-Length: 10"))
    for (const digit of "012345678") {
      pass(10_000)
      receive(digit)
    }
    assert.isFalse(exchange.body?.isOver)
    assert.isFalse(socket.destroyed)
  })

  it("ends a connection that takes no more bytes", () => {
    const { receive, socket, told } = sending({ method: "POST" })
    socket.emit(unwritable)
    receive(message("HTTP/1.1 200 OK", "Content-Length: 0"))
    assert.deepStrictEqual(told, [200])
    assert.isTrue(socket.destroyed)
  })
})

describe("a connection that was upgraded", () => {
  it("brings what it has said to its end when it takes no more bytes", () => {
    const { connection, pass, receive, socket } = sending({ upgrade: "other", method: "POST" })
    receive(message("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: other"))
    connection.handOver({ receive: () => false, onEnd: () => {}, onClose: () => {} })
    socket.emit(unwritable)
    pass(5_000)
    assert.isFalse(socket.destroyed)
  })
})
