import { assert, describe, it } from "@effect/vitest"
import * as Http from "node:http"
import type { Readable } from "node:stream"
import { text } from "node:stream/consumers"
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

  /** The body of a POST of which this much has come, and a way to send more. */
  const withBodyOf = async (
    length: number,
    begin: string,
    use: (body: RequestBody, send: (more: string) => Promise<unknown>) => Promise<void>
  ): Promise<void> => {
    const server = Http.createServer()
    const opened = new Promise<RequestBody>((resolve) =>
      server.once("request", (request, response) => resolve(new RequestBody(request, response)))
    )
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    const client = await Peer.connect(typeof address === "object" && address !== null ? address.port : 0)
    try {
      await client.send(`POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: ${length}\r\n\r\n${begin}`)
      await use(await opened, (more) => client.send(more))
    } finally {
      client.destroy()
      server.close()
    }
  }

  const some = (body: Readable): Promise<string> =>
    new Promise((resolve) => body.once("data", (b) => resolve(String(b))))

  it("is the same for each try that opens it, whatever of it the ones before had", () =>
    withBodyOf(6, "abc", async (body, send) => {
      body.keep(6)
      const first = body.open()
      assert.strictEqual(await some(first), "abc")
      const second = text(body.open())
      assert.isTrue(first.destroyed)
      await send("def")
      assert.strictEqual(await second, "abcdef")
      assert.strictEqual(await text(body.open()), "abcdef")
      assert.isTrue(body.isWhole)
      let isComplete = false
      body.whenComplete(() => isComplete = true)
      assert.isTrue(isComplete)
      body.settle()
      assert.isFalse(body.isWhole)
    }))

  it("is whole until somebody has read of it more than is kept, and one that is too long until it is read", () =>
    withBodyOf(6, "abc", async (body) => {
      body.keep(5)
      assert.isTrue(body.isWhole)
      await some(body.open())
      assert.isFalse(body.isWhole)
    }))
})
