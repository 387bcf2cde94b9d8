/** After thousands of exchanges that end in every way there is, nothing is left: no exchange, no socket, no timer. */
import { type Dice, dice } from "../Dice.ts"
import type { Differences } from "./support/Engines.ts"
import { assert, type Lab, onEachEngine } from "./support/Lab.ts"
import { host, message, ok, type Peer } from "./support/Peer.ts"
import { agreeing } from "./support/Tunnels.ts"

/** Set it to run the exchanges of a failure once more. */
const seed = Number(process.env["EVENKEEL_TEST_SEED"] ?? 20_261_122)

const exchanges = 2_000
const atOnce = 40

const large = Buffer.alloc(300_000, "x")
const withLength = Buffer.concat([Buffer.from(message("HTTP/1.1 200 OK", `Content-Length: ${large.length}`)), large])
const inChunks = Buffer.concat([
  Buffer.from(`${message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}${large.length.toString(16)}\r\n`),
  large,
  Buffer.from("\r\n0\r\nX-Sum: 1\r\n\r\n")
])
const untilClose = Buffer.concat([Buffer.from(message("HTTP/1.1 200 OK", "Connection: close")), large])

/** Waits until this has come, or nothing more can: who waits longer keeps a timer. */
const untilText = async (peer: Peer, text: string): Promise<unknown> => {
  await peer.until(() => peer.over || peer.unread.includes(text), text)
  return peer.over ? undefined : peer.untilText(text)
}

/** Never resolves: whatever happens next happens to the connection. */
const nothing = (): Promise<never> => new Promise(() => {})

/** What a backend does, by target, when it has the head of a request. `whole` waits for its body. */
const habits: Readonly<Record<string, (peer: Peer, whole: () => Promise<unknown>) => Promise<unknown>>> = {
  "/length": (peer, whole) => whole().then(() => peer.send(withLength)),
  "/chunks": (peer, whole) => whole().then(() => peer.send(inChunks)),
  "/empty": (peer, whole) => whole().then(() => peer.send(ok)),
  "/until-close": (peer, whole) => whole().then(() => peer.send(untilClose)).then(() => peer.end()),
  "/early": (peer, whole) => Promise.all([peer.send(inChunks), whole()]),
  "/interim": (peer, whole) => peer.send(message("HTTP/1.1 103 Early Hints")).then(whole).then(() => peer.send(ok)),
  "/refuses": (peer) =>
    peer.send(message("HTTP/1.1 413 Content Too Large", "Content-Length: 0", "Connection: close")).then(() =>
      peer.end()
    ),
  "/closes": async (peer) => peer.end(),
  "/resets": async (peer) => peer.reset(),
  "/cuts": (peer, whole) => whole().then(() => peer.send(inChunks.subarray(0, 1_000))).then(() => peer.end()),
  "/cuts-hard": (peer, whole) => whole().then(() => peer.send(withLength.subarray(0, 1_000))).then(() => peer.reset()),
  "/nonsense": (peer, whole) => whole().then(() => peer.send("nonsense\r\n\r\n")),
  "/silent": nothing,
  "/stops": (peer, whole) => whole().then(() => peer.send(inChunks.subarray(0, 1_000))).then(nothing),
  "/does-not-read": async (peer) => {
    peer.socket.pause()
    return nothing()
  },
  "/upgrades": async (peer) => {
    await peer.send(agreeing)
    await untilText(peer, "bye")
    await peer.send("bye")
    peer.end()
  },
  "/upgrades-and-resets": async (peer) => {
    await peer.send(agreeing + "hello")
    await untilText(peer, "bye")
    peer.reset()
  }
}

/** A backend with these habits, and how to wait until nobody is connected to it. */
const habitual = (lab: Lab) =>
  lab.raw(async (peer) => {
    while (true) {
      const { fields, target } = await peer.requestHead()
      const field = (name: string) => fields.find(([key]) => key.toLowerCase() === name)?.[1]
      const length = Number(field("content-length") ?? 0)
      const whole = () =>
        field("transfer-encoding") === undefined ? peer.bytes(length) : untilText(peer, "\r\n0\r\n\r\n")
      await habits[target]?.(peer, whole)
    }
  })

