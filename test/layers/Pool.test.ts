import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Scheduler from "effect/Scheduler"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { type Backend, make } from "../../src/services/Backend.ts"
import * as Health from "../../src/services/Health.ts"
import { canServe, defaultPolicy, empty, Pool, type PoolState } from "../../src/services/Pool.ts"
import { backend, idsOf, moved } from "../endpoints.ts"

const passed: Health.Signal = { _tag: "ProbePassed", why: "status: 200" }
const failed: Health.Signal = { _tag: "ProbeFailed", why: "Connection refused" }

const withPool = Effect.provide(PoolLayer.layer())

const current = Effect.flatMap(Pool, ({ state }) => Ref.get(state))
const reconcile = (...backends: ReadonlyArray<Backend>) => Effect.flatMap(Pool, (pool) => pool.reconcile(backends))
const signal = (id: string, signal: Health.Signal) => Effect.flatMap(Pool, (pool) => pool.signal(id, signal))

const a = backend("a")
const b = backend("b")
const c = backend("c")

/** Who is a member, in order, and how each is. */
const summary = ({ members }: PoolState): ReadonlyArray<string> =>
  members.map(({ endpoint, health }) => `${endpoint.backend.id} ${Health.status(health)}`)

const memberOf = (state: PoolState, id: string) => {
  const member = state.members.find((member) => member.endpoint.backend.id === id)
  assert(member !== undefined, `${id} is no member`)
  return member
}

describe("reconcile", () => {
  it.effect("starts from a pool without members", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* current, empty)
    }).pipe(withPool))

  it.effect("admits backends in the order of the configuration, ready for traffic", () =>
    Effect.gen(function*() {
      yield* reconcile(b, a, c)
      const state = yield* current
      assert.deepStrictEqual(summary(state), ["b Checking", "a Checking", "c Checking"])
      assert.deepStrictEqual(idsOf(state.eligible), ["b", "a", "c"])
      assert.strictEqual(state.eligible[0], state.members[0]?.endpoint)
    }).pipe(withPool))

  it.effect("is idempotent: the same set again leaves the same snapshot", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      const before = yield* current
      yield* reconcile(backend("a"), backend("b"))
      assert.strictEqual(yield* current, before)
    }).pipe(withPool))

  it.effect("follows a change of order, and keeps everything else", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* signal("a", failed)
      const before = yield* current
      yield* reconcile(b, a)
      const state = yield* current
      assert.deepStrictEqual(summary(state), ["b Checking", "a Down"])
      assert.strictEqual(memberOf(state, "a"), memberOf(before, "a"))
    }).pipe(withPool))

  it.effect("keeps the load object and the health over a change of weight", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* signal("a", failed)
      const before = memberOf(yield* current, "a")
      before.endpoint.load.inFlight = 5
      yield* reconcile(backend("a", 7), b)
      const after = memberOf(yield* current, "a")
      assert.strictEqual(after.endpoint.backend.weight, 7)
      assert.strictEqual(after.endpoint.load, before.endpoint.load)
      assert.strictEqual(after.health, before.health)
    }).pipe(withPool))

  it.effect.each([{ tier: 1 }, { zone: "x" }])(
    "gives pickers a new list when only this changed: %j",
    (change) =>
      Effect.gen(function*() {
        yield* reconcile(a, b)
        const before = yield* current
        yield* reconcile(make(a.origin, { id: "a", ...change }), b)
        const after = yield* current
        assert.deepInclude(after.eligible[0]?.backend, change)
        assert.strictEqual(after.eligible[0]?.load, before.eligible[0]?.load)
      }).pipe(withPool)
  )

  it.effect("gives pickers a new list when only a weight changed", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      const before = yield* current
      yield* reconcile(backend("a", 7), b)
      const after = yield* current
      assert.notStrictEqual(after.eligible, before.eligible)
      assert.strictEqual(after.eligible[0]?.backend.weight, 7)
      // Everybody is where they were.
      assert.strictEqual(after.positions, before.positions)
    }).pipe(withPool))

  it.effect("forgets who left: a backend that comes back starts anew", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* signal("a", failed)
      const before = memberOf(yield* current, "a")
      yield* reconcile(b)
      assert.deepStrictEqual(summary(yield* current), ["b Checking"])
      yield* reconcile(a, b)
      const after = memberOf(yield* current, "a")
      assert.strictEqual(after.health, Health.initial)
      assert.notStrictEqual(after.endpoint.load, before.endpoint.load)
    }).pipe(withPool))

  it.effect("keeps for one that has moved what checks have found, and not what it had at its old place", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* signal("a", failed)
      const before = memberOf(yield* current, "a")
      yield* reconcile(moved("a"), b)
      const after = memberOf(yield* current, "a")
      assert.strictEqual(after.health, before.health)
      assert.notStrictEqual(after.endpoint.load, before.endpoint.load)
    }).pipe(withPool))

  it.effect("lets the last of several backends with the same id count", () =>
    Effect.gen(function*() {
      yield* reconcile(backend("a", 2), b, backend("a", 9))
      const state = yield* current
      assert.deepStrictEqual(summary(state), ["a Checking", "b Checking"])
      assert.strictEqual(memberOf(state, "a").endpoint.backend.weight, 9)
    }).pipe(withPool))

  it.effect("can empty the pool", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* reconcile()
      assert.deepStrictEqual(yield* current, empty)
    }).pipe(withPool))
})

