/** Requests that are sent again on real sockets: with their whole body, and after answers that ask for it. */
import { setTimeout as sleep } from "node:timers/promises"
import { assert, type Lab, onEachEngine } from "./support/Lab.ts"
import { host, message, ok, type Peer } from "./support/Peer.ts"

const get = message("GET / HTTP/1.1", host)

const withLength = (method: string, body: string) =>
  message(`${method} / HTTP/1.1`, host, `Content-Length: ${body.length}`) + body

const inChunks = (method: string, ...chunks: ReadonlyArray<string>) =>
  message(`${method} / HTTP/1.1`, host, "Transfer-Encoding: chunked") +
  chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("") + "0\r\n\r\n"

const echo = (text: string): string => message("HTTP/1.1 200 OK", `Content-Length: ${text.length}`) + text

const busy = message("HTTP/1.1 503 Busy", "Content-Length: 4") + "busy"

/** A backend that gets whole requests and leaves without an answer, and one that answers. */
const dyingAndLiving = async (lab: Lab, leave: (peer: Peer) => unknown = (peer) => peer.reset()) => {
  const dying = await lab.raw(async (peer) => {
    while (true) {
      await peer.request()
      await leave(peer)
    }
  })
  const living = await lab.answering(ok)
  return { dying, living, lb: await lab.balancer([dying, living]) }
}

onEachEngine("a body that was sent in vain", (test) => {
  for (
    const [how, leave] of [
      ["closes", (peer: Peer) => peer.end()],
      ["resets", (peer: Peer) => peer.reset()],
      ["answers 503", (peer: Peer) => peer.send(busy)]
    ] as const
  ) {
    test(`is sent again to another backend when the first one ${how}, with either framing`, async (lab) => {
      const { lb, living } = await dyingAndLiving(lab, leave)
      const client = await lab.connect(lb)
      const requests = [withLength("PUT", "hello"), inChunks("PUT", "he", "llo"), withLength("DELETE", "hello")]
      for (const [i, request] of requests.entries()) {
        assert.strictEqual((await client.exchange(request)).status, 200)
        assert.strictEqual(living.requests[i]!.body.toString(), "hello")
        assert.strictEqual((await lb.completed(i + 1)).tries, 2)
      }
    })
  }

  test("is not sent again when it has become too long for that before its turn", async (lab) => {
    let tell = () => {}
    const answered = new Promise<void>((resolve) => tell = resolve)
    const backend = await lab.raw(async (peer) => {
      if ((await peer.requestHead()).method === "GET") return void await peer.send(ok)
      await peer.send(message("HTTP/1.1 503 Busy", "Retry-After: 1", "Content-Length: 4"))
      tell()
      await peer.untilText("0\r\n\r\n")
      await peer.send("busy")
      await peer.send(echo(String((await peer.request()).body.length)))
    })
    const lb = await lab.balancer([backend])
    const client = await lab.connect(lb)
    await client.send(message("PUT / HTTP/1.1", host, "Transfer-Encoding: chunked"))
    await answered
    // The balancer has heard of it by then.
    assert.strictEqual((await (await lab.connect(lb)).exchange(get)).status, 200)
    // More than is kept, while the balancer waits as long as the backend has asked for.
    await client.send(`${(70_000).toString(16)}\r\n${"x".repeat(70_000)}\r\n0\r\n\r\n`)
    const answer = await client.response()
    assert.deepStrictEqual([answer.status, answer.body.toString()], [503, "busy"])
  }, { node: { races: "the answer is the same, but the test does not come to its end in time" } })

  test("is sent from its begin, with the part that came only after the first backend was gone", async (lab) => {
    const dying = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.untilText("first")
      peer.reset()
    })
    const living = await lab.answering(ok)
    const lb = await lab.balancer([dying, living])
    const client = await lab.connect(lb)
    await client.send(message("PUT / HTTP/1.1", host, "Content-Length: 11") + "first")
    await lb.journal.until(() => lb.journal.filter(({ _tag }) => _tag === "Sent").length === 2, "the second try")
    assert.strictEqual((await client.exchange("second")).status, 200)
    assert.strictEqual(living.requests[0]!.body.toString(), "firstsecond")
  })

  test("is sent again up to 64 KiB, and a longer one is a 502", async (lab) => {
    const { lb, living } = await dyingAndLiving(lab)
    const client = await lab.connect(lb)
    const longest = "x".repeat(64 * 1024)
    for (const request of [withLength("PUT", longest), inChunks("PUT", ...longest.match(/.{1000}|.+/g)!)]) {
      assert.strictEqual((await client.exchange(request)).status, 200)
      assert.isTrue(living.requests.at(-1)!.body.equals(Buffer.from(longest)))
    }
    assert.strictEqual(living.requests.length, 2)
    for (const request of [withLength("PUT", `${longest}x`), inChunks("PUT", longest, "x")]) {
      const other = await lab.connect(lb)
      assert.strictEqual((await other.exchange(request)).status, 502)
      assert.strictEqual((await (await lab.connect(lb)).exchange(get)).status, 200)
    }
  })

  test("is not sent again if it says that it will be longer, though nearly nothing of it was sent", async (lab) => {
    const dying = await lab.raw(async (peer) => {
      await peer.requestHead()
      peer.reset()
    })
    const living = await lab.answering(ok)
    const lb = await lab.balancer([dying, living])
    const client = await lab.connect(lb)
    await client.send(message("PUT / HTTP/1.1", host, `Content-Length: ${64 * 1024 + 1}`) + "some")
    assert.strictEqual((await client.response()).status, 502)
    assert.lengthOf(living.requests, 0)
  })

  test("is not sent again for POST, which no backend sees twice", async (lab) => {
    const { dying, lb, living } = await dyingAndLiving(lab)
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange(withLength("POST", "hello"))).status, 502)
    const seen = dying.peers.reduce((sum, { requestsRead }) => sum + requestsRead, 0)
    assert.deepStrictEqual([seen, living.requests.length], [1, 0])
    assert.strictEqual((await lb.completed()).tries, 1)
  })

  test("that cannot be sent again leaves the client's connection in order", async (lab) => {
    const dying = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.untilText("some")
      peer.reset()
    })
    const lb = await lab.balancer([dying])
    const client = await lab.connect(lb)
    await client.send(message("PUT / HTTP/1.1", host, "Content-Length: 1000") + "some")
    assert.strictEqual((await client.response()).status, 502)
    await client.send("x".repeat(996))
    await client.send(get)
    await lb.journal.until(
      () => lb.journal.some((entry) => entry._tag === "Sent" && entry.method === "GET"),
      "the next request"
    )
  })
})

