/**
 * Bodies in both directions: whether there is one, that all of it comes, when it comes, and how much
 * of it waits in between.
 */
import { createHash } from "node:crypto"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { gzipSync } from "node:zlib"
import { assert, onEachEngine } from "./support/Lab.ts"
import { host, message, ok, type Peer, probePath, value } from "./support/Peer.ts"

const digest = (...parts: ReadonlyArray<Uint8Array>): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest("hex")
}

/** Bytes that do not repeat soon, so that what is lost, doubled or swapped shows. */
const bytes = (length: number): Buffer => {
  const buffer = Buffer.alloc(length)
  for (let i = 0; i + 4 <= length; i += 4) buffer.writeUInt32LE((i * 2_654_435_761) >>> 0, i)
  return buffer
}

const megabyte = 1_048_576

/** Waits until a number has not changed for a while: there is no event for "nothing happens any more". */
const untilSteady = async (read: () => number): Promise<number> => {
  for (let last = -1;;) {
    const now = read()
    if (now === last) return now
    last = now
    await sleep(150)
  }
}

/** Writes as long as somebody takes it, and says how many bytes the operating system has taken. */
const flood = (peer: Peer, chunk: Uint8Array, total: number): () => number => {
  const before = peer.socket.bytesWritten
  const run = async () => {
    for (let sent = 0; sent < total && !peer.socket.destroyed; sent += chunk.length) {
      if (!peer.socket.write(chunk)) await once(peer.socket, "drain")
    }
  }
  void run().catch(() => {})
  return () => peer.socket.bytesWritten - before - peer.socket.writableLength
}

onEachEngine("bodies", (test) => {
  test("50 MB arrive whole at the backend, with either framing", async (lab) => {
    const part = bytes(megabyte)
    const parts = Array.from({ length: 50 }, () => part)
    const backend = await lab.http((request, response) => {
      const hash = createHash("sha256")
      request.on("data", (chunk: Buffer) => hash.update(chunk)).on("end", () => response.end(hash.digest("hex")))
    })
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("PUT / HTTP/1.1", host, `Content-Length: ${50 * megabyte}`))
    for (const each of parts) await client.send(each)
    assert.strictEqual((await client.response()).body.toString(), digest(...parts))
    await client.send(message("PUT / HTTP/1.1", host, "Transfer-Encoding: chunked"))
    for (const each of parts) {
      await client.send(`${each.length.toString(16)}\r\n`)
      await client.send(each)
      await client.send("\r\n")
    }
    await client.send("0\r\n\r\n")
    assert.strictEqual((await client.response()).body.toString(), digest(...parts))
  })

  test("50 MB arrive whole at the client, with either framing", async (lab) => {
    const part = bytes(megabyte)
    const parts = Array.from({ length: 50 }, () => part)
    const backend = await lab.http(async (request, response) => {
      if (request.url === "/counted") response.setHeader("Content-Length", 50 * megabyte)
      for (const each of parts) if (!response.write(each)) await once(response, "drain")
      response.end()
    })
    const client = await lab.connect(await lab.balancer([backend]))
    for (const target of ["/counted", "/chunked"]) {
      const answer = await client.exchange(message(`GET ${target} HTTP/1.1`, host))
      assert.deepStrictEqual([answer.ending, digest(answer.body)], ["complete", digest(...parts)])
    }
  })

  test("a client that does not read stops the backend, and gets everything when it reads again", async (lab) => {
    const total = 200 * megabyte
    let written = () => 0
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 200 OK", `Content-Length: ${total}`))
      written = flood(peer, bytes(64 * 1024), total)
    })
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("GET / HTTP/1.1", host))
    await client.responseHead()
    client.socket.pause()
    const before = await untilSteady(() => written())
    assert.isBelow(before, 40 * megabyte)
    client.socket.resume()
    let read = 0
    while (read < total) read += (await client.bytes(Math.min(megabyte, total - read))).length
    assert.strictEqual(written(), total)
  })

  test("a backend that does not read stops the client's upload, and gets everything when it reads again", async (lab) => {
    const total = 200 * megabyte
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      peer.socket.pause()
    })
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("POST / HTTP/1.1", host, `Content-Length: ${total}`))
    const content = bytes(megabyte)
    const written = flood(client, content, total)
    assert.isBelow(await untilSteady(written), 40 * megabyte)
    const peer = backend.peers.at(-1)!
    peer.socket.resume()
    for (let read = 0; read < total; read += megabyte) {
      assert.isTrue((await peer.bytes(megabyte)).equals(content), `from ${read} on`)
    }
    await peer.send(ok)
    assert.strictEqual((await client.response()).status, 200)
  })

  test("a response is on its way to the client before the backend has finished it", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    })
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("GET / HTTP/1.1", host))
    assert.strictEqual((await client.responseHead()).status, 200)
    const origin = backend.peers.at(-1)!
    for (const event of ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]) {
      await origin.send(`${event.length.toString(16)}\r\n${event}\r\n`)
      await client.untilText(event)
    }
    await origin.send("0\r\n\r\n")
    await client.untilText("0\r\n\r\n")
  })

  test("a request is on its way to the backend before the client has finished it", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
    })
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("POST / HTTP/1.1", host, "Transfer-Encoding: chunked"))
    for (const part of ["one", "two", "three"]) {
      await client.send(`${part.length.toString(16)}\r\n${part}\r\n`)
      await backend.peers.at(-1)!.untilText(part)
    }
    await client.send("0\r\n\r\n")
    await backend.peers.at(-1)!.untilText("0\r\n\r\n")
    await backend.peers.at(-1)!.send(ok)
    assert.strictEqual((await client.response()).status, 200)
  })

  test("the head of a request is on its way to the backend before the first byte of the body", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.send(ok)
    })
    const client = await lab.connect(await lab.balancer([backend], { idle: 500, response: 500 }))
    await client.send(message("POST / HTTP/1.1", host, "Transfer-Encoding: chunked"))
    assert.strictEqual((await client.response()).status, 200)
  }, { node: { fails: "undici writes the head together with the first part of the body" } })

  test("a compressed body stays as it is", async (lab) => {
    const zipped = gzipSync("hello ".repeat(1_000))
    const backend = await lab.answering(Buffer.concat([
      Buffer.from(message("HTTP/1.1 200 OK", "Content-Encoding: gzip", `Content-Length: ${zipped.length}`)),
      zipped
    ]))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(message("GET / HTTP/1.1", host, "Accept-Encoding: gzip, br"))
    assert.strictEqual(value(answer, "content-encoding"), "gzip")
    assert.deepStrictEqual(answer.body, zipped)
    assert.strictEqual(value(backend.requests[0]!, "accept-encoding"), "gzip, br")
  })

  test("health checks and exchanges share connections without mixing", async (lab) => {
    const backend = await lab.named("mine")
    const client = await lab.connect(await lab.balancer([backend], { healthInterval: 20 }))
    for (let i = 0; i < 100; i++) {
      assert.strictEqual((await client.exchange(message("GET / HTTP/1.1", host))).body.toString(), "mine", probePath)
    }
  })
})