describe("signal", () => {
  it.effect("takes a failing backend out of the eligible list and brings it back to its place", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b, c)
      yield* signal("b", failed)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["a", "c"])
      assert.deepStrictEqual(summary(yield* current), ["a Checking", "b Down", "c Checking"])
      yield* signal("b", passed)
      yield* signal("b", passed)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["a", "b", "c"])
    }).pipe(withPool))

  it.effect("keeps the identity of the eligible list while its content is the same", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      const before = yield* current
      // Checking becomes Up: another health, the same list.
      yield* signal("a", passed)
      const after = yield* current
      assert.notStrictEqual(after, before)
      assert.strictEqual(after.eligible, before.eligible)
      yield* signal("a", failed)
      assert.notStrictEqual((yield* current).eligible, before.eligible)
    }).pipe(withPool))

  it.effect("leaves the same snapshot when nothing changed", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* signal("a", passed)
      const before = yield* current
      yield* signal("a", passed)
      assert.strictEqual(yield* current, before)
    }).pipe(withPool))

  it.effect("ignores an id that is no member", () =>
    Effect.gen(function*() {
      yield* reconcile(a)
      const before = yield* current
      yield* signal("nobody", failed)
      assert.strictEqual(yield* current, before)
    }).pipe(withPool))

  it.effect("judges by the policy of the pool and the time of the clock", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* signal("a", passed)
      yield* signal("a", failed)
      assert.deepStrictEqual(summary(yield* current), ["a Up", "b Checking"])
      yield* TestClock.adjust("1 minute")
      yield* signal("a", { _tag: "Tripped", why: "5 failures in a row" })
      assert.deepStrictEqual(memberOf(yield* current, "a").health.circuit, { _tag: "Open", until: 61_000, trips: 1 })
      yield* TestClock.adjust("1 second")
      yield* signal("a", { _tag: "Elapsed" })
      assert.deepStrictEqual(summary(yield* current), ["a Trial", "b Checking"])
    }).pipe(Effect.provide(PoolLayer.layer({ ...defaultPolicy, fall: 2, ejectionTime: Duration.seconds(1) }))))
})

const tripped: Health.Signal = { _tag: "Tripped", why: "5 failures in a row" }

/** Backends that have passed a check. */
const up = (...backends: ReadonlyArray<Backend>) =>
  Effect.andThen(
    reconcile(...backends),
    Effect.forEach(backends, ({ id }) => signal(id, passed), { discard: true })
  )