onEachEngine("an answer of 503", (test) => {
  for (
    const [what, fields] of [
      ["", "Content-Length: 4\r\n"],
      [" and a close", "Content-Length: 4\r\nConnection: close\r\n"],
      [" and does not end", "Content-Length: 9999\r\n"]
    ] as const
  ) {
    test(`that comes before the body${what} does not stop it from going whole to another backend`, async (lab) => {
      const sick = await lab.raw(async (peer) => {
        while (true) {
          await peer.requestHead()
          await peer.untilText("first")
          await peer.send(`HTTP/1.1 503 Busy\r\n${fields}\r\nbusy`)
        }
      })
      const living = await lab.answering(ok)
      const lb = await lab.balancer([sick, living])
      const client = await lab.connect(lb)
      for (const i of [0, 1]) {
        await client.send(message("PUT / HTTP/1.1", host, "Content-Length: 30011") + "first")
        await lb.journal.until(
          () => lb.journal.filter(({ _tag }) => _tag === "Sent").length === 2 * i + 2,
          "the second try"
        )
        await client.send("x".repeat(10_000))
        assert.strictEqual((await client.exchange(`${"y".repeat(20_000)}second`)).status, 200)
        assert.strictEqual(living.requests[i]!.body.toString(), `first${"x".repeat(10_000)}${"y".repeat(20_000)}second`)
        await lb.completed(i + 1)
      }
      assert.strictEqual(lb.inFlight, 0)
    })
  }

  test("that comes before the body reaches the client after all, and its connection goes on", async (lab) => {
    const sick = await lab.raw(async (peer) => {
      while (true) {
        if ((await peer.requestHead()).method === "PUT") await peer.untilText("first")
        await peer.send(busy)
      }
    })
    const dying = await lab.raw(async (peer) => {
      await peer.requestHead()
      await peer.untilText("first")
      peer.reset()
    })
    const lb = await lab.balancer([sick, dying])
    const client = await lab.connect(lb)
    await client.send(message("PUT / HTTP/1.1", host, "Content-Length: 11") + "first")
    const answer = await client.response()
    assert.deepStrictEqual([answer.status, answer.body.toString()], [503, "busy"])
    await client.send("second")
    assert.strictEqual((await lb.completed()).tries, 2)
    assert.strictEqual(lb.inFlight, 0)
    await client.send(get)
    await lb.journal.until(
      () => lb.journal.some((entry) => entry._tag === "Sent" && entry.method === "GET"),
      "the next request"
    )
  })

  test("is not seen while another backend can answer, and its connection is not left behind", async (lab) => {
    const sick = await lab.raw(async (peer) => {
      while (true) {
        await peer.request()
        // Most of it never comes.
        await peer.send(message("HTTP/1.1 503 Busy", "Content-Length: 1000000") + "busy")
      }
    })
    const living = await lab.answering(ok)
    const lb = await lab.balancer([sick, living])
    const client = await lab.connect(lb)
    for (let i = 1; i <= 5; i++) {
      assert.strictEqual((await client.exchange(get)).status, 200)
      await lb.completed(i)
    }
    await sick.deserted()
    assert.strictEqual(lb.inFlight, 0)
    assert.isAtLeast(lb.members[0]!.endpoint.load.failed, 3)
  })

  test("reaches the client as it is when there is nothing better", async (lab) => {
    const sick = await lab.answering(message("HTTP/1.1 503 My Words", "X-Mine: 1", "Content-Length: 4") + "busy")
    const dying = await lab.raw(async (peer) => {
      await peer.request()
      peer.reset()
    })
    const lb = await lab.balancer([sick, dying])
    const client = await lab.connect(lb)
    const answer = await client.exchange(get)
    assert.deepStrictEqual([answer.status, answer.reason, answer.body.toString()], [503, "My Words", "busy"])
    assert.deepInclude(await lb.completed(), { tries: 2, status: 503, backend: sick.origin, reason: undefined })
    assert.strictEqual(lb.inFlight, 0)
  })

  test("that breaks off while it is kept is no answer, and the client is told why there is none", async (lab) => {
    const sick = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 503 Busy", "Content-Length: 1000") + "busy")
    })
    const dying = await lab.raw(async (peer) => {
      await peer.request()
      ;(await sick.asked()).end()
      await sick.deserted()
      peer.reset()
    })
    // A connection that a check has used would be given another chance.
    const lb = await lab.balancer([sick, dying], { health: { kind: "off" } })
    const answer = await (await lab.connect(lb)).exchange(get)
    assert.strictEqual(answer.status, 502)
    assert.include(answer.body.toString(), "reason: reset_before_headers")
    assert.deepInclude(await lb.completed(), {
      tries: 2,
      backend: dying.origin,
      failed: [{ backend: sick.origin, reason: 503 }],
      reason: "reset_before_headers"
    })
    assert.strictEqual(lb.inFlight, 0)
  })

  test("that breaks off while it is kept is a 502 where there is nobody else to ask", async (lab) => {
    const sick = await lab.raw(async (peer) => {
      await peer.request()
      await peer.send(message("HTTP/1.1 503 Busy", "Retry-After: 1", "Content-Length: 1000") + "busy")
      peer.end()
    })
    const lb = await lab.balancer([sick], { health: { kind: "off" } })
    const answer = (await lab.connect(lb)).exchange(get)
    await sick.asked()
    await sick.deserted()
    await lb.setMode(sick, "Disabled")
    assert.strictEqual((await answer).status, 502)
    assert.deepInclude(await lb.completed(), { tries: 1, backend: sick.origin, reason: "reset_before_headers" })
    assert.strictEqual(lb.inFlight, 0)
  })

  test("to a POST is the client's", async (lab) => {
    const sick = await lab.answering(busy)
    const living = await lab.answering(ok)
    const lb = await lab.balancer([sick, living])
    assert.strictEqual((await (await lab.connect(lb)).exchange(withLength("POST", "x"))).status, 503)
    assert.strictEqual(living.requests.length, 0)
  })
})

