/** `ServerConnection` on a socket that leads nowhere: what depends on turns of the event loop. */
import { assert, describe, it } from "@effect/vitest"
import { Deadlines } from "../../../src/layers/wire/Deadlines.ts"
import * as Head from "../../../src/layers/wire/Head.ts"
import { ServerConnection } from "../../../src/layers/wire/ServerConnection.ts"
import { head } from "../../contract/support/Serving.ts"
import { FullSocket } from "./FullSocket.ts"

/** A connection whose requests are answered at once with nothing, but for those of `/hang`. */
const setup = (timeouts = { head: 1_000, idle: 1_000, keepAlive: 1_000 }) => {
  const socket = new FullSocket()
  const deadlines = new Deadlines(0)
  const connection = new ServerConnection(socket, {
    limits: { ...Head.defaultLimits, bodyBytes: Infinity },
    timeouts,
    deadlines,
    isClosing: false,
    handle: (exchange) => {
      if (exchange.request.target === "/hang") return
      const start = { status: 200, statusText: "OK", fields: [], upgrade: undefined }
      const writer = exchange.respond(start, { _tag: "None" }, undefined, () => {})
      writer.end([])
      writer.flush()
    },
    onRefused: () => {},
    onClose: () => {}
  })
  const receive = (text: string) => void socket.emit("data", Buffer.from(text))
  return { connection, deadlines, receive, socket }
}

describe("a response that its client has not read to its end", () => {
  /** Whether the connection was reset when it was closed, and after how many milliseconds. */
  const ending = async (request: string, keepAlive: number) => {
    const { deadlines, receive, socket } = setup({ head: 1_000, idle: 1_000, keepAlive })
    let wasReset = false
    socket.resetAndDestroy = () => {
      wasReset = true
      return socket.destroy()
    }
    socket.isFull = true
    receive(request)
    await socket.turn()
    assert.isAbove(socket.writableLength, 0)
    let now = 0
    while (!socket.destroyed && now < 10_000) deadlines.look(now += 100)
    return { now, wasReset }
  }

  for (const [what, fields] of [["stays", []], ["ends", ["Connection: close"]]] as const) {
    it(`never looks complete on a connection that ${what}: that is reset when nothing is read for the idle time (RFC 9112 §8)`, async () => {
      for (const keepAlive of [200, 5_000]) {
        const { now, wasReset } = await ending(head("GET /", ...fields), keepAlive)
        assert.isTrue(wasReset)
        assert.isAtLeast(now, 1_000)
      }
    })
  }

  it("and is read later leaves a connection that is closed as any other", async () => {
    const { deadlines, receive, socket } = setup({ head: 1_000, idle: 1_000, keepAlive: 200 })
    socket.resetAndDestroy = () => assert.fail("it was reset")
    socket.isFull = true
    receive(head("GET /"))
    await socket.turn()
    let now = 0
    while (now < 600) deadlines.look(now += 100)
    assert.isFalse(socket.destroyed)
    await socket.empty()
    while (!socket.destroyed && now < 10_000) deadlines.look(now += 100)
    assert.isBelow(now, 2_000)
  })
})

describe("a response that was written in the turn in which its connection", () => {
  it("is left by the client is sent", () => {
    const { receive, socket } = setup()
    receive(head("GET /") + head("GET /hang"))
    socket.emit("end")
    assert.isTrue(socket.destroyed)
    assert.match(socket.text, /^HTTP\/1.1 200 OK\r\n/)
  })

  it("is cut is sent", () => {
    const { connection, receive, socket } = setup()
    receive(head("GET /"))
    connection.cut()
    assert.match(socket.text, /^HTTP\/1.1 200 OK\r\n/)
  })

  it("has to end is sent, and nobody waits for a client that reads nothing", () => {
    const { connection, receive, socket } = setup()
    receive(head("GET /"))
    connection.terminate()
    assert.match(socket.text, /^HTTP\/1.1 200 OK\r\n/)
    const stuck = setup()
    stuck.socket.isFull = true
    stuck.socket.write("something")
    stuck.receive(head("GET /"))
    stuck.connection.terminate()
    assert.isTrue(stuck.socket.destroyed)
  })
})
