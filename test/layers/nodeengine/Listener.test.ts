/** What node:http's server is not left to do by itself. */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import * as Http from "node:http"
import * as Net from "node:net"
import { setTimeout } from "node:timers/promises"
import { defaultLimits } from "../../../src/layers/nodeengine/Limits.ts"
import * as Listener from "../../../src/layers/nodeengine/Listener.ts"

describe("a client that has reset its connection", () => {
  it("costs no look at the answers to all others, because thousands may do so at once", () => {
    const server = Listener.create(defaultLimits)
    Listener.follow(server)
    let looks = 0
    const other = new Http.ServerResponse(new Http.IncomingMessage(new Net.Socket()))
    Object.defineProperty(other, "socket", { get: () => void looks++ })
    server.emit("connection", other.req.socket)
    server.emit("request", other.req, other)
    const gone = new Net.Socket().destroy()
    const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
    server.emit("clientError", reset, gone)
    assert.strictEqual(looks, 0)
    // Whoever sends what is no request may still be in the middle of an answer.
    server.emit("clientError", new Error("Parse Error"), other.req.socket.on("error", () => {}))
    assert.isAbove(looks, 0)
  })
})

describe("a server that stops", () => {
  const listen = async (server: Http.Server): Promise<number> => {
    await once(server.listen(0, "127.0.0.1"), "listening")
    const address = server.address()
    assert(address !== null && typeof address === "object")
    return address.port
  }

  it("does not look at all connections for each answer that ends, because thousands may end at once", async () => {
    const server = Listener.create(defaultLimits)
    let looks = 0
    server.closeIdleConnections = () => void looks++
    const { close } = Listener.follow(server)
    const responses: Array<Http.ServerResponse> = []
    server.on("request", (_request, response) => void responses.push(response))
    const port = await listen(server)
    const clients = Array.from({ length: 50 }, () => Net.connect(port, "127.0.0.1").resume())
    for (const client of clients) {
      client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      await once(server, "request")
    }
    close()
    server.close()
    await setTimeout(300)
    const atFirst = looks
    await Promise.all(responses.map((response) => once(response.end(), "close")))
    assert.isBelow(looks - atFirst, 25)
    for (const client of clients) client.destroy()
    await once(server, "close")
  })

  it("waits for no request on a connection where an upload ends behind its answer", async () => {
    const server = Listener.create(defaultLimits)
    const { close } = Listener.follow(server)
    const port = await listen(server)
    const client = Net.connect(port, "127.0.0.1").resume()
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
    const [request, response]: [Http.IncomingMessage, Http.ServerResponse] = await once(server, "request") as never
    request.resume()
    response.write("begun")
    close()
    server.close()
    await setTimeout(300)
    await once(response.end(), "close")
    client.write("rest")
    const isOver = once(server, "close").then(() => true)
    assert.isTrue(await Promise.race([isOver, setTimeout(5_000, false, { ref: false })]))
  })
})
