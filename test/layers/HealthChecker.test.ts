import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/testing/TestClock"
import * as HealthChecker from "../../src/layers/HealthChecker.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import type { Backend } from "../../src/services/Backend.ts"
import * as Health from "../../src/services/Health.ts"
import { defaultTimetable, type Timetable } from "../../src/services/HealthChecker.ts"
import { Pool } from "../../src/services/Pool.ts"
import { Probe, ProbeFailed, ProbeSkipped } from "../../src/services/Probe.ts"
import { backend } from "../endpoints.ts"

const refused = ProbeFailed.make({ message: "Connection refused" })
const passes = Effect.succeed("status: 200")

/** Checks that were begun, with the time of the clock. */
class Journal {
  readonly begun: Array<{ readonly id: string; readonly origin: string; readonly at: number }> = []

  timesOf(id: string): ReadonlyArray<number> {
    return this.begun.filter((check) => check.id === id).map(({ at }) => at)
  }

  /** Milliseconds between one check of a backend and the next. */
  gapsOf(id: string): ReadonlyArray<number> {
    const times = this.timesOf(id)
    return times.slice(1).map((at, i) => at - times[i]!)
  }
}

type Check = (backend: Backend) => Effect.Effect<string, ProbeFailed | ProbeSkipped>

/** The checker over an empty pool, with a probe that keeps a journal. */
const checking =
  (journal: Journal, check: Check, seed = 1, timetable?: Timetable) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(
      Effect.provide(
        HealthChecker.layer(timetable).pipe(
          Layer.provideMerge(PoolLayer.layer()),
          Layer.provide(Layer.effect(
            Probe,
            Effect.map(Clock.Clock, (clock) => ({
              check: (backend: Backend) => {
                journal.begun.push({ id: backend.id, origin: backend.origin, at: clock.currentTimeMillisUnsafe() })
                return check(backend)
              }
            }))
          ))
        )
      ),
      Random.withSeed(seed)
    )

const reconcile = (...backends: ReadonlyArray<Backend>) => Effect.flatMap(Pool, (pool) => pool.reconcile(backends))
const a = backend("a")
const b = backend("b")
const c = backend("c")

const statusOf = (id: string) =>
  Effect.gen(function*() {
    const { state } = yield* Pool
    const member = (yield* Ref.get(state)).members.find((member) => member.endpoint.backend.id === id)
    return member === undefined ? undefined : Health.status(member.health)
  })

const whyOf = (id: string) =>
  Effect.gen(function*() {
    const { state } = yield* Pool
    return (yield* Ref.get(state)).members.find((member) => member.endpoint.backend.id === id)?.health.why
  })

/** Lets all fibers run as far as they can get at this moment. */
const settle = TestClock.adjust(0)

describe("first checks", () => {
  it.effect("begin at once and in parallel: all have begun before any has ended", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(a, b, c)
      yield* settle
      assert.deepStrictEqual(journal.begun.map(({ at, id }) => [id, at]), [["a", 0], ["b", 0], ["c", 0]])
      assert.strictEqual(yield* statusOf("a"), "Checking")
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* statusOf("a"), "Up")
      assert.strictEqual(yield* statusOf("c"), "Up")
    }).pipe(checking(journal, () => Effect.delay(passes, "500 millis")))
  })

  it.effect("say what they saw", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* settle
      assert.deepStrictEqual([yield* statusOf("a"), yield* whyOf("a")], ["Up", "status: 200"])
      assert.deepStrictEqual([yield* statusOf("b"), yield* whyOf("b")], ["Down", "Connection refused"])
    }).pipe(checking(new Journal(), ({ id }) => (id === "a" ? passes : refused))))
})

describe("a check that fails", () => {
  it.effect("says neither that there was an answer nor that a request may get one, unless its probe does", () =>
    Effect.gen(function*() {
      yield* reconcile(a, b, c)
      yield* settle
      const { members } = yield* Ref.get((yield* Pool).state)
      assert.deepStrictEqual(
        members.map(({ health }) => [Health.isWorthTrying(health), Health.isSilent(health)]),
        [[false, false], [true, false], [false, true]]
      )
    }).pipe(checking(new Journal(), ({ id }) =>
      ProbeFailed.make({
        message: "no luck",
        ...(id === "b" && { answered: true }),
        ...(id === "c" && { silent: true })
      }))))
})