describe("ejections", () => {
  it.effect("are at most half of the pool", () =>
    Effect.gen(function*() {
      const all = ["a", "b", "c", "d", "e"]
      yield* up(...all.map((id) => backend(id)))
      for (const id of all) yield* signal(id, tripped)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["c", "d", "e"])
    }).pipe(withPool))

  it.effect("may take a whole tier where a backup is well", () =>
    Effect.gen(function*() {
      yield* up(a, b, make("http://c.test", { id: "c", tier: 1 }))
      for (const id of ["a", "b", "c"]) yield* signal(id, tripped)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["c"])
    }).pipe(withPool))

  it.effect("spare the last one that can be used, whatever share is allowed", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      yield* signal("a", failed)
      for (const id of ["b", "c"]) yield* signal(id, tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Down", "b Ejected", "c Up"])
    }).pipe(Effect.provide(PoolLayer.layer({ ...defaultPolicy, maxEjected: 1, panicThreshold: 0 }))))

  it.effect("spare the only one there is", () =>
    Effect.gen(function*() {
      yield* up(a)
      yield* signal("a", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Up"])
    }).pipe(withPool))

  it.effect("count who is on trial as one who is out: that is one request at a time", () =>
    Effect.gen(function*() {
      yield* up(a, b, c, backend("d"))
      for (const id of ["a", "b"]) yield* signal(id, tripped)
      for (const id of ["a", "b"]) yield* signal(id, passed)
      for (const id of ["c", "d"]) yield* signal(id, tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Trial", "b Trial", "c Up", "d Up"])
    }).pipe(withPool))

  it.effect("do not count one that its checks have taken out, whether it was ejected before that or not", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      yield* signal("a", tripped)
      yield* signal("a", failed)
      yield* signal("b", tripped)
      yield* signal("c", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Down", "b Ejected", "c Up"])
    }).pipe(withPool))

  it.effect("do not count one that its checks take out during its trial", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      yield* signal("a", tripped)
      yield* signal("a", passed)
      yield* signal("a", failed)
      assert.strictEqual(memberOf(yield* current, "a").health.circuit._tag, "Trial")
      yield* signal("b", tripped)
      yield* signal("c", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Down", "b Ejected", "c Up"])
    }).pipe(withPool))

  it.effect("count those as well where nobody is well, and the checks of all fail", () =>
    Effect.gen(function*() {
      const all = ["a", "b", "c", "d", "e"]
      yield* up(...all.map((id) => backend(id)))
      for (const id of all) yield* signal(id, { ...failed, answered: true })
      for (const id of all) yield* signal(id, tripped)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["c", "d", "e"])
    }).pipe(withPool))

  it.effect("do not wait for the trial of one that nobody asks, such as one whose clients stay elsewhere", () =>
    Effect.gen(function*() {
      for (const backends of [[a, b, c], [a, b]]) {
        yield* up(...backends)
        yield* signal("a", tripped)
        yield* signal("a", passed)
        yield* TestClock.adjust("4999 millis")
        yield* signal("b", tripped)
        assert.strictEqual(Health.status(memberOf(yield* current, "b").health), "Up")
        yield* TestClock.adjust("1 millis")
        yield* signal("b", tripped)
        assert.strictEqual(Health.status(memberOf(yield* current, "b").health), "Ejected")
        yield* reconcile()
      }
    }).pipe(withPool))

  it.effect("wait for a trial that is under way, however long it takes", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      yield* signal("a", tripped)
      yield* signal("a", passed)
      memberOf(yield* current, "a").endpoint.load.inFlight = 1
      yield* TestClock.adjust("1 minute")
      yield* signal("b", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Trial", "b Up", "c Up"])
    }).pipe(withPool))

  it.effect("spare the last one also where its trial had to wait for a request", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      yield* signal("a", tripped)
      yield* signal("a", passed)
      yield* signal("b", failed)
      yield* TestClock.adjust("1 minute")
      yield* signal("a", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Trial", "b Down"])
    }).pipe(withPool))

  it.effect("spare the last one beside one that is on trial, whatever share is allowed", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      yield* signal("a", tripped)
      yield* signal("a", passed)
      yield* signal("b", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Trial", "b Up"])
    }).pipe(Effect.provide(PoolLayer.layer({ ...defaultPolicy, maxEjected: 1 }))))

  it.effect("may take a whole tier where a backup is on a trial that nobody asks for", () =>
    Effect.gen(function*() {
      yield* up(a, b, make("http://c.test", { id: "c", tier: 1 }))
      yield* signal("c", tripped)
      yield* signal("c", passed)
      yield* TestClock.adjust("1 minute")
      for (const id of ["a", "b"]) yield* signal(id, tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Ejected", "b Ejected", "c Trial"])
    }).pipe(withPool))

  it.effect("are no more than the share of a pool that has shrunk, also for who does not stand the trial", () =>
    Effect.gen(function*() {
      yield* up(a, b, c, backend("d"))
      yield* signal("a", tripped)
      yield* signal("b", tripped)
      yield* signal("a", passed)
      yield* reconcile(a, b, c)
      yield* signal("a", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Trial", "b Ejected", "c Up"])
    }).pipe(withPool))

  it.effect("take who does not stand the trial, where one other is left", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      yield* signal("a", tripped)
      yield* signal("a", passed)
      yield* signal("a", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Ejected", "b Up"])
    }).pipe(withPool))

  it.effect("may take one that drains, whom only its sessions miss, wherever another one is well", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      for (const id of ["a", "b"]) yield* signal(id, { _tag: "ModeSet", mode: "Draining", why: "deploy" })
      for (const id of ["a", "b", "c"]) yield* signal(id, tripped)
      const circuits = (yield* current).members.map(({ health }) => health.circuit._tag)
      assert.deepStrictEqual(circuits, ["Open", "Open", "Closed"])
      yield* signal("c", failed)
      yield* signal("a", passed)
      yield* signal("a", tripped)
      assert.strictEqual(memberOf(yield* current, "a").health.circuit._tag, "Trial")
    }).pipe(withPool))

  it.effect("leave backends that the operator has taken out uncounted", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      yield* signal("c", { _tag: "ModeSet", mode: "Draining", why: "deploy" })
      yield* signal("a", tripped)
      yield* signal("b", tripped)
      assert.deepStrictEqual(summary(yield* current), ["a Ejected", "b Up", "c Draining"])
    }).pipe(withPool))
})

