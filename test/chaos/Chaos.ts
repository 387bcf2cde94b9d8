/**
 * Plays a plan on virtual time, with fakes at both ends of the real layers, and asks the oracles what they think of it.
 * Then all is well for a while, as it should be seen to be.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"
import * as TestClock from "effect/testing/TestClock"
import { strategyOf } from "../../src/layers/strategies/index.ts"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import { FakeServer } from "../../src/layers/testing/FakeServer.ts"
import type { Backend } from "../../src/services/Backend.ts"
import { Balancer } from "../../src/services/Balancer.ts"
import { Drain } from "../../src/services/Drain.ts"
import { Forwarder } from "../../src/services/Forwarder.ts"
import type { Mode } from "../../src/services/Health.ts"
import { empty, memberOf, Pool } from "../../src/services/Pool.ts"
import { Strategy } from "../../src/services/Strategy.ts"
import { behaviourOf, type Illness, originsOf, well } from "./Backends.ts"
import * as Clients from "./Clients.ts"
import { deliveries } from "./Deliveries.ts"
import * as Lab from "./Lab.ts"
import { members } from "./Members.ts"
import { places } from "./Places.ts"
import type { Event, Plan, Request } from "./Plan.ts"
import { recovery } from "./Recovery.ts"
import { Scene } from "./Scene.ts"
import { sessions } from "./Sessions.ts"

export const oracles = { deliveries, places, members, sessions, recovery }

export interface Complaint {
  readonly oracle: keyof typeof oracles
  readonly at: number
  readonly sentence: string
}

/** What there is to complain of, and a line for everything that happened. */
export interface Outcome {
  readonly complaints: ReadonlyArray<Complaint>
  readonly story: ReadonlyArray<string>
}

/** How often oracles look around, in milliseconds. */
const pause = 50

/** When all is well: time for ejections to end and checks to pass; then for requests to find out; and then it counts. */
const rest = 20_000
const warmUp = { length: 20_000, every: 200 }
const proof = { length: 10_000, every: 50 }
const ending = 10_000

/** Requests one after the other, with some POSTs among them, each of a client that nobody knows. */
const evenly = (from: number, { every, length }: typeof proof, first: number): ReadonlyArray<Request> =>
  Array.from({ length: length / every }, (_, i) => {
    const number = first + i
    const isPost = i % 4 === 3
    const pieces = isPost ? [{ after: 0, text: `${number}` }] : []
    const method = isPost ? "POST" : "GET"
    return { number, at: from + i * every, method, client: number, pieces, patience: undefined }
  })

/** It is refused, but the cookies of all backends are known then: they are computed in time that is not virtual. */
const greeting = HttpClientRequest.get("/greeting", { headers: { "content-length": "none" } })

/** What the operator, discovery and the backends do. */
const director = Effect.fnUntraced(function*(
  scene: Scene,
  discovered: Queue.Enqueue<ReadonlyArray<Backend>>,
  behaviour: (id: string, illness: Illness) => FakeBackends.Behaviour
) {
  const backends = yield* FakeBackends.FakeBackends
  const server = yield* FakeServer
  const balancer = yield* Balancer
  const drain = yield* Drain
  const pool = yield* Pool

  const setMode = (id: string, mode: Mode): Effect.Effect<void> => {
    scene.each((oracle) => oracle.onMode?.(id, mode))
    return pool.signal(id, { _tag: "ModeSet", mode, why: "chaos" })
  }
  const drainOff = (id: string): Effect.Effect<unknown> => {
    const load = memberOf(scene.state(), id)?.endpoint.load
    scene.each((oracle) => oracle.onMode?.(id, "Draining"))
    const drained = Effect.match(drain.drain(id, "chaos"), {
      onSuccess: () => scene.each((oracle) => load !== undefined && oracle.onDrained?.(id, load)),
      onFailure: () => scene.each((oracle) => load !== undefined && oracle.onTakenBack?.(id, load))
    })
    return Effect.forkDetach(drained, { startImmediately: true })
  }
  return (event: Event): Effect.Effect<unknown> => {
    scene.tell(`EVENT ${JSON.stringify(event)}`)
    switch (event._tag) {
      case "FallIll":
        return Effect.forEach(
          originsOf(event.id),
          (origin) => backends.script(origin, behaviour(event.id, event.illness))
        )
      case "Stop":
        return Effect.forEach(originsOf(event.id), (origin) => backends.stop(origin))
      case "Start":
        return Effect.forEach(originsOf(event.id), (origin) => backends.start(origin))
      case "Drain":
        return drainOff(event.id)
      case "Disable":
        return setMode(event.id, "Disabled")
      case "Ready":
        return setMode(event.id, "Ready")
      case "Discover":
        return Queue.offer(discovered, event.backends).pipe(
          Effect.andThen(TestClock.adjust(0)),
          Effect.andThen(Effect.ignore(server.request(greeting)))
        )
      case "Swap": {
        const strategy = strategyOf({ ...scene.plan.settings, strategy: event.strategy })
        return Effect.flatMap(Effect.provide(Strategy, strategy), balancer.swap)
      }
    }
  }
})