onEachEngine("a try that is given up", (test) => {
  test("because the time of the exchange is over leaves no connection behind, and means 504 deadline_exceeded", async (lab) => {
    const hanging = await lab.raw((peer) => peer.request())
    const lb = await lab.balancer([hanging], { exchange: 200 })
    const client = await lab.connect(lb)
    const answer = await client.exchange(get)
    assert.strictEqual(answer.status, 504)
    assert.include(answer.body.toString(), "reason: deadline_exceeded")
    await (await hanging.asked()).untilOver()
    assert.strictEqual(lb.inFlight, 0)
  })

  test("because a second one was faster leaves no connection behind", async (lab) => {
    let isSlow = false
    const slow = await lab.raw(async (peer) => {
      while (true) {
        await peer.request()
        if (!isSlow) await peer.send(ok)
      }
    })
    const fast = await lab.answering(ok)
    const lb = await lab.balancer([slow, fast], { hedge: { after: 0.95, budget: 1 } })
    const client = await lab.connect(lb)
    for (let i = 0; i < 100; i++) await client.exchange(get)
    isSlow = true
    assert.strictEqual((await client.exchange(get)).status, 200)
    const entry = await lb.completed(101)
    assert.deepInclude(entry, { backend: fast.origin, tries: 2, failed: undefined, reason: undefined })
    await slow.deserted()
    assert.strictEqual(lb.inFlight, 0)
    assert.strictEqual(lb.members[0]!.endpoint.load.failed, 0)
  })
})

