/**
 * Whatever breaks off wherever, on whichever side: nothing is left over, nobody else notices, and the process lives.
 */
import { dice } from "../Dice.ts"
import { assert, type Balancer, type Lab, onEachEngine } from "./support/Lab.ts"
import { host, message, ok, type Peer } from "./support/Peer.ts"

const get = message("GET / HTTP/1.1", host)
const upload = message("POST /upload HTTP/1.1", host, "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n"
const answer = message("HTTP/1.1 200 OK", "X-Name: value", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n"

/** No timeout may hide what was forgotten. */
const patient = { idle: 60_000, response: 60_000, shutdown: 60_000 }

const leaving: ReadonlyArray<readonly [name: string, leave: (peer: Peer) => void]> = [
  ["FIN", (peer) => peer.destroy()],
  ["RST", (peer) => peer.reset()]
]

/** Errors that nobody has caught while `run` ran. */
const uncaught = async (run: () => Promise<void>): Promise<ReadonlyArray<unknown>> => {
  const errors: Array<unknown> = []
  const note = (error: unknown) => void errors.push(error)
  process.on("uncaughtException", note).on("unhandledRejection", note)
  try {
    await run()
  } finally {
    process.off("uncaughtException", note).off("unhandledRejection", note)
  }
  return errors
}

/**
 * Asserts that the balancer is as good as new: nothing in flight, all exchanges logged, and it closes without waiting.
 */
const assertClean = async (
  lab: Lab,
  lb: Balancer,
  backend: { readonly deserted: () => Promise<void> }
): Promise<void> => {
  const client = await lab.connect(lb)
  for (let i = 0; i < 5; i++) assert.strictEqual((await client.exchange(get)).status, 200)
  await lb.journal.until(() => lb.inFlight === 0, "nothing in flight")
  const sent = lb.journal.filter((entry) => entry._tag === "Sent").length
  assert.isAtMost(sent, lb.journal.completed.length)
  await lb.close()
  await backend.deserted()
}

/** Backends of the random test, by target: what they do once they have the head of a request. */
const habits: Record<string, (peer: Peer, whole: () => Promise<unknown>) => Promise<unknown>> = {
  "/answers": (peer, whole) => whole().then(() => peer.send(answer)),
  "/answers-early": (peer, whole) => Promise.all([peer.send(answer), whole()]),
  "/answers-much": (peer, whole) =>
    whole().then(() =>
      peer.send(Buffer.concat([
        Buffer.from(message("HTTP/1.1 200 OK", "Content-Length: 1000000")),
        Buffer.alloc(1_000_000)
      ]))
    ),
  "/closes": async (peer) => peer.end(),
  "/resets": async (peer) => peer.reset(),
  "/cuts": (peer, whole) => whole().then(() => peer.send(answer.slice(0, -8))).then(() => peer.end()),
  "/cuts-hard": (peer, whole) => whole().then(() => peer.send(answer.slice(0, -8))).then(() => peer.reset()),
  "/stutters": (peer, whole) => whole().then(() => peer.send("noise\r\n\r\n")),
  "/refuses": (peer) =>
    peer.send(message("HTTP/1.1 413 Content Too Large", "Content-Length: 0", "Connection: close")).then(() =>
      peer.end()
    )
}

onEachEngine("robustness", (test) => {
  for (const [name, leave] of leaving) {
    test(`a client that leaves after any byte of its request does no harm (${name})`, async (lab) => {
      const backend = await lab.answering((request) => request.ending === "complete" ? answer : "")
      const lb = await lab.balancer([backend], patient)
      const errors = await uncaught(async () => {
        for (let length = 0; length <= upload.length; length++) {
          const client = await lab.connect(lb)
          await client.send(upload.slice(0, length))
          leave(client)
        }
        await assertClean(lab, lb, backend)
      })
      assert.deepStrictEqual(errors, [])
      for (const { body, ending, target } of backend.requests) {
        if (ending === "complete" && target === "/upload") assert.strictEqual(body.toString(), "hello")
      }
    })

    test(`a client that leaves after any byte of the response does no harm (${name})`, async (lab) => {
      const backend = await lab.raw(async (peer) => {
        while (true) {
          const { target } = await peer.request()
          if (target === "/") await peer.send(ok)
          else for (const byte of answer) await peer.send(byte)
        }
      })
      const lb = await lab.balancer([backend], patient)
      const errors = await uncaught(async () => {
        for (let length = 0; length <= answer.length; length += 3) {
          const client = await lab.connect(lb)
          await client.send(upload)
          await client.until(() => client.bytesReceived >= length, `${length} bytes`)
          leave(client)
        }
        await assertClean(lab, lb, backend)
      })
      assert.deepStrictEqual(errors, [])
    })

    test(`a backend that dies after any byte of its answer does no harm, and never looks complete before the last (${name})`, async (lab) => {
      let length = 0
      const backend = await lab.raw(async (peer) => {
        while (true) {
          const { target } = await peer.request()
          if (target === "/") {
            await peer.send(ok)
            continue
          }
          await peer.send(answer.slice(0, length))
          leave(peer)
        }
      })
      const lb = await lab.balancer([backend], patient)
      const errors = await uncaught(async () => {
        for (; length < answer.length; length++) {
          const client = await lab.connect(lb)
          await client.send(upload)
          const received = await client.response().catch(() => undefined)
          if (received?.status === 200) assert.notStrictEqual(received.ending, "complete", `${length} bytes`)
          else assert.strictEqual(received?.status ?? 502, 502)
          client.destroy()
        }
        await assertClean(lab, lb, backend)
      })
      assert.deepStrictEqual(errors, [])
    })
  }

  test("a client that closes its half in the middle of a response leaves nothing behind", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while ((await peer.request()).target === "/") await peer.send(ok)
      await peer.send(answer.slice(0, -5))
    })
    const lb = await lab.balancer([backend], patient)
    const client = await lab.connect(lb)
    await client.send(upload)
    await client.untilText("hello")
    client.end()
    await client.untilOver()
    await assertClean(lab, lb, backend)
  })

  test("500 exchanges with random deaths on either side leave nothing behind", async (lab) => {
    const { below, one } = dice(20_261_122)
    const backend = await lab.raw(async (peer) => {
      while (true) {
        const head = await peer.requestHead()
        const framed = head.fields.some(([name]) => name.toLowerCase() === "transfer-encoding")
        const habit = habits[head.target]
        if (habit === undefined) await peer.send(ok)
        else await habit(peer, () => framed ? peer.untilText("0\r\n\r\n") : Promise.resolve())
      }
    })
    const lb = await lab.balancer([backend], { ...patient, response: 500 })
    const exchange = async () => {
      const client = await lab.connect(lb)
      const target = one(Object.keys(habits))
      const body = one(["", "", "x".repeat(below(100_000))])
      const request = body === ""
        ? message(`GET ${target} HTTP/1.1`, host)
        : message(`POST ${target} HTTP/1.1`, host, "Transfer-Encoding: chunked") +
          `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
      const leave = one([undefined, ...leaving.map(([, how]) => how)])
      if (leave === undefined) {
        await client.exchange(request).catch(() => undefined)
        client.destroy()
        return
      }
      const bytesSent = one([request.length, below(request.length)])
      await client.send(request.slice(0, bytesSent))
      if (bytesSent === request.length) {
        const bytesRead = one([0, below(answer.length)])
        await client.until(() => client.bytesReceived >= bytesRead || client.over, "some bytes")
      }
      leave(client)
    }
    const errors = await uncaught(async () => {
      let left = 500
      const worker = async () => {
        while (left-- > 0) await exchange()
      }
      await Promise.all(Array.from({ length: 20 }, worker))
      await lb.journal.until(() => lb.inFlight === 0, "nothing in flight")
      await assertClean(lab, lb, backend)
    })
    assert.deepStrictEqual(errors, [])
  })

  test("bytes on an idle backend connection are never the answer to the next request (CVE-2026-48931, GHSA-35p6-xmwp-9g52)", async (lab) => {
    const poison = message("HTTP/1.1 200 OK", "Content-Length: 6") + "poison"
    const backend = await lab.raw(async (peer) => {
      while (true) {
        await peer.request()
        await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 4") + "mine")
      }
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    for (const when of ["at once", "later", "in the same packet"]) {
      for (let i = 0; i < 10; i++) {
        assert.strictEqual((await client.exchange(get)).body.toString(), "mine", when)
        const idle = backend.peers.filter((peer) => !peer.over)
        const spoilt = Promise.all(idle.map((peer) => peer.send(poison)))
        if (when === "later") await Promise.all([spoilt, ...idle.map((peer) => peer.untilOver())])
        else if (when === "at once") await spoilt
      }
    }
    assert.strictEqual(lb.members[0]!.endpoint.load.failed, 0)
  })
})
