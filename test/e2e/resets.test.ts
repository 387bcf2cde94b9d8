/** One error on one socket never reaches the process: either side leaves at every point of every kind of exchange. */
import { frozen } from "./support/Frozen.ts"
import { assert, type Balancer, type Lab, onEachEngine, type RawTarget } from "./support/Lab.ts"
import { host, message, ok, type Peer } from "./support/Peer.ts"

const get = message("GET / HTTP/1.1", host)

/** No timeout may hide what was forgotten. */
const patient = { idle: 60_000, response: 60_000, shutdown: 60_000 }

const leaving: ReadonlyArray<readonly [name: string, leave: (peer: Peer) => void]> = [
  ["a FIN", (peer) => peer.destroy()],
  ["a FIN of its half", (peer) => peer.end()],
  ["a RST", (peer) => peer.reset()]
]

const inChunks = "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"

/** Exchanges: what a client sends, what a backend answers, and what each says after that. */
const exchanges: Readonly<
  Record<string, { readonly request: string; readonly answer: string; readonly more?: string }>
> = {
  "a body with a length": {
    request: message("POST /x HTTP/1.1", host, "Content-Length: 5") + "hello",
    answer: message("HTTP/1.1 200 OK", "Content-Length: 5") + "hello"
  },
  "chunks with trailers, behind interim responses": {
    request: message("POST /x HTTP/1.1", host, "TE: trailers", "Connection: TE", "Transfer-Encoding: chunked") +
      inChunks,
    answer: message("HTTP/1.1 103 Early Hints", "Link: </a>") +
      message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: X-Sum") + inChunks
  },
  "a body that ends with its connection": {
    request: message("GET /x HTTP/1.0", host),
    answer: message("HTTP/1.1 200 OK") + "hello"
  },
  "an upgrade": {
    request: message("GET /x HTTP/1.1", host, "Connection: Upgrade", "Upgrade: chat"),
    answer: message("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: chat"),
    more: "hello"
  },
  "requests sent in advance": {
    request: message("GET /x HTTP/1.1", host).repeat(3),
    answer: message("HTTP/1.1 200 OK", "Content-Length: 5") + "hello"
  }
}

/**
 * How a request is framed, and the first part of its body, of which the rest does not come. The end of the chunk need not
 * be sent before the next one.
 */
const unfinished = [
  ["Content-Length: 10", "hello", 5],
  ["Transfer-Encoding: chunked", "5\r\nhello\r\n", 8]
] as const

/** Runs, and fails if an error came to where the process hears of it. */
const guarded = async (run: () => Promise<void>): Promise<void> => {
  const errors: Array<unknown> = []
  const note = (error: unknown) => void errors.push(error)
  process.on("uncaughtException", note).on("unhandledRejection", note)
  try {
    await run()
    // A rejection is told after the turn in which nobody has handled it.
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.off("uncaughtException", note).off("unhandledRejection", note)
  }
  assert.deepStrictEqual(errors, [])
}

/**
 * Asserts that nothing is left: the next request works, nothing is in flight, and no connection to the
 * backend but idle ones.
 */
const assertClean = async (lab: Lab, lb: Balancer, backend: RawTarget): Promise<void> => {
  await lb.journal.until(() => lb.inFlight === 0, "nothing in flight")
  const client = await lab.connect(lb)
  for (let i = 0; i < 3; i++) assert.strictEqual((await client.exchange(get)).status, 200)
  client.destroy()
  await lb.close()
  await backend.deserted()
}

/** Runs this for each number up to a limit, some at once. */
const forEach = async (limit: number, run: (i: number) => Promise<void>): Promise<void> => {
  let next = 0
  const worker = async () => {
    while (next <= limit) await run(next++)
  }
  await Promise.all(Array.from({ length: 8 }, worker))
}

