/** Whole forwarders over fake backends. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../../src/layers/AccessLog.ts"
import * as Balancer from "../../../src/layers/Balancer.ts"
import * as Drain from "../../../src/layers/Drain.ts"
import * as Ejection from "../../../src/layers/Ejection.ts"
import * as Forwarder from "../../../src/layers/Forwarder.ts"
import * as LoadBalancer from "../../../src/layers/LoadBalancer.ts"
import * as PoolLayer from "../../../src/layers/Pool.ts"
import * as RoundRobin from "../../../src/layers/strategies/RoundRobin.ts"
import * as FakeBackends from "../../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../../src/layers/testing/FakeServer.ts"
import { type AccessLog as AccessLogService, type Entry, pretty } from "../../../src/services/AccessLog.ts"
import * as Backend from "../../../src/services/Backend.ts"
import {
  Balancer as BalancerService,
  defaultOptions as defaultLimits,
  type Options as BalancerOptions
} from "../../../src/services/Balancer.ts"
import type { Drain as DrainService } from "../../../src/services/Drain.ts"
import { defaultOptions, Forwarder as ForwarderService, type Options } from "../../../src/services/Forwarder.ts"
import { attachRequestHead, type RequestHead } from "../../../src/services/Message.ts"
import { Pool } from "../../../src/services/Pool.ts"
import { defaultPolicy, type Policy } from "../../../src/services/RetryPolicy.ts"
import type { Strategy } from "../../../src/services/Strategy.ts"

const { delayed, resets, respond } = FakeBackends
export const Fakes = FakeBackends.FakeBackends

export interface Wishes extends Partial<Omit<Options, "retry">> {
  readonly limits?: Partial<BalancerOptions>
  readonly retry?: Partial<Policy>
  /** The balancer in place of the one that there is. */
  readonly balancer?: (balancer: BalancerService["Service"]) => BalancerService["Service"]
  readonly strategy?: Layer.Layer<Strategy>
  readonly drain?: Layer.Layer<DrainService, never, BalancerService | Pool>
}

/** A forwarder between fake clients and fake backends, which are all offered traffic, in turn. */
export const lab = (
  scripts: Readonly<Record<string, FakeBackends.Behaviour>>,
  { balancer = identity, drain = Drain.layer(), limits, retry, strategy = RoundRobin.layer, ...options }: Wishes = {},
  log: Array<Entry> | Layer.Layer<AccessLogService> = []
) =>
  LoadBalancer.layerServe.pipe(
    Layer.provideMerge(Layer.effectDiscard(
      Effect.flatMap(Pool, (pool) => pool.reconcile(Object.keys(scripts).map((origin) => Backend.make(origin))))
    )),
    Layer.provideMerge(Forwarder.layer({ ...defaultOptions, ...options, retry: { ...defaultPolicy, ...retry } })),
    Layer.provide(drain),
    Layer.provide(Layer.effect(BalancerService, Effect.map(BalancerService, balancer))),
    Layer.provide(Balancer.layer({ ...defaultLimits, ...limits })),
    Layer.provide(Ejection.layerNone),
    Layer.provide([strategy, Array.isArray(log) ? AccessLog.layerMemory(log) : log]),
    Layer.provideMerge([PoolLayer.layer(), FakeBackends.layer(scripts), FakeServer.layer])
  )

export const receivedBy = (origin: string) => Effect.map(Fakes, ({ received }) => received(origin))

export const loads = Effect.gen(function*() {
  const { members } = yield* Ref.get((yield* Pool).state)
  return members.map((
    { endpoint: { backend, load } }
  ) => [backend.origin.slice(7), load.total, load.failed, load.inFlight])
})

/** What has become of a request after this much time: its status and its text. */
export const after = (ms: number, request: ReturnType<typeof FakeServer.request>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(request)
    yield* TestClock.adjust(ms)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) return "nothing yet"
    return Exit.isSuccess(exit) ? `${exit.value.status} ${exit.value.text.split("\n").at(-2) ?? exit.value.text}` : exit
  })

export const get = (ms = 25) => after(ms, FakeServer.request("/"))
export const post = (ms = 25) => after(ms, FakeServer.request(HttpClientRequest.post("http://lb/")))

/** Forwards a request of an engine that knows more of it than the platform does, and gives the status. */
export const forward = (method: string, known: Partial<RequestHead>) => {
  const request = HttpServerRequest.fromWeb(new Request("http://lb/", { method, body: known.body ? "text" : null }))
  const head = { method, target: "/", fields: ["Host", "lb"], body: undefined, ...known }
  return Effect.flatMap(ForwarderService, ({ handle }) =>
    handle.pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, attachRequestHead(request, head)),
      Effect.scoped,
      Effect.map(({ status }) => status)
    ))
}

/** The last line of the log. */
export const last = (entries: ReadonlyArray<Entry>): string => pretty(entries.at(-1)!)

export const fails = (text: string, headers: Readonly<Record<string, string>> = {}, status = 503) =>
  respond(text, { status, headers })

export const slow = (ms: number) => delayed(ms, respond(`after ${ms} ms`))

export const resetsLate: FakeBackends.Behaviour = (attempt) =>
  Effect.map(resets(attempt), (answer) => Effect.andThen(Effect.sleep(900), answer))
