/**
 * An answer that broke off never looks complete to the client, is logged as what it was, and
 * counts against the backend.
 */
import { assert, type Balancer, type Lab, onEachEngine } from "./support/Lab.ts"
import { type Answer, host, message, ok, type Peer } from "./support/Peer.ts"

const request = message("GET / HTTP/1.1", host)
const oldRequest = message("GET / HTTP/1.0", host)

const counted = (...fields: ReadonlyArray<string>): string =>
  message("HTTP/1.1 200 OK", "Content-Length: 10", ...fields)
const chunked = (...fields: ReadonlyArray<string>): string =>
  message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", ...fields)

/** Ways for an answer to break off: what there is of it, before the connection goes. */
const partial: ReadonlyArray<readonly [name: string, bytes: string]> = [
  ["counted, without a byte of the body", counted()],
  ["counted, in the middle", `${counted()}hello`],
  ["counted, one byte too early", `${counted()}hello wor`],
  ["counted, on a connection that was to be closed anyway", `${counted("Connection: close")}hello`],
  ["in chunks, without a byte of the body", chunked()],
  ["in chunks, in the middle of a size", `${chunked()}1`],
  ["in chunks, in the middle of a chunk", `${chunked()}a\r\nhello`],
  ["in chunks, before the line break of a chunk", `${chunked()}5\r\nhello`],
  ["in chunks, after a chunk", `${chunked()}5\r\nhello\r\n`],
  ["in chunks, in the middle of the last chunk", `${chunked()}5\r\nhello\r\n0\r\n`],
  ["in chunks, in the middle of the trailers", `${chunked()}5\r\nhello\r\n0\r\nX-Trailer: 1\r\n`],
  [
    "in chunks, after a chunk, on a connection that was to be closed anyway",
    `${chunked("Connection: close")}5\r\nhello\r\n`
  ]
]

/** The response as far as it comes. What breaks off at once may be cut before its head. */
const begun = (client: Peer): Promise<Answer | undefined> => client.response().catch(() => undefined)

const assertBroken = async (answer: Answer | undefined, client: Peer, lb: Balancer): Promise<void> => {
  assert.strictEqual(answer?.status ?? 200, 200)
  assert.notStrictEqual(answer?.ending, "complete")
  await client.untilOver()
  const { backend, reason, status } = await lb.completed()
  assert.deepStrictEqual([backend, reason, status], [lb.members[0]!.endpoint.backend.origin, "reset_mid_body", 200])
  const { failed, inFlight } = lb.members[0]!.endpoint.load
  assert.deepStrictEqual({ failed, inFlight }, { failed: 1, inFlight: 0 })
}

const breaking = (lab: Lab, bytes: string) =>
  lab.raw(async (peer) => {
    await peer.request()
    await peer.send(bytes)
    peer.end()
  })

/** The response to a request whose backend leaves when the client has seen the head. */
const cutLater = async (lab: Lab, asked: string, bytes: string, leave: (origin: Peer) => void) => {
  const backend = await lab.raw(async (peer) => {
    await peer.request()
    await peer.send(bytes)
  })
  const lb = await lab.balancer([backend])
  const client = await lab.connect(lb)
  await client.send(asked)
  const reading = begun(client)
  await client.until(() => client.bytesReceived > 0, "the head")
  leave(await backend.asked())
  const answer = await reading
  await assertBroken(answer, client, lb)
  return { answer, client }
}

onEachEngine("truncation", (test) => {
  for (const [name, bytes] of partial) {
    test(`an answer ${name}, is cut for the client (FIN from the backend, at once)`, async (lab) => {
      const lb = await lab.balancer([await breaking(lab, bytes)])
      const client = await lab.connect(lb)
      await client.send(request)
      await assertBroken(await begun(client), client, lb)
      assert.notInclude(client.unread, "0\r\n\r\n")
    })

    test(`an answer ${name}, is cut for the client (RST from the backend, later)`, async (lab) => {
      const { client } = await cutLater(lab, request, bytes, (origin) => origin.reset())
      assert.notInclude(client.unread, "0\r\n\r\n")
    })
  }

  for (const [name, bytes] of [partial[1]!, partial[8]!]) {
    test(`an answer ${name}, is cut for an HTTP/1.0 client, whose only sign of an end is the close (RFC 9112 §8)`, async (lab) => {
      const { answer } = await cutLater(lab, oldRequest, bytes, (origin) => origin.end())
      assert.strictEqual(answer?.ending, "reset")
    })
  }

  test("an answer without a length that ends with a reset is cut (RFC 9112 §8)", async (lab) => {
    for (const asked of [request, oldRequest]) {
      const endless = message("HTTP/1.0 200 OK") + "hello"
      const { answer } = await cutLater(lab, asked, endless, (origin) => origin.reset())
      assert.strictEqual(answer?.ending, "reset")
    }
  })

  test(
    "an answer whose client ends its half before the end is cut, and does not look complete (RFC 9112 §8)",
    async (lab) => {
      const backend = await lab.raw(async (peer) => {
        await peer.request()
        await peer.send(`${chunked()}5\r\nhello\r\n`)
      })
      const lb = await lab.balancer([backend])
      const client = await lab.connect(lb)
      await client.send(oldRequest)
      await client.untilText("hello")
      client.end()
      assert.strictEqual(await client.untilOver(), "reset")
      assert.strictEqual((await lb.completed()).reason, "client_aborted")
    },
    { node: { fails: "node:http ends the connection as it does after a whole answer" } }
  )

  test("an answer that broke off before it was given to the server is cut", async (lab) => {
    const lb = await lab.balancer([await breaking(lab, `${counted()}hello`)], { hold: 50 })
    const client = await lab.connect(lb)
    await client.send(request)
    await assertBroken(await begun(client), client, lb)
  })

  test("an answer that stops without an end is cut after the time between two reads", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(`${counted()}hello`)
    })
    const lb = await lab.balancer([backend], { idle: 200 })
    const client = await lab.connect(lb)
    await client.send(request)
    await assertBroken(await begun(client), client, lb)
    await backend.peers.at(-1)!.untilOver()
  })

  test("an answer that is cut while the client does not read is cut for the client as well", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 1000000"))
      await peer.send(Buffer.alloc(500_000))
      peer.end()
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    client.socket.pause()
    await client.send(request)
    await lb.completed()
    client.socket.resume()
    await assertBroken(await begun(client), client, lb)
  })

  test("the next exchange is none the worse for one that was cut", async (lab) => {
    const broken = await breaking(lab, `${counted()}hello`)
    const whole = await lab.answering(ok)
    const lb = await lab.balancer([broken, whole])
    for (let i = 0; i < 3; i++) {
      const client = await lab.connect(lb)
      await client.send(request)
      assert.notStrictEqual((await begun(client))?.ending, "complete")
      assert.strictEqual((await (await lab.connect(lb)).exchange(request)).status, 200)
    }
    await lb.completed(6)
    assert.strictEqual(lb.inFlight, 0)
  })
})
