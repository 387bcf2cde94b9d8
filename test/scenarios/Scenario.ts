/**
 * What befalls fake backends while traffic runs, and what came of it: the soak (`npm run soak`) on `TestClock`.
 *
 * The load and the times are the soak's: 300 requests per second, a quarter of them POST, three backends
 * that answer in 20 ms.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLog from "../../src/layers/AccessLog.ts"
import * as Configuration from "../../src/layers/Configuration.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../src/layers/testing/FakeServer.ts"
import * as Traffic from "../../src/layers/testing/Traffic.ts"
import { Pool } from "../../src/services/Pool.ts"

/** The most that is allowed. What is undefined is not limited. */
export interface Limit {
  readonly get?: number
  readonly post?: number
  /** Of both methods together. */
  readonly failed?: number
  readonly slow?: number
}

/** All times are milliseconds from the beginning of the traffic. */
export interface Scenario {
  readonly title: string
  readonly limit: Limit
  /** What a backend does, given what it would do if nothing befell it. */
  readonly behave?: (name: Name, well: FakeBackends.Behaviour) => FakeBackends.Behaviour
  /** What is done to the backends meanwhile, by hand. */
  readonly meanwhile?: Effect.Effect<void, never, FakeBackends.FakeBackends | Pool>
  /** Three GETs for each POST, unless they are given. */
  readonly methods?: Traffic.Methods
  /** When backends are killed: a POST that was under way to one is lost, and nobody may send it again. */
  readonly kills?: ReadonlyArray<number>
  /** When all are well again. */
  readonly wellFrom: number
  /** Whether what is left of the illness may weigh on the spread for longer than is looked at. */
  readonly staysUneven?: boolean
}

/** What came of a scenario. Times are milliseconds. */
export interface Outcome {
  readonly requests: number
  /** Of GET, PUT and DELETE. */
  readonly get: number
  /** Without those that were lost with a killed backend. */
  readonly post: number
  readonly lost: number
  /** Those that took over a second, failed or not. */
  readonly slow: number
  /** POSTs that backends have received more than once. */
  readonly twice: number
  readonly wrong: number
  /** What is left over in the counts of the balancer and of the backends. */
  readonly inFlight: number
  /** From the recovery until the spread was even; undefined if it was not in time, or was not looked at. */
  readonly evenAfter: number | undefined
  /** The problems, and how many requests had each. */
  readonly problems: Readonly<Record<string, number>>
}

export type Name = "a" | "b" | "c"

export const names: ReadonlyArray<Name> = ["a", "b", "c"]

export const healthPath = "/health"

const count = <A>(items: ReadonlyArray<A>, is: (item: A) => boolean): number => items.filter(is).length

const slowFrom = 1_000
const workTime = 20
const filler = "all of it ".repeat(20)

export const origin = (name: Name): string => `http://${name}`

/** Each answer names its request, so that a part of another one is noticed. */
const bodyOf = (name: string, target: string, posted: string): string => `${name} ${target} ${posted}. ${filler}end`

const well = (name: Name): FakeBackends.Behaviour =>
  FakeBackends.onPath(
    healthPath,
    FakeBackends.respond("well"),
    FakeBackends.delayed(
      workTime,
      FakeBackends.handle((request) =>
        Effect.map(request.text, (posted) => HttpServerResponse.text(bodyOf(name, request.url, posted)))
      )
    )
  )

// -----------------------------------------------------------------------------
// When the spread is even
// -----------------------------------------------------------------------------

/**
 * Over such a stretch, looked at every so often, each backend gets its share but for this tolerance. The soak has the
 * same.
 */
const stretch = 2_000
const step = 100
const tolerance = 0.2
/** With fewer requests nothing can be said. */
const least = 300
const evenLimit = 5_000

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)

const isEven = (counts: ReadonlyArray<number>): boolean => {
  const total = sum(counts)
  const share = total / counts.length
  return total >= least && counts.every((count) => Math.abs(count - share) <= tolerance * share)
}

/** Lets time pass from the recovery until the spread is even, and tells how long that was. */
const evenness = Effect.fnUntraced(function*(wellFrom: number) {
  const backends = yield* FakeBackends.FakeBackends
  yield* TestClock.adjust(stretch)
  for (let after = 0; after <= evenLimit; after += step) {
    const from = wellFrom + after
    const isOf = ({ at }: FakeBackends.Received) => from <= at && at < from + stretch
    if (isEven(names.map((name) => count(backends.received(origin(name)), isOf)))) return after
    yield* TestClock.adjust(step)
  }
  return undefined
})