describe("backends that were not checked yet", () => {
  const withCaution = Effect.provide(PoolLayer.layer({ ...defaultPolicy, initial: "checking" }))
  const offered = Effect.map(current, ({ eligible }) => idsOf(eligible))
  const spare = (id: string): Backend => make(`http://${id}.test`, { id, tier: 1 })

  it.effect("have traffic until as many others have passed their checks, and then wait for theirs", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b, c)
      assert.deepStrictEqual(yield* offered, ["a", "b", "c"])
      yield* signal("b", passed)
      assert.deepStrictEqual(yield* offered, ["a", "b", "c"])
      yield* signal("c", passed)
      assert.deepStrictEqual(yield* offered, ["b", "c"])
      yield* signal("a", passed)
      assert.deepStrictEqual(yield* offered, ["a", "b", "c"])
    }).pipe(withCaution))

  it.effect("wait when they join others that are well, and help when those fail", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      yield* reconcile(a, b, c)
      assert.deepStrictEqual(yield* offered, ["a", "b"])
      yield* signal("a", failed)
      assert.deepStrictEqual(yield* offered, ["b"])
      yield* signal("b", failed)
      assert.deepStrictEqual(yield* offered, ["c"])
    }).pipe(withCaution))

  it.effect("do not wait for one that is on trial itself", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      yield* signal("a", tripped)
      yield* signal("a", passed)
      yield* reconcile(a, c)
      assert.deepStrictEqual(summary(yield* current), ["a Trial", "c Checking"])
      assert.deepStrictEqual(yield* offered, ["a", "c"])
    }).pipe(withCaution))

  it.effect("have the traffic rather than a backup that has passed", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b, spare("d"), spare("e"))
      yield* signal("d", passed)
      assert.deepStrictEqual(yield* offered, ["a", "b", "d", "e"])
    }).pipe(withCaution))

  it.effect("wait in a later tier, too, as soon as that has the traffic", () =>
    Effect.gen(function*() {
      yield* reconcile(a, spare("d"), spare("e"))
      yield* signal("a", passed)
      yield* signal("d", passed)
      assert.deepStrictEqual(yield* offered, ["a", "d", "e"])
      yield* signal("a", failed)
      assert.deepStrictEqual(yield* offered, ["d"])
    }).pipe(withCaution))

  it.effect("take part in a panic", () =>
    Effect.gen(function*() {
      const [d, e] = [backend("d"), backend("e")]
      yield* up(a, b, c, d)
      yield* reconcile(a, b, c, d, e)
      for (const id of ["a", "b", "c"]) yield* signal(id, { ...failed, answered: true })
      assert.deepStrictEqual(yield* offered, ["a", "b", "c", "d", "e"])
    }).pipe(withCaution))

  it.effect("wait a hundred at a time at the most, so that the eligible do not change with each of a thousand", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 300 }, (_, i) => backend(`${i}`))
      yield* reconcile(...many)
      const before = yield* offered
      for (const { id } of many.slice(0, 199)) yield* signal(id, passed)
      assert.deepStrictEqual(yield* offered, before)
      yield* signal("199", passed)
      assert.lengthOf(yield* offered, 200)
    }).pipe(withCaution))
})

