/** Bodies in both directions: whether there is one, that all of it comes, when it comes, and how much of it waits in between. */
import { createHash } from "node:crypto"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { gzipSync } from "node:zlib"
import { assert, onEachEngine } from "./support/Lab.ts"
import { message, ok, type Peer, probePath, type Received, value, values } from "./support/Peer.ts"

const host = "Host: example.com"

const chunked = (...chunks: ReadonlyArray<string>): string =>
  `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("")}0\r\n\r\n`

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

const framing = (received: Received): ReadonlyArray<string | undefined> => [
  value(received, "content-length"),
  value(received, "transfer-encoding")
]

onEachEngine("bodies", (test) => {
  test("the body of a GET never becomes a request of somebody else (request smuggling; CVE-2026-29057)", async (lab) => {
    const backend = await lab.answering((request) =>
      message("HTTP/1.1 200 OK", `Content-Length: ${request.target.length}`) + request.target
    )
    const lb = await lab.balancer([backend])
    const smuggled = message("GET /smuggled HTTP/1.1", "Host: internal.example")
    for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
      const attacker = await lab.connect(lb)
      const victim = await lab.connect(lb)
      const head = [`${method} /attack HTTP/1.1`, host]
      for (
        const attack of [
          message(...head, `Content-Length: ${smuggled.length}`) + smuggled,
          message(...head, "Transfer-Encoding: chunked") + chunked(smuggled),
          // The five bytes that a connection that is used again would read from the next request.
          message(...head, "Content-Length: 5") + "GET /"
        ]
      ) {
        await attacker.exchange(attack, { noBody: method === "HEAD" })
        for (let i = 0; i < 3; i++) {
          const answer = await victim.exchange(message(`GET /victim-${i} HTTP/1.1`, host))
          assert.deepStrictEqual([answer.status, answer.body.toString()], [200, `/victim-${i}`])
        }
      }
    }
    assert.deepStrictEqual(
      [...new Set(backend.requests.map((request) => request.target))].toSorted(),
      ["/attack", "/victim-0", "/victim-1", "/victim-2"]
    )
  })

  test("who waits for 100 Continue gets it, and the backend gets the body and no Expect (RFC 9110 §10.1.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("POST / HTTP/1.1", host, "Expect: 100-continue", "Content-Length: 5"))
    assert.strictEqual((await client.response()).status, 100)
    assert.strictEqual((await client.exchange("hello")).status, 200)
    assert.strictEqual(backend.requests[0]!.body.toString(), "hello")
    assert.deepStrictEqual(values(backend.requests[0]!, "expect"), [])
    assert.strictEqual((await client.exchange(message("GET /again HTTP/1.1", host))).status, 200)
  })

  test("who announces 100-continue and does not wait is served as well", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("POST / HTTP/1.1", host, "Expect: 100-continue", "Content-Length: 5") + "hello")
    let answer = await client.response()
    if (answer.status === 100) answer = await client.response()
    assert.strictEqual(answer.status, 200)
    assert.strictEqual(backend.requests[0]!.body.toString(), "hello")
  })

  test("an HTTP/1.0 client gets no 100 Continue (RFC 9110 §10.1.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    const request = message("POST / HTTP/1.0", host, "Expect: 100-continue", "Content-Length: 5") + "hello"
    assert.strictEqual((await client.exchange(request)).status, 200)
    assert.strictEqual(backend.requests[0]!.body.toString(), "hello")
  })

  test("an expectation that nobody knows is refused with 417 (RFC 9110 §10.1.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(message("POST / HTTP/1.1", host, "Expect: tea", "Content-Length: 5"))
    assert.strictEqual(answer.status, 417)
    assert.deepStrictEqual(backend.requests, [])
  })

  test("a backend can refuse before it reads the body, and the client gets to know", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.send(message("HTTP/1.1 413 Content Too Large", "Content-Length: 3", "Connection: close") + "too")
    })
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("POST / HTTP/1.1", host, "Expect: 100-continue", "Content-Length: 1000"))
    let answer = await client.response()
    if (answer.status === 100) {
      await client.send("x".repeat(1_000))
      answer = await client.response()
    }
    assert.deepStrictEqual([answer.status, answer.body.toString()], [413, "too"])
  })

  test("who waits for 100 Continue and cannot be served gets the error instead", async (lab) => {
    const lb = await lab.balancer([{ origin: await lab.nobody() }])
    const client = await lab.connect(lb)
    await client.send(message("POST / HTTP/1.1", host, "Expect: 100-continue", "Content-Length: 1000000"))
    const answer = await client.response()
    assert.strictEqual(answer.status, 503)
    // The body was never asked for, and the client may or may not send it: only a close makes the next message clear.
    assert.strictEqual(value(answer, "connection"), "close")
    await client.untilOver()
  })

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
    const written = flood(client, bytes(64 * 1024), total)
    assert.isBelow(await untilSteady(written), 40 * megabyte)
    const peer = backend.peers.at(-1)!
    peer.socket.resume()
    let read = 0
    while (read < total) read += (await peer.bytes(Math.min(megabyte, total - read))).length
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

  test("the answer to HEAD has the length of what GET would get, and no body (RFC 9110 §9.3.2)", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Content-Length: 12345"))
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 2; i++) {
      const answer = await client.exchange(message("HEAD / HTTP/1.1", host), { noBody: true })
      assert.deepStrictEqual([answer.status, ...framing(answer)], [200, "12345", undefined])
    }
    assert.strictEqual(client.unread, "")
  })

  test("204 and 304 have no body, and 304 keeps the length that it speaks of (RFC 9110 §8.6, §15.3.5, §15.4.5)", async (lab) => {
    const heads: Record<string, string> = {
      "/204": message("HTTP/1.1 204 No Content"),
      "/304": message("HTTP/1.1 304 Not Modified", "ETag: \"x\"", "Content-Length: 12345"),
      "/304-plain": message("HTTP/1.1 304 Not Modified", "ETag: \"x\"")
    }
    const backend = await lab.answering((request) => heads[request.target]!)
    const client = await lab.connect(await lab.balancer([backend]))
    const lengths: Array<unknown> = []
    for (const target of Object.keys(heads)) {
      const answer = await client.exchange(message(`GET ${target} HTTP/1.1`, host))
      lengths.push([answer.status, ...framing(answer)])
    }
    assert.deepStrictEqual(lengths, [[204, undefined, undefined], [304, "12345", undefined], [
      304,
      undefined,
      undefined
    ]])
    assert.strictEqual(client.unread, "")
  })

  test("a 204 with a length or a body that it must not have does no harm to the next answer (RFC 9112 §6.3)", async (lab) => {
    const backend = await lab.answering((request) =>
      request.target === "/204"
        ? message("HTTP/1.1 204 No Content", "Content-Length: 5") + "hello"
        : message("HTTP/1.1 200 OK", "Content-Length: 4") + "next"
    )
    const client = await lab.connect(await lab.balancer([backend]))
    const first = await client.exchange(message("GET /204 HTTP/1.1", host))
    assert.deepStrictEqual([first.status, ...framing(first)], [204, undefined, undefined])
    const second = await client.exchange(message("GET /next HTTP/1.1", host))
    assert.deepStrictEqual([second.status, second.body.toString()], [200, "next"])
  })

  test("a 205 and an empty 200 are answers with a body of no bytes", async (lab) => {
    const backend = await lab.answering((request) =>
      message(`HTTP/1.1 ${request.target.slice(1)} X`, "Content-Length: 0")
    )
    const client = await lab.connect(await lab.balancer([backend]))
    for (const status of [205, 200]) {
      const answer = await client.exchange(message(`GET /${status} HTTP/1.1`, host))
      assert.deepStrictEqual([answer.status, ...framing(answer)], [status, "0", undefined])
    }
  })

  test("an empty body in chunks is a body in chunks", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "0\r\n\r\n")
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 2; i++) {
      const answer = await client.exchange(message("GET / HTTP/1.1", host))
      assert.deepStrictEqual([answer.ending, answer.body.length], ["complete", 0])
    }
  })

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

  test("the answer of an HTTP/1.0 backend ends with its connection, and is whole for either kind of client", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.0 200 OK", "Content-Type: text/plain") + "from the past")
      peer.end()
    })
    const lb = await lab.balancer([backend])
    const modern = await lab.connect(lb)
    for (let i = 0; i < 2; i++) {
      const answer = await modern.exchange(message("GET / HTTP/1.1", host))
      assert.deepStrictEqual([answer.ending, answer.body.toString()], ["complete", "from the past"])
      assert.strictEqual(value(answer, "transfer-encoding"), "chunked")
    }
    const old = await lab.connect(lb)
    const answer = await old.exchange(message("GET / HTTP/1.0", host))
    assert.deepStrictEqual([answer.ending, answer.body.toString()], ["complete", "from the past"])
    assert.deepStrictEqual(framing(answer), [undefined, undefined])
  })

  test("an HTTP/1.0 client is never sent chunks (RFC 9112 §6.1)", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + chunked("a", "bc"))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(message("GET / HTTP/1.0", "Connection: keep-alive"))
    assert.deepStrictEqual([answer.ending, answer.body.toString(), ...framing(answer)], [
      "complete",
      "abc",
      undefined,
      undefined
    ])
  })

  test("an HTTP/1.0 client that asks for it keeps its connection", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Content-Length: 2") + "ok")
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 3; i++) {
      const answer = await client.exchange(message("GET / HTTP/1.0", "Connection: keep-alive"))
      assert.deepStrictEqual([answer.body.toString(), value(answer, "connection")?.toLowerCase()], ["ok", "keep-alive"])
    }
  })

  test("a client's connection is used again after every kind of answer, and closed when it says so (RFC 9112 §9.3)", async (lab) => {
    const answers: Record<string, string> = {
      "/counted": message("HTTP/1.1 200 OK", "Content-Length: 1") + "a",
      "/chunked": message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + chunked("b"),
      "/closed": message("HTTP/1.1 200 OK", "Connection: close") + "c",
      "/none": message("HTTP/1.1 204 No Content"),
      "/error": message("HTTP/1.1 500 Oops", "Content-Length: 1") + "e"
    }
    const backend = await lab.raw(async (peer) => {
      while (true) {
        const { target } = await peer.request()
        await peer.send(answers[target]!)
        if (target === "/closed") peer.end()
      }
    })
    const client = await lab.connect(await lab.balancer([backend]))
    for (const target of [...Object.keys(answers), ...Object.keys(answers)]) {
      const answer = await client.exchange(message(`GET ${target} HTTP/1.1`, host))
      assert.strictEqual(answer.ending, "complete", target)
      assert.strictEqual(value(answer, "connection")?.toLowerCase() ?? "keep-alive", "keep-alive")
    }
    const last = await client.exchange(message("GET /counted HTTP/1.1", host, "Connection: close"))
    assert.strictEqual(value(last, "connection"), "close")
    assert.strictEqual(await client.untilOver(), "ended")
  })

  test("backend connections are used again", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 20; i++) await client.exchange(message("GET / HTTP/1.1", host))
    assert.isAtMost(backend.peers.length, 2)
  })

  test("interim responses do not get in the way of the final one (RFC 9110 §15.2)", async (lab) => {
    const interim = message("HTTP/1.1 102 Processing") + message("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload")
    const backend = await lab.answering(interim + message("HTTP/1.1 200 OK", "Content-Length: 2") + "ok")
    const client = await lab.connect(await lab.balancer([backend]))
    for (let i = 0; i < 2; i++) {
      let answer = await client.exchange(message("GET / HTTP/1.1", host))
      while (answer.status < 200) answer = await client.response()
      assert.deepStrictEqual([answer.status, answer.body.toString()], [200, "ok"])
      assert.strictEqual(value(answer, "link"), undefined)
    }
  })

  test("interim responses are forwarded (RFC 9110 §15.2)", async (lab) => {
    const interim = message("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload")
    const backend = await lab.answering(interim + ok)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(message("GET / HTTP/1.1", host))).status, 103)
    assert.strictEqual((await client.response()).status, 200)
  }, { node: { fails: "the platform's client drops them" } })

  test(
    "a 100 Continue that nobody asked for does not get in the way of the final response (RFC 9110 §15.2)",
    async (lab) => {
      const backend = await lab.answering(message("HTTP/1.1 100 Continue") + ok)
      const client = await lab.connect(await lab.balancer([backend]))
      assert.strictEqual((await client.exchange(message("GET / HTTP/1.1", host))).status, 200)
    },
    { node: { fails: "undici takes it for an error of the backend" } }
  )

  test("trailers are forwarded (RFC 9110 §6.5)", async (lab) => {
    const backend = await lab.answering(
      message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "1\r\na\r\n0\r\nX-Checksum: 1\r\n\r\n"
    )
    const client = await lab.connect(await lab.balancer([backend], { idle: 500 }))
    await client.send(message("GET / HTTP/1.1", host, "TE: trailers"))
    assert.include(await client.untilText("\r\n\r\n") + await client.untilText("\r\n\r\n"), "X-Checksum: 1")
  }, { node: { fails: "the platform's server and client have none" } })

  test("health checks and exchanges share connections without mixing", async (lab) => {
    const backend = await lab.named("mine")
    const client = await lab.connect(await lab.balancer([backend], { healthInterval: 20 }))
    for (let i = 0; i < 100; i++) {
      assert.strictEqual((await client.exchange(message("GET / HTTP/1.1", host))).body.toString(), "mine", probePath)
    }
  })
})