describe("first checks of many backends", () => {
  const many = (n: number) => Array.from({ length: n }, (_, i) => backend(`b${i}`))

  it.effect("begin at once when they are a hundred", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(...many(100))
      yield* settle
      assert.deepStrictEqual(journal.begun.map(({ at }) => at), Array.from({ length: 100 }, () => 0))
    }).pipe(checking(journal, () => passes))
  })

  it.effect("begin at once for a hundred, and in turn for the others, 2,000 a second", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(...many(1_100))
      for (let turn = 0; turn < 20; turn++) yield* settle
      assert.strictEqual(journal.begun.length, 100)
      for (let at = 0; at < 510; at += 10) {
        const before = journal.begun.length
        yield* TestClock.adjust("10 millis")
        assert.isAtMost(journal.begun.length - before, 60, `from ${at} ms on`)
      }
      assert.strictEqual(new Set(journal.begun.map(({ id }) => id)).size, 1_100)
    }).pipe(checking(journal, () => passes))
  })

  it.effect("give way to everybody else after 16 of them", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* settle
      yield* reconcile(...many(300))
      let before = 0
      for (let turn = 0; turn < 20; turn++) {
        yield* Effect.yieldNow
        assert.isAtMost(journal.begun.length - before, 16)
        before = journal.begun.length
      }
      assert.strictEqual(before, 100)
    }).pipe(checking(journal, () => passes))
  })

  it.effect("begin at once for those who join a large pool", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(...many(1_000))
      yield* TestClock.adjust("2 seconds")
      yield* reconcile(...many(1_000), a)
      yield* settle
      assert.deepStrictEqual(journal.timesOf("a"), [2_000])
    }).pipe(checking(journal, () => passes))
  })
})

describe("the timetable", () => {
  it.effect("checks a healthy backend every 5 s, give or take 10 %, and never twice at the same distance", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("10 minutes")
      const gaps = journal.gapsOf("a")
      assert.isAtLeast(gaps.length, 109)
      for (const gap of gaps) assert.isTrue(gap >= 4_500 && gap <= 5_500, `${gap} ms`)
      assert.isAbove(Math.max(...gaps), 5_300)
      assert.isBelow(Math.min(...gaps), 4_700)
    }).pipe(checking(journal, () => passes))
  })

  it.effect("does not fall into step with other backends", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* TestClock.adjust("1 minute")
      const together = journal.timesOf("a").filter((at) => journal.timesOf("b").includes(at))
      assert.deepStrictEqual(together, [0])
    }).pipe(checking(journal, () => passes))
  })

  it.effect("checks a failing backend every second, give or take 10 %", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("1 minute")
      const gaps = journal.gapsOf("a")
      assert.isAtLeast(gaps.length, 54)
      for (const gap of gaps) assert.isTrue(gap >= 900 && gap <= 1_100, `${gap} ms`)
    }).pipe(checking(journal, () => refused))
  })

  it.effect("checks a backend that fails for long ever less, to every 30 s, and has it back within 36 s all the same", () => {
    const journal = new Journal()
    let isUp = false
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("5 minutes")
      const early = journal.gapsOf("a")
      assert.isAtMost(Math.max(...early), 5_500)
      yield* TestClock.adjust("3 hours")
      const late = journal.gapsOf("a").slice(-50)
      for (const gap of late) assert.isTrue(gap >= 27_000 && gap <= 33_000, `${gap} ms`)
      isUp = true
      yield* TestClock.adjust("36 seconds")
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(checking(journal, () => (isUp ? passes : refused)))
  })

  it.effect("counts from begin to begin, so that slow checks do not make it slower", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("1 minute")
      for (const gap of journal.gapsOf("a")) assert.isTrue(gap >= 4_500 && gap <= 5_500, `${gap} ms`)
    }).pipe(checking(journal, () => Effect.delay(passes, "2 seconds")))
  })

  it.effect("never makes two checks of a backend at once, even when one takes longer than the interval", () => {
    const journal = new Journal()
    let open = 0
    let most = 0
    const slow = Effect.acquireUseRelease(
      Effect.sync(() => most = Math.max(most, ++open)),
      () => Effect.delay(passes, "7 seconds"),
      () => Effect.sync(() => open--)
    )
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(most, 1)
      for (const gap of journal.gapsOf("a")) assert.strictEqual(gap, 7_000)
    }).pipe(checking(journal, () => slow, 1, { ...defaultTimetable, timeout: Duration.seconds(10) }))
  })
})