describe("panic", () => {
  const sick: Health.Signal = { _tag: "ProbeFailed", why: "status: 500", answered: true }
  const silent: Health.Signal = { _tag: "ProbeFailed", why: "no answer within 2s", silent: true }
  const spare = (id: string): Backend => make(`http://${id}.test`, { id, tier: 1 })

  it.effect("offers those that answer but fail their checks when less than half of the pool is well", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      yield* signal("a", sick)
      assert.isFalse((yield* current).panic)
      yield* signal("b", sick)
      const state = yield* current
      assert.isTrue(state.panic)
      assert.deepStrictEqual(idsOf(state.eligible), ["a", "b", "c"])
      assert.deepStrictEqual(summary(state), ["a Down", "b Down", "c Up"])
    }).pipe(withPool))

  it.effect("offers nobody whom real traffic has ejected, who does not answer, or whom the operator has taken out", () =>
    Effect.gen(function*() {
      const [d, e] = [backend("d"), backend("e")]
      yield* up(a, b, c, d, e)
      yield* signal("e", sick)
      yield* signal("a", tripped)
      yield* signal("b", failed)
      yield* signal("c", { _tag: "ModeSet", mode: "Disabled", why: "maintenance" })
      const state = yield* current
      assert.isTrue(state.panic)
      assert.deepStrictEqual(idsOf(state.eligible), ["d", "e"])
    }).pipe(withPool))

  it.effect("lets real traffic eject those whose checks fail, however many they are", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      for (const id of ["a", "b"]) yield* signal(id, sick)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["a", "b", "c"])
      for (const id of ["a", "b"]) yield* signal(id, tripped)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["c"])
    }).pipe(withPool))

  it.effect("lets real traffic eject at most half where the checks of all fail, and never the last one", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      for (const id of ["a", "b", "c"]) yield* signal(id, sick)
      for (const id of ["a", "b", "c"]) yield* signal(id, tripped)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["b", "c"])
      yield* reconcile(b)
      yield* signal("b", tripped)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["b"])
    }).pipe(withPool))

  it.effect("is none where it would offer nobody more", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      yield* signal("a", failed)
      yield* signal("b", failed)
      const state = yield* current
      assert.isFalse(state.panic)
      assert.deepStrictEqual(idsOf(state.eligible), ["c"])
    }).pipe(withPool))

  it.effect("offers those whose checks got no answer where nobody is better, and nobody whose checks were refused", () =>
    Effect.gen(function*() {
      yield* up(a, b, c)
      yield* signal("a", silent)
      yield* signal("b", silent)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["c"])
      yield* signal("c", failed)
      const state = yield* current
      assert.isTrue(state.panic)
      assert.deepStrictEqual(idsOf(state.eligible), ["a", "b"])
      yield* signal("b", sick)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["b"])
      yield* signal("b", failed)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["a"])
      yield* signal("a", failed)
      assert.deepStrictEqual(idsOf((yield* current).eligible), [])
    }).pipe(withPool))

  it.effect("offers one that is back from the first check that it passes, however many more it has to pass", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      for (const id of ["a", "b"]) yield* signal(id, failed)
      assert.deepStrictEqual(idsOf((yield* current).eligible), [])
      yield* signal("a", passed)
      assert.deepStrictEqual(summary(yield* current), ["a Down", "b Down"])
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["a"])
      yield* signal("a", failed)
      assert.deepStrictEqual(idsOf((yield* current).eligible), [])
    }).pipe(withPool))

  it.effect("is none where the threshold is 0, whatever the checks say", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      yield* signal("a", silent)
      yield* signal("b", sick)
      assert.deepStrictEqual(idsOf((yield* current).eligible), [])
    }).pipe(Effect.provide(PoolLayer.layer({ ...defaultPolicy, panicThreshold: 0 }))))

  it.effect("ends when half of the pool is well again", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      for (const id of ["a", "b"]) yield* signal(id, sick)
      assert.isTrue((yield* current).panic)
      yield* signal("a", passed)
      yield* signal("a", passed)
      const state = yield* current
      assert.isFalse(state.panic)
      assert.deepStrictEqual(idsOf(state.eligible), ["a"])
    }).pipe(withPool))

  it.effect("follows a backend that stops answering altogether", () =>
    Effect.gen(function*() {
      yield* up(a, b)
      for (const id of ["a", "b"]) yield* signal(id, sick)
      yield* signal("b", failed)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["a"])
    }).pipe(withPool))

  it.effect("is none where backups are well: they get the traffic, and not those whose checks fail", () =>
    Effect.gen(function*() {
      yield* up(a, b, spare("d"))
      for (const id of ["a", "b"]) yield* signal(id, sick)
      const state = yield* current
      assert.isFalse(state.panic)
      assert.deepStrictEqual(idsOf(state.eligible), ["d"])
    }).pipe(withPool))

  it.effect("counts the tier that has the traffic only", () =>
    Effect.gen(function*() {
      yield* up(a, b, c, spare("d"), spare("e"))
      yield* signal("e", sick)
      yield* signal("a", sick)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["b", "c", "d"])
      yield* signal("b", sick)
      const state = yield* current
      assert.isTrue(state.panic)
      assert.deepStrictEqual(idsOf(state.eligible), ["a", "b", "c", "d"])
    }).pipe(withPool))

  it.effect("goes over to the ill ones of a later tier when that gets the traffic", () =>
    Effect.gen(function*() {
      yield* up(a, b, c, spare("d"), spare("e"), spare("f"))
      for (const id of ["b", "c", "e", "f"]) yield* signal(id, sick)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["a", "b", "c", "d"])
      yield* signal("a", failed)
      assert.deepStrictEqual(idsOf((yield* current).eligible), ["d", "e", "f"])
    }).pipe(withPool))

  it.effect("is off with a threshold of nothing", () =>
    Effect.gen(function*() {
      yield* up(a)
      yield* signal("a", sick)
      assert.deepInclude(yield* current, { panic: false, eligible: [] })
    }).pipe(Effect.provide(PoolLayer.layer({ ...defaultPolicy, panicThreshold: 0 }))))
})