const leaving: ReadonlyArray<(peer: Peer) => void> = [
  (peer) => peer.destroy(),
  (peer) => peer.reset(),
  (peer) => peer.end(),
  (peer) => void peer.socket.pause()
]

const requestOf = ({ below, one }: Dice, target: string): string => {
  const persistence = one([[], [], ["Connection: close"]])
  const lines = [host, ...persistence]
  if (target.startsWith("/upgrades")) {
    return message(`GET ${target} HTTP/1.1`, host, "Connection: Upgrade", "Upgrade: chat") + "bye"
  }
  const size = one([0, 0, 1, below(200_000), below(400_000)])
  if (size === 0) return message(`${one(["GET", "HEAD", "DELETE"])} ${target} HTTP/1.1`, ...lines)
  const body = "x".repeat(size)
  return one([
    message(`POST ${target} HTTP/1.1`, ...lines, `Content-Length: ${size}`) + body,
    message(`POST ${target} HTTP/1.1`, ...lines, "Transfer-Encoding: chunked") +
    `${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  ])
}

/** What keeps this process busy, by kind. */
const resources = (): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50))

const races: Differences = { node: { races: "undici keeps a socket for a while whose backend does not read" } }

onEachEngine("leaks", (test) => {
  test(`there are none after ${exchanges} exchanges with aborts, deaths and timeouts (seed ${seed})`, async (lab) => {
    const backends = [await habitual(lab), await habitual(lab)]
    await settled()
    const before = resources()
    const lb = await lab.balancer(backends, { idle: 300, response: 300, connect: 2_000, shutdown: 10_000 })
    const random = dice(seed)
    const errors: Array<unknown> = []
    const note = (error: unknown) => void errors.push(error)
    process.on("uncaughtException", note).on("unhandledRejection", note)

    const exchange = async (kept: Peer | undefined): Promise<Peer | undefined> => {
      const client = kept === undefined || kept.over ? await lab.connect(lb) : kept
      const target = random.one(Object.keys(habits))
      const request = requestOf(random, target)
      const stays = random.below(3) > 0
      if (stays) {
        await client.send(request)
        const noBody = request.startsWith("HEAD")
        const answer = await client.response({ noBody }).catch(() => undefined)
        const isOver = answer === undefined || answer.ending !== "complete" || answer.status === 101
        if (!isOver && answer.status >= 200 && random.below(2) === 0) return client
        if (answer?.status === 101) await client.untilOver()
      } else {
        await client.send(request.slice(0, random.one([request.length, random.below(request.length)])))
        const bytes = client.bytesReceived + random.one([0, 0, 1, random.below(2_000)])
        await Promise.race([client.until(() => client.bytesReceived >= bytes || client.over, "some"), settled()])
        random.one(leaving)(client)
        await settled()
      }
      client.destroy()
      return undefined
    }

    let left = exchanges
    const worker = async (): Promise<void> => {
      let kept: Peer | undefined
      while (left-- > 0) kept = await exchange(kept)
      kept?.destroy()
    }
    try {
      await Promise.all(Array.from({ length: atOnce }, worker))
      await lb.journal.until(() => lb.inFlight === 0, "nothing in flight")
      const sent = lb.journal.filter((entry) => entry._tag === "Sent").length
      assert.isAtLeast(sent, exchanges / 2)
      for (const { endpoint } of lb.members) assert.strictEqual(endpoint.load.inFlight, 0)
      await lb.close()
      for (const backend of backends) {
        // A backend that does not read does not see that it is alone.
        for (const peer of backend.peers) peer.socket.resume()
        await backend.deserted()
        for (const peer of backend.peers) peer.destroy()
      }
      await settled()
      for (const [kind, count] of Object.entries(resources())) assert.isAtMost(count, before[kind] ?? 0, kind)
    } finally {
      process.off("uncaughtException", note).off("unhandledRejection", note)
    }
    assert.deepStrictEqual(errors, [])
  }, races)
})