describe("a backend that stops and comes back", () => {
  // The answer is decided when the check begins and known when it ends: the worst case for who must notice a change.
  const scenario = (stopAfter: number, downFor: number, latency: number, seed: number) => {
    let isUp = true
    const check = () =>
      Effect.suspend(() => {
        const answer = isUp ? passes : refused
        return Effect.delay(answer, Duration.millis(latency))
      })
    return Effect.gen(function*() {
      const label = `stops after ${stopAfter} ms for ${downFor} ms, latency ${latency} ms, seed ${seed}`
      yield* reconcile(a)
      yield* TestClock.adjust(stopAfter)
      isUp = false
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(yield* statusOf("a"), "Down", label)
      yield* TestClock.adjust(downFor)
      assert.strictEqual(yield* statusOf("a"), "Down", label)
      isUp = true
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* statusOf("a"), "Up", label)
    }).pipe(checking(new Journal(), check, seed))
  }

  // Every tenth of a second of two intervals, so that each stop falls right before, into and right after some check.
  const offsets = Array.from({ length: 110 }, (_, i) => 1_000 + 100 * i)

  it.effect.each([0, 50, 400])(
    "is out within 6 s and back within 5 s, whenever that happens (latency %d ms)",
    (latency) =>
      Effect.forEach(
        [1, 2, 3, 4, 5],
        (seed) => Effect.forEach(offsets, (offset, i) => scenario(offset, (i * 370) % 2_000, latency, seed))
      )
  )

  it.effect("is out and back in time also for the unluckiest jitter", () => {
    // Always the longest intervals: the stop comes right after a check has begun.
    const longest: (typeof Random.Random)["Service"] = { nextDoubleUnsafe: () => 0.999999, nextIntUnsafe: () => 0 }
    return Effect.forEach(offsets, (offset) => scenario(offset, 0, 400, 1)).pipe(
      Effect.provideService(Random.Random, longest)
    )
  })
})

describe("a check that could not be made", () => {
  it.effect("changes nothing, is no bug for the log, and is made again by the timetable", () => {
    const journal = new Journal()
    const lines: Array<unknown> = []
    let lacks = false
    const skipped = ProbeSkipped.make({ message: "Too many open files" })
    return Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* settle
      lacks = true
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* statusOf("a"), yield* whyOf("a")], ["Up", "status: 200"])
      assert.deepStrictEqual([yield* statusOf("b"), yield* whyOf("b")], ["Down", "Connection refused"])
      for (const gap of journal.gapsOf("a")) assert.isTrue(gap >= 4_500 && gap <= 5_500, `${gap} ms`)
      assert.deepStrictEqual(lines, [])
    }).pipe(
      checking(journal, ({ id }) => (lacks ? skipped : id === "a" ? passes : refused)),
      Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(message))]))
    )
  })
})

