/**
 * One of three backends is ill in one way, which its health checks do not see, while clients ask without a pause. The
 * strategy is the one that knows nothing of failures, so that the ill backend is sent as much as can be.
 */
import { assert, onEachEngine } from "../support/Lab.ts"
import type { Illness } from "./support/Backend.ts"
import { type Allowed, mixed, outcomes, Stage } from "./support/Stage.ts"

/**
 * Some are sent to the ill backend until it is ejected, and one at each trial. What may have been read
 * there is not sent again.
 */
const posts = (...seeing: ReadonlyArray<string>): Allowed => ({ methods: ["POST"], seeing, most: 9 })

/**
 * An answer whose head has gone to the client cannot be taken back, whatever the method. When the end comes at once,
 * the client's system may forget the head.
 */
const any: Allowed = { methods: mixed, seeing: ["200, then cut", "ECONNRESET"], most: 25 }

/**
 * How long the balancer waits for what does not come, in milliseconds. In this time some 27 requests are
 * sent to the ill backend.
 */
const patience = 400

const cases: ReadonlyArray<readonly [Illness, Allowed | undefined]> = [
  ["resets connections unread", posts("502 reset_before_headers")],
  ["resets after the head of the request", posts("502 reset_before_headers")],
  ["resets after the request", posts("502 reset_before_headers")],
  ["closes after the request", posts("502 reset_before_headers")],
  ["closes within the head of the answer", posts("502 reset_before_headers")],
  ["resets within the head of the answer", posts("502 reset_before_headers")],
  ["resets after the head of the answer", any],
  ["resets within the body of the answer", any],
  ["closes within the body of the answer", any],
  // On a busy machine the end may come so long after the answer that a POST is on its way by then.
  ["closes after the answer", { ...posts("502 reset_before_headers"), most: 5 }],
  ["hangs before the answer", { ...posts("504 headers_timeout"), most: 16 }],
  ["hangs within the body of the answer", { ...any, most: 45 }],
  ["answers garbage", posts("502 protocol_error")],
  // What has come with the head is looked at before anybody hears of an answer.
  ["answers garbage in the body", { ...any, seeing: [...any.seeing, "502 protocol_error"] }],
  ["answers 503", posts("503 of a backend")],
  ["trickles", undefined],
  ["trickles the head of the answer", undefined],
  ["trickles a head without an end", { ...posts("504 headers_timeout"), most: 16 }]
]

onEachEngine("one of three backends", (test, engine) => {
  const note = outcomes(`One of three backends on real sockets, 200 requests per second, ${engine} engine`)
  for (const [illness, allowed] of cases) {
    test(illness, async (lab) => {
      const hangs = illness.startsWith("hangs") || illness.endsWith("without an end")
      const stage = await Stage.start(lab, { strategy: "round-robin", ...(hangs && { patience }) })
      const { backends, clients } = stage
      await clients.sent(20)
      await stage.trouble(async () => {
        backends[0]!.fall(illness)
        await clients.sent(120)
        backends[0]!.fall(undefined)
      })
      assert.isAtLeast(backends[0]!.struck, 1, "otherwise nothing was tested")
      await clients.sent(20)
      note(illness, await stage.end(allowed))
    })
  }
})