onEachEngine("resets", (test) => {
  for (const [name, leave] of leaving) {
    for (const [what, { answer, more = "", request }] of Object.entries(exchanges)) {
      test(`a client that leaves with ${name} after any byte that it sends reaches nobody else (${what})`, async (lab) => {
        const backend = await lab.raw(async (peer) => {
          while (true) {
            const { target } = await peer.request()
            await peer.send(target === "/x" ? answer : ok)
            if (target === "/x" && more !== "") {
              await peer.until(() => peer.over, "the end")
              return peer.end()
            }
          }
        })
        const lb = await lab.balancer([backend], patient)
        const said = request + more
        await guarded(async () => {
          await forEach(said.length, async (length) => {
            const client = await lab.connect(lb)
            await client.send(said.slice(0, length))
            leave(client)
            await client.until(() => client.over, "the end")
            client.destroy()
          })
          await assertClean(lab, lb, backend)
        })
      })

      test(`a client that leaves with ${name} after any byte that it reads reaches nobody else (${what})`, async (lab) => {
        const backend = await lab.raw(async (peer) => {
          while (true) {
            const { target } = await peer.request()
            if (target !== "/x") await peer.send(ok)
            else {
              const said = answer + more
              for (let i = 0; i < said.length; i += 7) await peer.send(said.slice(i, i + 7))
              if (!/length|chunked/i.test(answer)) return peer.end()
            }
          }
        })
        const lb = await lab.balancer([backend], patient)
        await guarded(async () => {
          await forEach(Math.floor((answer.length + more.length) / 5), async (i) => {
            const client = await lab.connect(lb)
            await client.send(request)
            await client.until(() => client.bytesReceived >= i * 5 || client.over, `${i * 5} bytes`)
            leave(client)
            await client.until(() => client.over, "the end")
            client.destroy()
          })
          await assertClean(lab, lb, backend)
        })
      })

      test(`a backend that leaves with ${name} after any byte that it sends reaches nobody else (${what})`, async (lab) => {
        const backend = await lab.raw(async (peer) => {
          while (true) {
            const { target } = await peer.request()
            if (target === "/") await peer.send(ok)
            else {
              await peer.send((answer + more).slice(0, Number(target.slice(2))))
              leave(peer)
            }
          }
        })
        const lb = await lab.balancer([backend], patient)
        await guarded(async () => {
          await forEach(answer.length + more.length, async (length) => {
            const client = await lab.connect(lb)
            await client.send(request.replaceAll("/x", `/x${length}`) + more)
            const first = await client.response().catch(() => undefined)
            if (length < answer.length && first?.status === 200 && /length|chunked/i.test(answer)) {
              assert.notStrictEqual(first.ending, "complete", `${length} bytes`)
            }
            client.destroy()
          })
          await assertClean(lab, lb, backend)
        })
      })
    }

    for (const [framing, part, sent] of unfinished) {
      test(`a backend that leaves with ${name} after any byte of an unfinished request reaches its client alone (${framing})`, async (lab) => {
        const backend = await lab.raw(async (peer) => {
          while (true) {
            const { target } = await peer.requestHead()
            if (target === "/") await peer.send(ok)
            else {
              await peer.bytes(Number(target.slice(2)))
              return leave(peer)
            }
          }
        })
        const lb = await lab.balancer([backend], patient)
        await guarded(async () => {
          await forEach(sent, async (length) => {
            const client = await lab.connect(lb)
            await client.send(message(`POST /x${length} HTTP/1.1`, host, framing) + part)
            assert.strictEqual((await client.response()).status, 502)
            client.destroy()
          })
          await assertClean(lab, lb, backend)
        })
      })
    }

    test(`a client that leaves with ${name} while a backend is connected to reaches nobody else`, async (lab) => {
      const stuck = await frozen(lab)
      const backend = await lab.answering(ok)
      const lb = await lab.balancer([stuck, backend], { ...patient, connect: 1_000 })
      await stuck.freeze()
      await guarded(async () => {
        await forEach(10, async () => {
          const client = await lab.connect(lb)
          await client.send(get)
          if (lb.inFlight === 0) await new Promise((resolve) => setImmediate(resolve))
          leave(client)
          await client.until(() => client.over, "the end")
          client.destroy()
        })
        await lb.journal.until(() => lb.inFlight === 0, "nothing in flight")
        const client = await lab.connect(lb)
        assert.strictEqual((await client.exchange(get)).status, 200)
        client.destroy()
        await lb.close()
        await backend.deserted()
      })
    })

    test(`a client and a backend that leave with ${name} between two exchanges reach nobody else`, async (lab) => {
      const backend = await lab.answering(ok)
      const lb = await lab.balancer([backend], patient)
      await guarded(async () => {
        for (let i = 0; i < 20; i++) {
          const client = await lab.connect(lb)
          assert.strictEqual((await client.exchange(get)).status, 200)
          leave(client)
          await client.until(() => client.over, "the end")
          client.destroy()
          for (const peer of backend.peers) if (!peer.over) leave(peer)
        }
        await assertClean(lab, lb, backend)
      })
    })
  }
})
