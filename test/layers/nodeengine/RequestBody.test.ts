import { assert, describe, it } from "@effect/vitest"
import * as Http from "node:http"
import { RequestBody } from "../../../src/layers/nodeengine/RequestBody.ts"
import { Peer } from "../../e2e/support/Peer.ts"

describe("the body of a request to Node's server", () => {
  it("does not stop its connection when it is given up after the response", async () => {
    const server = Http.createServer((request, response) => {
      if (request.method === "GET") return response.end("next")
      const body = new RequestBody(request, response).open()
      // The platform's server reads what is left then, and throws it away.
      response.once("finish", () => {
        request.resume()
        body.destroy()
      })
      body.once("data", () => response.end("early"))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    const client = await Peer.connect(typeof address === "object" && address !== null ? address.port : 0)
    try {
      await client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000\r\n\r\n1")
      assert.strictEqual((await client.response()).body.toString(), "early")
      await client.send(`${"2".repeat(99_999)}GET / HTTP/1.1\r\nHost: example.com\r\n\r\n`)
      assert.strictEqual((await client.response()).body.toString(), "next")
    } finally {
      client.destroy()
      server.close()
    }
  })
})
