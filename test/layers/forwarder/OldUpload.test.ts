/** An upload that began before its backend was ejected says nothing of the trial, and a resent request is noted once. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as BalancerLayer from "../../../src/layers/Balancer.ts"
import * as EjectionLayer from "../../../src/layers/Ejection.ts"
import { Exchange } from "../../../src/layers/forwarder/Exchange.ts"
import * as PoolLayer from "../../../src/layers/Pool.ts"
import { strategies } from "../../../src/layers/strategies/index.ts"
import type { Entry } from "../../../src/services/AccessLog.ts"
import { Balancer } from "../../../src/services/Balancer.ts"
import * as HashKey from "../../../src/services/HashKey.ts"
import * as Health from "../../../src/services/Health.ts"
import { memberOf, Pool } from "../../../src/services/Pool.ts"
import { backend } from "../../endpoints.ts"
import * as ManualUpload from "./ManualUpload.ts"

const layer = BalancerLayer.layer().pipe(
  Layer.provide(EjectionLayer.layer()),
  Layer.provide(strategies["round-robin"]),
  Layer.provideMerge(PoolLayer.layer())
)

const open = Effect.gen(function*() {
  const entries: Array<Entry> = []
  const clock = yield* Clock.Clock
  const exchange = new Exchange(
    {
      balancer: yield* Balancer,
      clock,
      hashKey: HashKey.client,
      withdraw: () => true,
      log: { write: (entry) => void entries.push(entry) }
    },
    HttpServerRequest.fromWeb(new Request("http://localhost/")),
    { method: "POST", target: "/", fields: [], body: undefined },
    undefined
  )
  return { clock, entries, exchange }
})

describe("an exchange", () => {
  for (const hasUpload of [false, true]) {
    it.effect(`that began before the ejection does not end the trial, ${hasUpload ? "with" : "without"} an upload`, () =>
      Effect.gen(function*() {
        const pool = yield* Pool
        yield* pool.reconcile([backend("a"), backend("b"), backend("c")])
        const { clock, exchange } = yield* open
        const { endpoint } = memberOf(Ref.getUnsafe(pool.state), "a")!
        const { complete, upload } = ManualUpload.make(clock)
        if (hasUpload) exchange.upload = upload
        exchange.begin(endpoint)
        yield* TestClock.adjust("1 second")
        yield* pool.signal("a", { _tag: "Tripped", why: "failures", random: 0 })
        yield* TestClock.adjust("11 seconds")
        const status = () => Health.status(memberOf(Ref.getUnsafe(pool.state), "a")!.health)
        assert.strictEqual(status(), "Trial")
        complete()
        yield* TestClock.adjust("1 second")
        exchange.failed("reset_before_headers")
        yield* TestClock.adjust(1)
        assert.strictEqual(status(), "Trial")
        exchange.finish(Exit.void)
      }).pipe(Effect.provide(layer)))
  }

  it.effect("notes a request that was sent once more once, also where its backend was tried before", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      yield* pool.reconcile([backend("a")])
      const { entries, exchange } = yield* open
      const first = exchange.select()!
      exchange.begin(first)
      exchange.answered({ status: 503, statusText: "", fields: [], body: undefined })
      exchange.setAside()
      exchange.begin(exchange.selectAgain()!)
      assert.isTrue(exchange.resend("http://a.test"))
      exchange.answered({ status: 200, statusText: "", fields: [], body: undefined })
      exchange.accept()
      exchange.finish(Exit.void)
      const last = entries.at(-1)
      assert(last?._tag === "Completed")
      assert.deepStrictEqual(last.failed?.map(({ reason }) => reason), [503, "reset_before_headers"])
    }).pipe(Effect.provide(layer)))
})