onEachEngine("an answer that is worse than that of the second of two tries", (test) => {
  test("is let go while the better one still comes", async (lab) => {
    let isBusy = false
    let bothAreAsked = (): void => {}
    const bothAsked = new Promise<void>((resolve) => bothAreAsked = resolve)
    const sick = await lab.raw(async (peer) => {
      while (true) {
        await peer.request()
        if (isBusy) await bothAsked
        await peer.send(isBusy ? message("HTTP/1.1 503 Busy", "Content-Length: 100") + "not now" : ok)
      }
    })
    const living = await lab.raw(async (peer) => {
      while (true) {
        await peer.request()
        if (!isBusy) await peer.send(ok)
        else {
          bothAreAsked()
          // The other answer is to come before.
          await sleep(50)
          await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 4"))
          await sick.deserted()
          await peer.send("done")
        }
      }
    })
    const lb = await lab.balancer([sick, living], { hedge: { after: 0.95, budget: 1 } })
    const client = await lab.connect(lb)
    for (let i = 0; i < 100; i++) await client.exchange(get)
    isBusy = true
    const { body, status } = await client.exchange(get)
    assert.deepStrictEqual([status, body.toString()], [200, "done"])
    assert.deepInclude(await lb.completed(101), {
      backend: living.origin,
      failed: [{ backend: sick.origin, reason: 503 }]
    })
  })
})

onEachEngine("a request that is lost with a connection that was kept", (test, engine) => {
  /** undici sends nothing once more by itself. */
  const most = engine === "node" ? 2 : 3

  /** Backends that answer GETs of `/`, and read anything else to its end and leave. */
  const crashing = async (lab: Lab, count: number) => {
    const seen: Array<number> = []
    const backends = await Promise.all(Array.from({ length: count }, (_, i) =>
      lab.raw(async (peer) => {
        while (true) {
          const { target } = await peer.request()
          if (target === "/") await peer.send(ok)
          else {
            seen.push(i)
            peer.end()
          }
        }
      })))
    return { backends, seen }
  }
  const remove = message("DELETE /crash HTTP/1.1", host)

  for (
    const [name, retry, expected] of [
      ["goes to another backend, and before that once more to its own where the engine does so", {}, most],
      ["goes to nobody else with retry.tries 1", { tries: 1 }, 1],
      ["goes to nobody else, and not once more to its own, without a budget", { budget: 0, minPerSecond: 0 }, 1],
      ["goes to nobody else when its method is none of retry.methods", { methods: ["GET"] }, 1],
      [
        "goes to nobody else when retry.on does not have the reason",
        { on: ["connect_failed"] },
        1
      ]
    ] as const
  ) {
    test(name, async (lab) => {
      const { backends, seen } = await crashing(lab, 2)
      const lb = await lab.balancer(backends, { retry })
      const client = await lab.connect(lb)
      for (let i = 0; i < 4; i++) assert.strictEqual((await client.exchange(get)).status, 200)
      assert.strictEqual((await client.exchange(remove)).status, 502)
      assert.strictEqual(seen.length, expected)
      assert.strictEqual(new Set(seen).size, expected > 1 ? 2 : 1)
      const { failed = [], reason } = await lb.completed(5)
      assert.strictEqual(reason, "reset_before_headers")
      // The log has each delivery.
      assert.strictEqual(failed.length + 1, expected)
    })
  }
})

onEachEngine("a 429 that the client gets, though retry.statuses has it", (test) => {
  for (
    const [name, fields, wishes] of [
      ["without a Retry-After", [], {}],
      ["with one beyond the deadline", ["Retry-After: 60"], { exchange: 2_000 }],
      ["with a short one, and no budget", ["Retry-After: 0"], { retry: { budget: 0, minPerSecond: 0 } }]
    ] as const
  ) {
    test(`${name} is no failure of its backend`, async (lab) => {
      const busy = await lab.answering(message("HTTP/1.1 429 Too Many", "Content-Length: 0", ...fields))
      const retry = { ...("retry" in wishes ? wishes.retry : {}), statuses: [429] }
      const lb = await lab.balancer([busy], { ...wishes, retry, health: { kind: "off" } })
      const client = await lab.connect(lb)
      for (let i = 0; i < 3; i++) assert.strictEqual((await client.exchange(get)).status, 429)
      await lb.completed(3)
      const { consecutiveFailures, failed } = lb.members[0]!.endpoint.load
      assert.deepStrictEqual([consecutiveFailures, failed, lb.inFlight], [0, 0, 0])
    })
  }
})
