/** `ServerConnection` on a socket that leads nowhere: what happens all in one turn of the event loop. */
import { assert, describe, it } from "@effect/vitest"
import { Deadlines } from "../../../src/layers/wire/Deadlines.ts"
import * as Head from "../../../src/layers/wire/Head.ts"
import { ServerConnection } from "../../../src/layers/wire/ServerConnection.ts"
import { head } from "../../contract/support/Serving.ts"
import { FullSocket } from "./FullSocket.ts"

/** A connection whose requests are answered at once with nothing, but for those of `/hang`. */
const setup = () => {
  const socket = new FullSocket()
  const connection = new ServerConnection(socket, {
    limits: { ...Head.defaultLimits, bodyBytes: Infinity },
    timeouts: { head: 1_000, idle: 1_000, keepAlive: 1_000 },
    deadlines: new Deadlines(0),
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
  return { connection, receive, socket }
}

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