describe("changes", () => {
  it.effect("gives the current snapshot and then each later one", () =>
    Effect.gen(function*() {
      yield* reconcile(a)
      const pool = yield* Pool
      const seen = yield* Queue.unbounded<ReadonlyArray<string>>()
      yield* Effect.forkChild(Stream.runForEach(pool.changes, (state) => Queue.offer(seen, summary(state))))
      assert.deepStrictEqual(yield* Queue.take(seen), ["a Checking"])
      yield* reconcile(a, b)
      assert.deepStrictEqual(yield* Queue.take(seen), ["a Checking", "b Checking"])
      yield* signal("b", failed)
      assert.deepStrictEqual(yield* Queue.take(seen), ["a Checking", "b Down"])
      yield* reconcile(b)
      assert.deepStrictEqual(yield* Queue.take(seen), ["b Down"])
    }).pipe(withPool))

  it.effect("begins with the empty pool when discovery has not spoken", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      assert.deepStrictEqual(yield* Stream.runHead(pool.changes), yield* Effect.succeedSome(empty))
    }).pipe(withPool))

  it.effect("says nothing when nothing changed", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      const seen = yield* Queue.unbounded<ReadonlyArray<string>>()
      yield* Effect.forkChild(Stream.runForEach(pool.changes, (state) => Queue.offer(seen, summary(state))))
      assert.deepStrictEqual(yield* Queue.take(seen), [])
      yield* reconcile(a)
      yield* reconcile(a)
      yield* signal("nobody", failed)
      yield* reconcile(b)
      assert.deepStrictEqual(yield* Queue.take(seen), ["a Checking"])
      assert.deepStrictEqual(yield* Queue.take(seen), ["b Checking"])
    }).pipe(withPool))

  it.effect("shows the last snapshot to a subscriber that cannot keep up", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      const slow = yield* Queue.bounded<PoolState>(1)
      yield* Effect.forkChild(Stream.runForEach(pool.changes, (state) => Queue.offer(slow, state)))
      assert.strictEqual(yield* Queue.take(slow), empty)
      for (let i = 0; i < 500; i++) yield* reconcile(backend(`b${i}`))
      const last = yield* current
      let seen = 1
      while ((yield* Queue.take(slow)) !== last) seen++
      assert.isBelow(seen, 100)
      assert.deepStrictEqual(summary(last), ["b499 Checking"])
    }).pipe(withPool))

  it.effect("serves several subscribers, each in full", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      const follow = Stream.runCollect(Stream.take(pool.changes, 3)).pipe(
        Effect.map((states) => Array.from(states, (state) => state.members.length)),
        Effect.forkChild({ startImmediately: true })
      )
      const followers = [yield* follow, yield* follow]
      yield* reconcile(a)
      yield* reconcile(a, b)
      assert.deepStrictEqual(yield* Effect.forEach(followers, Fiber.join), [[0, 1, 2], [0, 1, 2]])
    }).pipe(withPool))
})

