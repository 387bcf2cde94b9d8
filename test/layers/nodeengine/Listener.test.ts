/** What node:http's server is not left to do by itself. */
import { assert, describe, it } from "@effect/vitest"
import * as Http from "node:http"
import * as Net from "node:net"
import { defaultLimits } from "../../../src/layers/nodeengine/Limits.ts"
import * as Listener from "../../../src/layers/nodeengine/Listener.ts"

describe("a client that has reset its connection", () => {
  it("costs no look at the answers to all others, because thousands may do so at once", () => {
    const server = Listener.create(defaultLimits)
    Listener.follow(server)
    let looks = 0
    const other = new Http.ServerResponse(new Http.IncomingMessage(new Net.Socket()))
    Object.defineProperty(other, "socket", { get: () => void looks++ })
    server.emit("request", other.req, other)
    const gone = new Net.Socket().destroy()
    const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
    server.emit("clientError", reset, gone)
    assert.strictEqual(looks, 0)
    // Whoever sends what is no request may still be in the middle of an answer.
    server.emit("clientError", new Error("Parse Error"), new Net.Socket().on("error", () => {}))
    assert.isAbove(looks, 0)
  })
})
