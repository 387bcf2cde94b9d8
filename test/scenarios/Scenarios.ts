/** The scenarios: the soak's, with its limits, and some that only fakes can play. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import { type Mode, status } from "../../src/services/Health.ts"
import { type Member, Pool } from "../../src/services/Pool.ts"
import { healthPath, type Limit, type Name, names, origin, type Scenario } from "./Scenario.ts"

const {
  breaksOff,
  delayed,
  down,
  during,
  freezes,
  garbles,
  hangs,
  onPath,
  refuses,
  repeats,
  resets,
  respond,
  stalls,
  trickles
} = FakeBackends

const from = 1_550
const illTime = 5_000
const until = from + illTime
const ill = { from, until }
const downTime = 1_000
const restartTime = 200
const pause = 2_000

/** When the turn of a backend comes, where each has one. */
const turnOf = (name: Name): number => from + names.indexOf(name) * pause

/** The first backend is ill, and its checks see nothing of it. */
const unseen =
  (illness: (well: FakeBackends.Behaviour) => FakeBackends.Behaviour): NonNullable<Scenario["behave"]> =>
  (name, well) => name === "a" ? onPath(healthPath, well, during(ill, illness(well), well)) : well

const first =
  (change: (well: FakeBackends.Behaviour) => FakeBackends.Behaviour): NonNullable<Scenario["behave"]> => (name, well) =>
    name === "a" ? change(well) : well

const kills = 4

/** Until the balancer knows that all are well: who is killed before the others were seen to be back is missed. */
const allUp = Effect.gen(function*() {
  const { changes } = yield* Pool
  const isUp = ({ health }: Member): boolean => status(health) === "Up"
  yield* Stream.runHead(Stream.filter(changes, ({ members }) => members.every(isUp)))
})

/** At any moment, but the next only when what the last one has cut can be over: nobody is asked more than twice. */
const killAtAnyMoment = Effect.gen(function*() {
  const { start, stop } = yield* FakeBackends.FakeBackends
  for (let kill = 0; kill < kills; kill++) {
    yield* Effect.sleep(yield* Random.nextBetween(50, 600))
    const victim = origin(names[yield* Random.nextIntBetween(0, names.length)] ?? "a")
    yield* stop(victim)
    yield* Effect.sleep(yield* Random.nextBetween(20, 900))
    yield* start(victim)
    yield* allUp
  }
})

/** A backend that is drained may be killed: nobody uses it. */
const drainAndRestart = Effect.gen(function*() {
  const { start, stop } = yield* FakeBackends.FakeBackends
  const pool = yield* Pool
  for (const name of names) {
    yield* Effect.sleep(restartTime)
    const { members } = yield* Ref.get(pool.state)
    const { backend, load } = members[names.indexOf(name)]!.endpoint
    const setMode = (mode: Mode) => pool.signal(backend.id, { _tag: "ModeSet", mode, why: "a restart" })
    yield* setMode("Draining")
    while (load.inFlight > 0) yield* Effect.sleep(1)
    yield* stop(backend.origin)
    yield* Effect.sleep(restartTime)
    yield* start(backend.origin)
    yield* setMode("Ready")
  }
})

const few: Limit = { get: 0, post: 6 }

export const scenarios: ReadonlyArray<Scenario> = [
  {
    title: "killed, back after 5 s",
    limit: { get: 0, post: 0 },
    behave: first((well) => down(ill, well)),
    kills: [from],
    wellFrom: until
  },
  {
    title: "stopped (SIGSTOP), continued",
    limit: { get: 0, post: 8, slow: 40 },
    behave: first((well) => freezes(ill, well)),
    wellFrom: until
  },
  {
    title: "resets the connection after the request, or closes it",
    limit: few,
    behave: unseen(() => resets),
    wellFrom: until
  },
  {
    title: "cuts the answer half-way",
    limit: { failed: 12 },
    behave: unseen((well) => breaksOff(100, well)),
    wellFrom: until
  },
  {
    title: "answers 503 to everything, its health path included",
    limit: { get: 0, post: 8 },
    behave: first((well) => during(ill, respond("ill", { status: 503 }), well)),
    wellFrom: until
  },
  {
    title: "answers in 1.5 s, health path in 0",
    limit: { get: 0, post: 0, slow: 40 },
    behave: unseen((well) => delayed(1_480, well)),
    wellFrom: until
  },
  {
    title: "two of three killed",
    limit: { get: 0, post: 0 },
    behave: (name, well) => name === "c" ? well : down(ill, well),
    kills: [from],
    wellFrom: until
  },
  {
    title: "each restarted gracefully in turn",
    limit: { get: 0, post: 0 },
    behave: (name, well) => during({ from: turnOf(name), until: turnOf(name) + restartTime }, refuses, well),
    wellFrom: turnOf("c") + restartTime
  },
  {
    title: "each killed in turn",
    limit: { get: 0, post: 1 },
    behave: (name, well) => down({ from: turnOf(name), until: turnOf(name) + downTime }, well),
    kills: names.map(turnOf),
    wellFrom: turnOf("c") + downTime
  },
  { title: "answers what is no HTTP", limit: few, behave: unseen(() => garbles), wellFrom: until },
  {
    title: "never begins to answer",
    limit: { get: 0, post: 8, slow: 40 },
    behave: unseen(() => hangs),
    wellFrom: until,
    staysUneven: true
  },
  {
    title: "never ends its answer",
    limit: { failed: 40 },
    behave: unseen((well) => stalls(100, well)),
    wellFrom: until,
    staysUneven: true
  },
  {
    title: "refuses connections",
    limit: { get: 0, post: 0, slow: 0 },
    behave: first((well) => during(ill, refuses, well)),
    wellFrom: until
  },
  {
    title: "trickles its answer",
    limit: { get: 0, post: 0, slow: 40 },
    behave: unseen((well) => trickles(20, 100, well)),
    wellFrom: until
  },
  {
    title: "dead for 300 ms of each second",
    limit: { get: 0, post: 0 },
    behave: first((well) => during({ until }, repeats(1_000, down({ from: 700 }, well)), well)),
    kills: [0, 1, 2, 3, 4, 5].map((second) => second * 1_000 + 700),
    wellFrom: until
  },
  {
    title: `one killed at any moment, ${kills} times, GETs only`,
    limit: { get: 0 },
    methods: { GET: 1 },
    meanwhile: killAtAnyMoment,
    wellFrom: 10_000,
    staysUneven: true
  },
  {
    title: "each drained and restarted in turn, GET, POST, PUT and DELETE",
    limit: { get: 0, post: 0 },
    methods: { GET: 4, POST: 2, PUT: 1, DELETE: 1 },
    meanwhile: drainAndRestart,
    wellFrom: 2_000
  }
]