// -----------------------------------------------------------------------------
// Playing
// -----------------------------------------------------------------------------

const isWrong = ({ backend, method, number, problem, reply }: Traffic.Seen): boolean =>
  problem === undefined &&
  reply?.text !== bodyOf(backend ?? "", `/${number}`, method === "POST" || method === "PUT" ? `body of ${number}` : "")

const outcomeOf = (
  scenario: Scenario,
  seen: ReadonlyArray<Traffic.Seen>
): Effect.Effect<Omit<Outcome, "evenAfter">, never, FakeBackends.FakeBackends | Pool> =>
  Effect.gen(function*() {
    const backends = yield* FakeBackends.FakeBackends
    const { members } = yield* Ref.get((yield* Pool).state)
    const posts = names.flatMap((name) => backends.received(origin(name)).filter(({ method }) => method === "POST"))
    const failed = seen.filter(({ problem }) => problem !== undefined)
    const failedPosts = failed.filter(({ method }) => method === "POST")
    const wasLost = ({ at, latency }: Traffic.Seen) =>
      scenario.kills?.some((kill) => at <= kill && kill <= at + latency) === true
    const lost = count(failedPosts, wasLost)
    const problems: Record<string, number> = {}
    for (const { method, problem } of failed) {
      const key = `${method}: ${problem}`
      problems[key] = (problems[key] ?? 0) + 1
    }
    return {
      requests: seen.length,
      get: failed.length - failedPosts.length,
      post: failedPosts.length - lost,
      lost,
      slow: Traffic.slower(seen, slowFrom),
      twice: posts.length - new Set(posts.map(({ target }) => target)).size,
      wrong: count(seen, isWrong),
      inFlight: sum(members.map(({ endpoint }) => endpoint.load.inFlight)) +
        sum(names.map((name) => backends.inFlight(origin(name)))),
      problems
    }
  })

/** What an outcome has beyond what is allowed, in words. */
export const excess = (outcome: Outcome, { limit, staysUneven }: Scenario): ReadonlyArray<string> => {
  const { evenAfter, get, inFlight, post, requests, slow, twice, wrong } = outcome
  const figures: ReadonlyArray<readonly [string, number, number | undefined]> = [
    ["GETs failed", get, limit.get],
    ["POSTs failed", post, limit.post],
    ["failed", get + post, limit.failed],
    ["slow", slow, limit.slow],
    ["POSTs delivered twice", twice, 0],
    ["wrong bodies", wrong, 0],
    ["in flight at the end", inFlight, 0]
  ]
  const beyond = figures.flatMap(([what, value, most = Infinity]) =>
    value > most ? [`${value} ${what}, ${most} allowed`] : []
  )
  return [
    ...beyond,
    ...(requests === 0 ? ["nothing was sent"] : []),
    ...(evenAfter === undefined && staysUneven !== true ? ["the spread was not even again"] : [])
  ]
}

/** Plays a scenario, on a clock of its own. The same seed gives the same outcome. */
export const play = (scenario: Scenario, seed: number) => {
  const { behave = (_, well) => well, meanwhile = Effect.void, methods = { GET: 3, POST: 1 } } = scenario
  const scripts = Object.fromEntries(names.map((name) => [origin(name), behave(name, well(name))]))
  const settings = Configuration.make({ to: names.map(origin), health: { path: healthPath } })
  const lab = LoadBalancer.layer(settings).pipe(
    Layer.provide(AccessLog.layerNone),
    Layer.provideMerge([FakeServer.layer, FakeBackends.layer(scripts)])
  )
  return Effect.gen(function*() {
    const { staysUneven = false, wellFrom } = scenario
    let isOver = false
    const traffic = yield* Effect.forkChild(Traffic.run({
      rate: 300,
      duration: Infinity,
      enough: () => isOver,
      methods,
      backendOf: ({ text }) => text.slice(0, 1)
    }))
    yield* Effect.forkChild(meanwhile)
    yield* TestClock.setTime(wellFrom)
    const evenAfter = staysUneven ? undefined : yield* evenness(wellFrom)
    isOver = true
    yield* TestClock.adjust("1 minute")
    const seen = yield* Fiber.join(traffic)
    return { seen, outcome: { ...(yield* outcomeOf(scenario, seen)), evenAfter } }
  }).pipe(
    Effect.provide(lab),
    Random.withSeed(seed),
    Effect.provide(TestClock.layer()),
    // Without a turn of the event loop for each of its steps, a request takes a fifth less.
    Effect.provideService(Scheduler.Scheduler, new Scheduler.MixedScheduler("sync"))
  )
}