// A scheduler that gives way after every few operations runs through the interleavings that a busy
// process meets now and then.
const eager = (operations: number) => Effect.provideService(Scheduler.MaxOpsBeforeYield, operations)

describe("concurrent updates", () => {
  const ids = Array.from({ length: 30 }, (_, i) => `b${i}`)

  it.effect.each([3, 4, 5, 7])(
    "lose no signal when fibers give way every %d operations",
    (operations) =>
      Effect.gen(function*() {
        yield* reconcile(...ids.map((id) => backend(id)))
        yield* Effect.forEach(ids, (id) => signal(id, failed), { concurrency: "unbounded" })
        assert.deepStrictEqual(summary(yield* current), ids.map((id) => `${id} Down`))
      }).pipe(eager(operations), withPool)
  )

  it.effect.each([3, 4, 5, 7])(
    "lose neither members nor signals to each other (%d operations)",
    (operations) =>
      Effect.gen(function*() {
        yield* reconcile(...ids.map((id) => backend(id)))
        yield* Effect.all([
          ...ids.map((id) => signal(id, failed)),
          ...[2, 3, 4].map((weight) => reconcile(...[...ids, "new"].map((id) => backend(id, weight)))),
          ...ids.map((id) => signal(id, passed))
        ], { concurrency: "unbounded" })
        // Order is not promised between the two signals of one backend; that both arrived is.
        for (const { health } of (yield* current).members.slice(0, ids.length)) {
          assert.notStrictEqual(health, Health.initial)
        }
        assert.strictEqual((yield* current).members.length, ids.length + 1)
        assert((yield* current).members.every(({ endpoint }) => endpoint.backend.weight === 4))
      }).pipe(eager(operations), withPool)
  )

  it.effect.each([3, 4, 5, 7])(
    "are shown in the order in which they happened (%d operations)",
    (operations) =>
      Effect.gen(function*() {
        const pool = yield* Pool
        yield* reconcile(...ids.map((id) => backend(id)))
        yield* Effect.forEach(ids, (id) => signal(id, failed), { concurrency: "unbounded" })
        const [shown] = yield* Stream.runCollect(Stream.take(pool.changes, 1))
        assert.strictEqual(shown, yield* current)
      }).pipe(eager(operations), withPool)
  )

  it.effect("have what has changed in common, but not all that ever has", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      const before = yield* current
      yield* signal("a", passed)
      yield* signal("b", passed)
      const after = yield* current
      assert.strictEqual(after.journal, before.journal)
      for (let i = 0; i < 5_000; i++) yield* signal("a", i % 2 ? passed : failed)
      const { journal } = yield* current
      assert.notStrictEqual(journal, before.journal)
      assert.isAtMost(journal.length, 2_000)
    }).pipe(withPool))

  it.effect("are shown even when the updating fiber is interrupted meanwhile", () =>
    Effect.gen(function*() {
      const pool = yield* Pool
      for (let patience = 0; patience < 60; patience++) {
        yield* reconcile(backend("a", 1))
        const fiber = yield* Effect.forkChild(reconcile(backend("a", 2)))
        for (let i = 0; i < patience; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        const [shown] = yield* Stream.runCollect(Stream.take(pool.changes, 1))
        assert.strictEqual(shown, yield* current, `interrupted after ${patience} turns`)
      }
    }).pipe(eager(3), withPool))
})

describe("canServe", () => {
  const failedWithAnswer: Health.Signal = { ...failed, answered: true }
  const drained: Health.Signal = { _tag: "ModeSet", mode: "Draining", why: "deploy" }

  it.effect.each<
    readonly [what: string, ofA: ReadonlyArray<Health.Signal>, ofB: ReadonlyArray<Health.Signal>, boolean]
  >([
    ["nobody was checked yet", [], [], true],
    ["one is well", [passed], [failed], true],
    ["nobody answers", [failed], [failed], false],
    ["nobody gives the right answer", [failedWithAnswer], [failedWithAnswer], true],
    ["all drain", [passed, drained], [passed, drained], false],
    ["who is left is ejected", [passed, tripped], [failed], true],
    ["who is ejected does not answer either", [passed, tripped, failed], [failed], false]
  ])("where %s", ([, ofA, ofB, expected]) =>
    Effect.gen(function*() {
      assert.isFalse(canServe(yield* current))
      yield* reconcile(a, b)
      for (const one of ofA) yield* signal("a", one)
      for (const one of ofB) yield* signal("b", one)
      assert.strictEqual(canServe(yield* current), expected)
    }).pipe(withPool))
})