describe("a probe that misbehaves", () => {
  const bug = new Error("a bug")
  const misbehaviours: ReadonlyArray<readonly [string, Check]> = [
    ["dies", () => Effect.die(bug)],
    ["throws before there is an effect", () => {
      throw bug
    }],
    ["throws within its effect", () =>
      Effect.sync(() => {
        throw bug
      })],
    ["dies of something that cannot be printed", () => Effect.die(Object.create(null))],
    ["interrupts itself", () => Effect.interrupt]
  ]

  it.effect.each(misbehaviours)(
    "and %s says nothing of the backend, is asked again by the timetable, and disturbs no other",
    ([, check]) => {
      const journal = new Journal()
      let isBroken = false
      return Effect.gen(function*() {
        yield* reconcile(a, b, c)
        yield* settle
        isBroken = true
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual([yield* statusOf("a"), yield* whyOf("a")], ["Up", "status: 200"])
        assert.isAtLeast(journal.timesOf("a").length, 4)
        assert.strictEqual(yield* statusOf("b"), "Up")
        assert.isAtLeast(journal.timesOf("b").length, 4)
        assert.deepStrictEqual([yield* statusOf("c"), yield* whyOf("c")], ["Down", "Connection refused"])
      }).pipe(
        checking(
          journal,
          (backend) => (backend.id === "a" && isBroken ? check(backend) : backend === c ? refused : passes)
        )
      )
    }
  )

  it.effect.each(misbehaviours)(
    "and %s from the start leaves a backend as if it had not been checked",
    ([, check]) =>
      Effect.gen(function*() {
        yield* reconcile(a)
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(yield* statusOf("a"), "Checking")
      }).pipe(checking(new Journal(), check))
  )

  it.effect("and dies is an error in the log, with the backend and the defect, once in 10 s", () => {
    const lines: Array<unknown> = []
    let isBroken = true
    return Effect.gen(function*() {
      yield* reconcile(a, b, c)
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(lines, [
        ["A check of http://a.test broke down, which says nothing of the backend: the probe has a bug", bug]
      ])
      yield* TestClock.adjust("7 seconds")
      assert.strictEqual(lines.length, 2)
      isBroken = false
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(lines.length, 2)
    }).pipe(
      checking(new Journal(), () => (isBroken ? Effect.die(bug) : passes)),
      Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(message))]))
    )
  })

  it.effect("recovers when the probe does", () => {
    let broken = true
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* statusOf("a"), "Checking")
      broken = false
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(checking(new Journal(), () => (broken ? Effect.die(bug) : passes)))
  })

  it.effect("and never ends has failed after 2 s, is asked again, and holds up nobody else", () => {
    const journal = new Journal()
    let isStuck = false
    return Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* settle
      isStuck = true
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* statusOf("a"), yield* whyOf("a")], ["Down", "no answer within 2s"])
      for (const gap of journal.gapsOf("a").slice(1)) assert.closeTo(gap, 2_000, 0.001)
      assert.isAtLeast(journal.timesOf("a").length, 5)
      assert.isAtLeast(journal.timesOf("b").length, 10)
      isStuck = false
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(checking(journal, ({ id }) => (id === "a" && isStuck ? Effect.never : passes)))
  })

  it.effect("and never ends is given up after the timeout of the timetable", () =>
    Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* whyOf("a"), "no answer within 3s")
    }).pipe(
      checking(new Journal(), () => Effect.never, 1, { ...defaultTimetable, timeout: Duration.seconds(3) })
    ))

  it.effect("and cannot even be interrupted has failed, is not asked twice at a time, and holds up nobody else", () => {
    const journal = new Journal()
    const released = Latch.makeUnsafe()
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* statusOf("a"), yield* whyOf("a")], ["Down", "no answer within 2s"])
      assert.strictEqual(journal.timesOf("a").length, 1)
      yield* reconcile(b)
      yield* settle
      assert.strictEqual(yield* statusOf("b"), "Up")
      yield* reconcile(a, b)
      yield* settle
      assert.strictEqual(journal.timesOf("a").length, 2)
      yield* released.open
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(
      checking(
        journal,
        ({ id }) => (id === "a" ? Effect.uninterruptible(Effect.andThen(released.await, passes)) : passes)
      )
    )
  })

  it.effect("and never ends is given up at once when the backend leaves", () => {
    const interrupted: Array<string> = []
    const stuck = ({ id }: Backend) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push(id)))
    return Effect.gen(function*() {
      yield* reconcile(a, b, c)
      yield* TestClock.adjust("1 second")
      yield* reconcile(b)
      yield* settle
      assert.sameMembers(interrupted, ["a", "c"])
    }).pipe(checking(new Journal(), (backend) => (backend.id === "b" ? passes : stuck(backend))))
  })
})

