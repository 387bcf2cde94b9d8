import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as AccessLogLayer from "../../src/layers/AccessLog.ts"
import * as HealthLog from "../../src/layers/HealthLog.ts"
import * as PoolLayer from "../../src/layers/Pool.ts"
import { AccessLog, type Entry, pretty } from "../../src/services/AccessLog.ts"
import * as Backend from "../../src/services/Backend.ts"
import type { Signal } from "../../src/services/Health.ts"
import { Pool } from "../../src/services/Pool.ts"
import { backend } from "../endpoints.ts"

const passed: Signal = { _tag: "ProbePassed", why: "status: 200" }
const failed: Signal = { _tag: "ProbeFailed", why: "Connection refused" }

const logging = (entries: Array<Entry>) =>
  Effect.provide(HealthLog.layer.pipe(
    Layer.provideMerge(PoolLayer.layer()),
    Layer.provide(AccessLogLayer.layerMemory(entries))
  ))

const reconcile = (...ids: ReadonlyArray<string>) =>
  Effect.flatMap(Pool, (pool) => Effect.andThen(pool.reconcile(ids.map((id) => backend(id))), settle))

const signal = (id: string, signal: Signal) =>
  Effect.flatMap(Pool, (pool) => Effect.andThen(pool.signal(id, signal), settle))

/** Lets the follower of the pool read what there is. */
const settle = TestClock.adjust(0)

