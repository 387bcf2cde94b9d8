/** Backends that die and come back while clients ask without a pause. */
import { randomFrom } from "../../Random.ts"
import { assert, onEachEngine } from "../support/Lab.ts"
import { type Allowed, outcomes, Stage } from "./support/Stage.ts"

const strategy = "peak-ewma"

/** POSTs that were under way to a backend as it was killed. */
const lost = (...kills: ReadonlyArray<number>): Allowed => ({
  methods: ["POST"],
  seeing: ["502 reset_before_headers"],
  kills
})

onEachEngine("backends that die and return", (test, engine) => {
  const note = outcomes(`Backends that die and return, on real sockets, 200 requests per second, ${engine} engine`)

  test("one of three killed at any moment: no GET fails", async (lab) => {
    const kills = engine === "wire" ? 10 : 5
    const random = randomFrom(7)
    const stage = await Stage.start(lab, { strategy, methods: ["GET"] })
    const { backends, clients, lb } = stage
    for (let kill = 0; kill < kills; kill++) {
      await clients.sent(1 + Math.floor(random() * 12))
      // Any moment, also one between two requests.
      await new Promise((resolve) => setTimeout(resolve, random() * 5))
      const victim = backends[Math.floor(random() * backends.length)]!
      await victim.kill(random() < 0.5 ? "FIN" : "RST")
      await clients.sent(1 + Math.floor(random() * 40))
      await victim.start()
      await lb.untilStatus("Up", "Up", "Up")
      // Nobody is asked more than twice, so a request that met with two deaths would have failed.
      await clients.settled()
    }
    const rescued = lb.journal.completed.filter(({ tries }) => tries > 1).length
    assert.isAtLeast(rescued, 3, "otherwise nothing was tested")
    note(`one killed at any moment, ${kills} times, GETs only`, await stage.end())
  })

  test("two of three killed: only POSTs that were under way fail", async (lab) => {
    const stage = await Stage.start(lab, { strategy })
    const kills: Array<number> = []
    const { backends, clients } = stage
    await clients.sent(30)
    await stage.trouble(async () => {
      kills.push(performance.now())
      await Promise.all(backends.slice(0, 2).map((backend) => backend.kill()))
      await clients.sent(80)
      await Promise.all(backends.slice(0, 2).map((backend) => backend.start()))
    })
    await clients.sent(30)
    note("two of three killed", await stage.end(lost(...kills)))
  })

  test("all drained and restarted in turn: no request fails, whatever its method", async (lab) => {
    const stage = await Stage.start(lab, { strategy })
    const { backends, clients, lb } = stage
    await clients.sent(30)
    for (const [i, backend] of [...backends.entries(), ...backends.entries()]) {
      await lb.setMode(lb.members[i]!.endpoint.backend, "Draining")
      await lb.untilIdle(i)
      const { length } = backend.begun
      await clients.sent(10)
      assert.strictEqual(backend.begun.length, length, "it got requests while it was drained")
      // Whom nobody uses nobody misses, however it goes.
      await backend.kill()
      await clients.sent(10)
      await backend.start()
      const startedAt = performance.now()
      await lb.setMode(lb.members[i]!.endpoint.backend, "Ready")
      while (!stage.answeredSince(startedAt).has(backend.name)) await clients.sent(10)
    }
    note("all drained and restarted in turn", await stage.end())
  })

  test("one that refuses connections, and closes those that it has, is not missed", async (lab) => {
    const stage = await Stage.start(lab, { strategy })
    const kills: Array<number> = []
    const { backends, clients } = stage
    await clients.sent(30)
    await stage.trouble(async () => {
      kills.push(performance.now())
      await backends[0]!.stop()
      await clients.sent(80)
      await backends[0]!.start()
    })
    await clients.sent(30)
    // A POST may be sent just when its connection is closed.
    note("refuses connections", await stage.end(lost(...kills)))
  })

  test("one that dies and returns again and again: only POSTs that were under way fail", async (lab) => {
    const times = 8
    const stage = await Stage.start(lab, { strategy })
    const kills: Array<number> = []
    const { backends, clients } = stage
    await clients.sent(30)
    await stage.trouble(async () => {
      for (let i = 0; i < times; i++) {
        kills.push(performance.now())
        await backends[0]!.kill()
        await clients.sent(10)
        await backends[0]!.start()
        await clients.sent(10)
      }
    })
    await clients.sent(30)
    note(`flaps, ${times} times`, await stage.end(lost(...kills)))
  })
})