describe("changes of the pool", () => {
  it.effect("stop the checks of who left, all at once", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      const many = Array.from({ length: 20 }, (_, i) => backend(`b${i}`))
      yield* reconcile(...many, a)
      yield* TestClock.adjust("7 seconds")
      yield* reconcile(a)
      yield* settle
      const before = journal.begun.length
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([...new Set(journal.begun.slice(before).map(({ id }) => id))], ["a"])
    }).pipe(checking(journal, () => passes))
  })

  it.effect("begin the checks of who joined at once, and leave the timetable of others alone", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("2 seconds")
      yield* reconcile(a, b)
      yield* settle
      assert.deepStrictEqual(journal.timesOf("b"), [2_000])
      assert.deepStrictEqual(journal.timesOf("a"), [0])
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(journal.timesOf("a").length, 2)
    }).pipe(checking(journal, () => passes))
  })

  it.effect("begin anew for a backend that left and came back", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("2 seconds")
      yield* reconcile()
      yield* reconcile(a)
      yield* settle
      assert.strictEqual(yield* statusOf("a"), "Up")
      yield* TestClock.adjust("1 minute")
      // One fiber, not two.
      for (const gap of journal.gapsOf("a").slice(1)) assert.isAtLeast(gap, 4_500)
    }).pipe(checking(journal, () => passes))
  })

  it.effect("begin anew for a backend that left and came back while those of many others were begun", () => {
    const journal = new Journal()
    const many = Array.from({ length: 2_000 }, (_, i) => backend(`b${i}`))
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("2 seconds")
      yield* reconcile(a, ...many)
      yield* reconcile(...many)
      // More changes than are kept for who has no time to look.
      for (let weight = 1; weight <= 20; weight++) yield* reconcile({ ...a, weight }, ...many)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(yield* statusOf("a"), "Up")
      assert.lengthOf(journal.timesOf("a"), 2)
    }).pipe(checking(journal, () => passes))
  })

  it.effect("begin anew for a backend that has moved to another origin under its id, and leave the others alone", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* reconcile(a, b)
      yield* TestClock.adjust("1 second")
      yield* reconcile({ ...a, origin: "http://moved.test" }, b)
      yield* settle
      assert.deepStrictEqual(journal.timesOf("a"), [0, 1_000])
      assert.strictEqual(journal.begun.at(-1)?.origin, "http://moved.test")
      yield* TestClock.adjust("11 seconds")
      for (const gap of journal.gapsOf("a").slice(1)) assert.isAtLeast(gap, 4_500)
      for (const gap of journal.gapsOf("b")) assert.isAtLeast(gap, 4_500)
    }).pipe(checking(journal, () => passes))
  })

  it.effect("are made often at the new origin of one that has moved, however long it was dead at the old one", () => {
    let isThere = false
    const check = () => isThere ? passes : Effect.fail(refused)
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* TestClock.adjust("1 hour")
      yield* reconcile({ ...a, origin: "http://moved.test" })
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* statusOf("a"), "Down")
      isThere = true
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* statusOf("a"), "Up")
    }).pipe(checking(new Journal(), check))
  })

  it.effect("do not count for the new origin when they were made at the old one", () => {
    const journal = new Journal()
    const slow = ({ origin }: Backend) => origin === "http://a.test" ? Effect.delay(passes, "1 second") : Effect.never
    return Effect.gen(function*() {
      yield* reconcile(a)
      yield* settle
      yield* reconcile({ ...a, origin: "http://moved.test" })
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(yield* statusOf("a"), "Checking")
    }).pipe(checking(journal, slow))
  })

  it.effect("end with the layer: nothing is checked afterwards", () => {
    const journal = new Journal()
    return Effect.gen(function*() {
      yield* Effect.andThen(reconcile(a), settle).pipe(checking(journal, () => passes))
      assert.strictEqual(journal.begun.length, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(journal.begun.length, 1)
    })
  })
})