/** Plays a plan. The same one has the same outcome. */
export const play = (plan: Plan): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const scene = new Scene(plan, now)
    const send = Clients.make((exchange) => scene.begin(exchange))
    const behaviour = (id: string, illness: Illness): FakeBackends.Behaviour =>
      behaviourOf(id, illness, plan.workTime, (target) => scene.noteIllAnswer(id, target))
    const ids = plan.backends.map(({ id }) => id)
    const discovered = yield* Queue.unbounded<ReadonlyArray<Backend>>()
    const lab = Lab.layer(plan, {
      discovered,
      log: (entry) => scene.log(entry),
      scripts: Object.fromEntries(ids.flatMap((id) => originsOf(id).map((origin) => [origin, behaviour(id, well)])))
    })

    const played = Effect.gen(function*() {
      const backends = yield* FakeBackends.FakeBackends
      const forwarder = yield* Forwarder
      const pool = yield* Pool
      const happen = yield* director(scene, discovered, behaviour)
      scene.state = () => Ref.getUnsafe(pool.state)
      scene.received = (id) => originsOf(id).flatMap((origin) => backends.received(origin))
      scene.receivedAt = (origin) => backends.received(origin)

      const complaints: Array<Complaint> = []
      for (const oracle of Struct.keys(oracles)) {
        scene.ask(oracles[oracle], (sentence) => {
          scene.tell(`COMPLAINT of ${oracle}: ${sentence}`)
          complaints.push({ oracle, at: now(), sentence })
        })
      }
      let known = empty
      yield* Effect.forkChild(Stream.runForEach(pool.changes, (state) =>
        Effect.sync(() => {
          scene.noteLoads(state)
          scene.each((oracle) => oracle.onChange?.(known, state))
          known = state
        })))

      const arrive = (requests: ReadonlyArray<Request>) =>
        Effect.forkChild(Effect.forEach(requests, (request) =>
          Effect.andThen(
            Effect.suspend(() => Effect.sleep(Math.max(0, request.at - now()))),
            Effect.forkDetach(send(request))
          ), { discard: true }))
      const advanceTo = Effect.fnUntraced(function*(time: number) {
        while (now() < time) {
          yield* TestClock.adjust(Math.min(pause, time - now()))
          const inFlight = yield* forwarder.inFlight
          scene.each((oracle) => oracle.onPause?.(inFlight))
        }
      })

      yield* happen({ at: 0, _tag: "Discover", backends: plan.backends })
      yield* arrive(plan.requests)
      for (const event of plan.events) {
        yield* advanceTo(event.at)
        yield* happen(event)
      }
      yield* advanceTo(plan.length)

      scene.tell("ALL IS WELL")
      const at = now()
      for (const id of ids) {
        yield* happen({ at, _tag: "Start", id })
        yield* happen({ at, _tag: "FallIll", id, illness: well })
      }
      yield* happen({ at, _tag: "Discover", backends: plan.backends })
      for (const id of ids) yield* happen({ at, _tag: "Ready", id })
      yield* happen({ at, _tag: "Swap", strategy: plan.settings.strategy })
      yield* advanceTo(at + rest)
      const first = plan.requests.length
      yield* arrive(evenly(now(), warmUp, first))
      yield* advanceTo(now() + warmUp.length)
      scene.tell("ALL IS CALM")
      scene.calmFrom = now()
      yield* arrive(evenly(now(), proof, first + warmUp.length / warmUp.every))
      yield* advanceTo(now() + proof.length + ending)
      scene.each((oracle) => oracle.onFinish?.())
      return { complaints, story: scene.story }
    })
    return yield* Effect.provide(played, lab)
  }).pipe(Effect.scoped, Random.withSeed(plan.seed), Effect.provide(TestClock.layer()))