describe("HealthLog", () => {
  it.effect("says how a backend is when its first check is in, and not before", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      assert.deepStrictEqual(entries, [])
      yield* signal("a", passed)
      yield* signal("b", failed)
      assert.deepStrictEqual(entries.map(pretty), [
        "HEALTH: HEALTHY http://a.test - status: 200",
        "HEALTH: UNHEALTHY http://b.test - Connection refused"
      ])
    }).pipe(logging(entries))
  })

  it.effect("goes on when a line could not be written", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      yield* reconcile("a")
      yield* signal("a", failed)
      yield* signal("a", passed)
      yield* signal("a", passed)
      assert.deepStrictEqual(lines, [
        "WARN: Too few backends are well: 1 of 1 are offered traffic, also ill ones",
        "HEALTH: HEALTHY http://a.test - status: 200",
        "INFO: Ill backends are not offered traffic any more: 1 of 1 are well"
      ])
    }).pipe(Effect.provide(HealthLog.layer.pipe(
      Layer.provideMerge(PoolLayer.layer()),
      Layer.provide(Layer.succeed(AccessLog, {
        write: (entry) => {
          const line = pretty(entry)
          if (line.includes("UNHEALTHY")) throw new Error("a log that is broken")
          lines.push(line)
        }
      }))
    )))
  })

  it.effect("says a change of status once, and nothing while it stays", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a")
      for (const result of [passed, passed, failed, failed, passed, failed, passed, passed, passed]) {
        yield* signal("a", result)
      }
      assert.deepStrictEqual(entries.flatMap((entry) => entry._tag === "HealthChanged" ? entry.status : []), [
        "Up",
        "Down",
        "Up"
      ])
    }).pipe(logging(entries))
  })

  it.effect("says what the operator does", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      yield* signal("a", passed)
      yield* signal("a", { _tag: "ModeSet", mode: "Draining", why: "deploy" })
      assert.strictEqual(entries.map(pretty).at(-1), "HEALTH: DRAINING http://a.test - deploy")
    }).pipe(logging(entries))
  })

  it.effect("says the cause of what it says, and not of what else has changed meanwhile", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      yield* signal("a", passed)
      yield* signal("a", { _tag: "ModeSet", mode: "Draining", why: "deploy" })
      yield* signal("a", failed)
      yield* signal("a", { _tag: "ModeSet", mode: "Ready", why: "deployed" })
      assert.deepStrictEqual(entries.map(pretty).slice(1), [
        "HEALTH: DRAINING http://a.test - deploy",
        "INFO: http://a.test drains and cannot keep its sessions: Connection refused",
        "HEALTH: UNHEALTHY http://a.test - Connection refused"
      ])
    }).pipe(logging(entries))
  })

  it.effect("says that a backend that drains cannot keep its sessions, and when it can again", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b", "c")
      for (const id of ["a", "b", "c"]) yield* signal(id, passed)
      yield* signal("a", { _tag: "ModeSet", mode: "Draining", why: "deploy 41" })
      entries.length = 0
      yield* signal("a", failed)
      yield* signal("a", failed)
      yield* signal("a", passed)
      yield* signal("a", passed)
      yield* signal("a", { _tag: "Tripped", why: "5 failures in a row" })
      yield* signal("a", { _tag: "ModeSet", mode: "Ready", why: "deploy 42" })
      assert.deepStrictEqual(entries.map(pretty), [
        "INFO: http://a.test drains and cannot keep its sessions: Connection refused",
        "INFO: http://a.test drains and keeps its sessions again: status: 200",
        "INFO: http://a.test drains and cannot keep its sessions: 5 failures in a row",
        "HEALTH: EJECTED http://a.test - 5 failures in a row"
      ])
    }).pipe(logging(entries))
  })

  it.effect("says who moves to another address, and not who has another weight", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      const pool = yield* Pool
      yield* reconcile("a", "b")
      yield* signal("a", passed)
      const a = Backend.make("http://elsewhere.test", { id: "a" })
      const b = Backend.make("http://b.test", { id: "b", weight: 2 })
      yield* Effect.andThen(pool.reconcile([a, b]), settle)
      yield* signal("a", failed)
      assert.deepStrictEqual(entries.map(pretty), [
        "HEALTH: HEALTHY http://a.test - status: 200",
        "INFO: Backends that have moved: http://a.test to http://elsewhere.test",
        "HEALTH: UNHEALTHY http://elsewhere.test - Connection refused"
      ])
    }).pipe(logging(entries))
  })

  it.effect("says who joins and who leaves, but for the first ones, and in one line if they are many", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      yield* reconcile("b", "a")
      assert.deepStrictEqual(entries, [])
      yield* reconcile("b", "c")
      yield* reconcile("c", "d", "e", "f", "g", "h")
      yield* reconcile("a")
      assert.deepStrictEqual(entries.map(pretty), [
        "INFO: Backends that have joined: http://c.test",
        "INFO: Backends that have left: http://a.test",
        "INFO: Backends that have joined: http://d.test, http://e.test, http://f.test and 2 more",
        "INFO: Backends that have left: http://b.test",
        "INFO: Backends that have joined: http://a.test",
        "INFO: Backends that have left: http://c.test, http://d.test, http://e.test and 3 more"
      ])
    }).pipe(logging(entries))
  })

  it.effect("says nothing of a change of weight", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a")
      yield* signal("a", passed)
      const { length } = entries
      yield* Effect.flatMap(Pool, (pool) => pool.reconcile([backend("a", 9)]))
      yield* settle
      assert.strictEqual(entries.length, length)
    }).pipe(logging(entries))
  })

  it.effect("forgets who left: one that comes back is new", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a")
      yield* signal("a", passed)
      yield* reconcile()
      yield* reconcile("a")
      yield* signal("a", passed)
      assert.strictEqual(entries.filter(({ _tag }) => _tag === "HealthChanged").length, 2)
    }).pipe(logging(entries))
  })

  it.effect("says that backups have the traffic, and when they have it no longer", () => {
    const entries: Array<Entry> = []
    const tiers = ["a", "b", "c"].map((id, tier) => Backend.make(`http://${id}.test`, { id, tier }))
    return Effect.gen(function*() {
      yield* Effect.flatMap(Pool, (pool) => Effect.andThen(pool.reconcile(tiers), settle))
      for (const id of ["a", "b", "c"]) yield* signal(id, failed)
      for (const id of ["b", "b", "a", "a"]) yield* signal(id, passed)
      assert.deepStrictEqual(entries.filter(({ _tag }) => _tag === "Notice").map(pretty), [
        "WARN: Traffic goes to backups, of tier 1: nobody before is well",
        "WARN: Traffic goes to backups, of tier 2: nobody before is well",
        "WARN: No backend is offered traffic: requests are answered 503",
        "INFO: Backends are offered traffic again",
        "WARN: Too few backends are well: 1 of 1 are offered traffic, also ill ones",
        "WARN: Traffic goes to backups, of tier 1: nobody before is well",
        "INFO: Ill backends are not offered traffic any more: 1 of 3 are well",
        "INFO: Backups are not needed any more"
      ])
    }).pipe(logging(entries))
  })

  it.effect("does not take it for the end of their need when the last backup fails as well", () => {
    const entries: Array<Entry> = []
    const sick: Signal = { _tag: "ProbeFailed", why: "status: 500", answered: true }
    const tiers = ["a", "b"].map((id, tier) => Backend.make(`http://${id}.test`, { id, tier }))
    return Effect.gen(function*() {
      yield* Effect.flatMap(Pool, (pool) => Effect.andThen(pool.reconcile(tiers), settle))
      for (const id of ["a", "b"]) yield* signal(id, sick)
      for (let i = 0; i < 2; i++) yield* signal("a", passed)
      assert.deepStrictEqual(entries.filter(({ _tag }) => _tag === "Notice").map(pretty), [
        "WARN: Traffic goes to backups, of tier 1: nobody before is well",
        "WARN: Too few backends are well: 1 of 1 are offered traffic, also ill ones",
        "INFO: Backups are not needed any more",
        "INFO: Ill backends are not offered traffic any more: 1 of 2 are well"
      ])
    }).pipe(logging(entries))
  })

  it.effect("calls nobody a backup who has become one of the first", () => {
    const entries: Array<Entry> = []
    const inTiers = (...tiers: ReadonlyArray<number>) =>
      Effect.flatMap(Pool, (pool) =>
        Effect.andThen(
          pool.reconcile(["a", "b"].map((id, i) => Backend.make(`http://${id}.test`, { id, tier: tiers[i]! }))),
          settle
        ))
    return Effect.gen(function*() {
      yield* inTiers(0, 1)
      for (const id of ["a", "b"]) yield* signal(id, passed)
      yield* inTiers(2, 1)
      assert.deepStrictEqual(entries.filter(({ _tag }) => _tag === "Notice"), [])
    }).pipe(logging(entries))
  })

  it.effect("calls a backend that nobody checks well when its trial went well", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b", "c")
      yield* signal("a", { _tag: "Tripped", why: "5 failures in a row", random: 0 })
      yield* TestClock.adjust("11 seconds")
      yield* signal("a", { _tag: "Elapsed" })
      yield* signal("a", { _tag: "Recovered", why: "the trial went well" })
      assert.deepStrictEqual(entries.map(pretty), [
        "HEALTH: EJECTED http://a.test - 5 failures in a row",
        "HEALTH: TRIAL http://a.test - the ejection is over",
        "HEALTH: HEALTHY http://a.test - the trial went well"
      ])
    }).pipe(logging(entries))
  })

  it.effect("does not take the trial of a primary for traffic", () => {
    const entries: Array<Entry> = []
    const tiers = ["a", "b"].map((id, tier) => Backend.make(`http://${id}.test`, { id, tier }))
    return Effect.gen(function*() {
      yield* Effect.flatMap(Pool, (pool) => Effect.andThen(pool.reconcile(tiers), settle))
      for (const id of ["a", "b"]) yield* signal(id, passed)
      for (const _ of [1, 2]) {
        yield* signal("a", { _tag: "Tripped", why: "5 failures in a row", random: 0 })
        // Passing its checks begins the trial of one that is ejected.
        yield* signal("a", passed)
        yield* signal("a", passed)
      }
      yield* signal("a", { _tag: "Recovered", why: "the trial went well" })
      assert.deepStrictEqual(entries.map(pretty).slice(2), [
        "HEALTH: EJECTED http://a.test - 5 failures in a row",
        "WARN: Traffic goes to backups, of tier 1: nobody before is well",
        "HEALTH: TRIAL http://a.test - status: 200",
        "HEALTH: EJECTED http://a.test - 5 failures in a row",
        "HEALTH: TRIAL http://a.test - status: 200",
        "HEALTH: HEALTHY http://a.test - the trial went well",
        "INFO: Backups are not needed any more"
      ])
    }).pipe(logging(entries))
  })

  it.effect("says that backups have the traffic also where all that are left are on trial", () => {
    const entries: Array<Entry> = []
    const tiers = ["a", "b"].map((id, tier) => Backend.make(`http://${id}.test`, { id, tier }))
    return Effect.gen(function*() {
      yield* Effect.flatMap(Pool, (pool) => Effect.andThen(pool.reconcile(tiers), settle))
      for (const id of ["a", "b"]) yield* signal(id, passed)
      yield* signal("b", { _tag: "Tripped", why: "5 failures in a row", random: 0 })
      for (const _ of [1, 2]) yield* signal("b", passed)
      yield* signal("a", failed)
      for (const _ of [1, 2]) yield* signal("a", passed)
      assert.deepStrictEqual(entries.filter(({ _tag }) => _tag === "Notice").map(pretty), [
        "WARN: Traffic goes to backups, of tier 1: nobody before is well",
        "INFO: Backups are not needed any more"
      ])
    }).pipe(logging(entries))
  })

  it.effect("says that backups have the traffic when the first of them is on trial, also in a panic", () => {
    const entries: Array<Entry> = []
    const [a, ...backups] = ["a", "b", "c", "d"].map((id, i) => Backend.make(`http://${id}.test`, { id, tier: i && 1 }))
    return Effect.gen(function*() {
      yield* Effect.flatMap(Pool, (pool) => Effect.andThen(pool.reconcile([a!, ...backups]), settle))
      for (const id of ["b", "c", "d", "a"]) yield* signal(id, passed)
      yield* signal("b", { _tag: "Tripped", why: "5 failures in a row", random: 0 })
      for (const _ of [1, 2]) yield* signal("b", passed)
      for (const id of ["b", "c", "d"]) {
        for (const _ of [1, 2, 3]) yield* signal(id, { _tag: "ProbeFailed", why: "503", answered: true })
      }
      yield* signal("a", failed)
      const before = entries.length
      for (const _ of [1, 2]) yield* signal("b", passed)
      assert.deepStrictEqual(entries.slice(before).filter(({ _tag }) => _tag === "Notice").map(pretty), [
        "WARN: Traffic goes to backups, of tier 1: nobody before is well"
      ])
    }).pipe(logging(entries))
  })

  it.effect("does not count backups that are not asked among those who are offered traffic in a panic", () => {
    const entries: Array<Entry> = []
    const tiers = ["a", "b", "c", "d"].map((id, i) => Backend.make(`http://${id}.test`, { id, tier: i < 3 ? 0 : 1 }))
    return Effect.gen(function*() {
      yield* Effect.flatMap(Pool, (pool) => Effect.andThen(pool.reconcile(tiers), settle))
      yield* signal("a", failed)
      yield* signal("b", { _tag: "ProbeFailed", why: "status: 500", answered: true })
      assert.deepStrictEqual(entries.filter(({ _tag }) => _tag === "Notice").map(pretty), [
        "WARN: Too few backends are well: 2 of 3 are offered traffic, also ill ones"
      ])
    }).pipe(logging(entries))
  })

  it.effect("says that the pool is in panic, and when it is not any more", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b", "c")
      for (const id of ["a", "b"]) yield* signal(id, { _tag: "ProbeFailed", why: "status: 500", answered: true })
      for (const _ of [1, 2]) yield* signal("a", passed)
      assert.deepStrictEqual(entries.filter(({ _tag }) => _tag === "Notice").map(pretty), [
        "WARN: Too few backends are well: 3 of 3 are offered traffic, also ill ones",
        "INFO: Ill backends are not offered traffic any more: 2 of 3 are well"
      ])
    }).pipe(logging(entries))
  })

  it.effect("does not call a panic over because enough are well when the ill ones were ejected", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b", "c")
      for (const id of ["a", "b"]) yield* signal(id, { _tag: "ProbeFailed", why: "status: 500", answered: true })
      yield* signal("c", passed)
      for (const id of ["a", "b"]) yield* signal(id, { _tag: "Tripped", why: "5 failures in a row", random: 0 })
      assert.strictEqual(
        entries.map(pretty).at(-1),
        "INFO: Ill backends are not offered traffic any more: 1 of 3 are well"
      )
    }).pipe(logging(entries))
  })

  it.effect("says that nobody is offered traffic, and when somebody is again", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      for (const id of ["a", "b"]) yield* signal(id, failed)
      for (const _ of [1, 2]) yield* signal("a", passed)
      yield* reconcile()
      assert.deepStrictEqual(entries.map(pretty), [
        "HEALTH: UNHEALTHY http://a.test - Connection refused",
        "HEALTH: UNHEALTHY http://b.test - Connection refused",
        "WARN: No backend is offered traffic: requests are answered 503",
        "INFO: Backends are offered traffic again",
        "WARN: Too few backends are well: 1 of 2 are offered traffic, also ill ones",
        "HEALTH: HEALTHY http://a.test - status: 200",
        "INFO: Ill backends are not offered traffic any more: 1 of 2 are well",
        "INFO: Backends that have left: http://a.test, http://b.test",
        "WARN: No backend is offered traffic: requests are answered 503"
      ])
    }).pipe(logging(entries))
  })

  it.effect("does not say that nobody is offered traffic while one that is ejected would be asked", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a", "b")
      yield* signal("a", passed)
      yield* signal("a", { _tag: "Tripped", why: "5 failures in a row", random: 0 })
      yield* signal("b", failed)
      assert.notInclude(entries.map(pretty), "WARN: No backend is offered traffic: requests are answered 503")
      yield* signal("a", failed)
      assert.strictEqual(
        entries.map(pretty).at(-1),
        "WARN: No backend is offered traffic: requests are answered 503"
      )
    }).pipe(logging(entries))
  })

  it.effect("warns when a panic is over because nobody answers any more", () => {
    const entries: Array<Entry> = []
    return Effect.gen(function*() {
      yield* reconcile("a")
      yield* signal("a", { _tag: "ProbeFailed", why: "status: 500", answered: true })
      yield* signal("a", failed)
      assert.deepStrictEqual(entries.filter(({ _tag }) => _tag === "Notice").map(pretty), [
        "WARN: Too few backends are well: 1 of 1 are offered traffic, also ill ones",
        "WARN: No backend is offered traffic: requests are answered 503"
      ])
    }).pipe(logging(entries))
  })
})
