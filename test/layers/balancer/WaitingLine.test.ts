import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Waiter, WaitingLine } from "../../../src/layers/balancer/WaitingLine.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import { anonymous } from "../../../src/services/Strategy.ts"
import { endpoints } from "../../endpoints.ts"

type Order = "oldest" | "newest"

/** The same in the plainest way: a list, of which there is a copy for whoever is on the way along it. */
class Model implements Pick<WaitingLine, "advance" | "dismiss" | "join" | "leave"> {
  private waiters: ReadonlyArray<Waiter> = []
  private readonly options: { readonly order: Order; readonly size: number }

  constructor(options: { readonly order: Order; readonly size: number }) {
    this.options = options
  }

  get isEmpty(): boolean {
    return this.waiters.length === 0
  }

  join(waiter: Waiter): boolean {
    if (this.waiters.length >= this.options.size) {
      const [oldest] = this.waiters
      if (this.options.order === "oldest" || oldest === undefined) return false
      this.leave(oldest)
      oldest.turnAway()
    }
    this.waiters = [...this.waiters, waiter]
    return true
  }

  leave(waiter: Waiter): void {
    this.waiters = this.waiters.filter((other) => other !== waiter)
  }

  dismiss(isHopeless: (waiter: Waiter) => boolean): void {
    for (const waiter of this.waiters.filter(isHopeless)) {
      this.leave(waiter)
      waiter.giveUp()
    }
  }

  advance(select: (waiter: Waiter) => Endpoint | undefined): void {
    let isFull = false
    for (const waiter of this.options.order === "oldest" ? this.waiters : this.waiters.toReversed()) {
      const isPinned = waiter.context.pinned !== undefined
      if (!this.waiters.includes(waiter) || (isFull && !isPinned)) continue
      const endpoint = select(waiter)
      if (endpoint === undefined) isFull ||= waiter.tried.length === 0 && !isPinned
      else {
        this.leave(waiter)
        waiter.admit(endpoint)
      }
    }
  }
}

const [anybody, ...others] = endpoints([1, 1, 1])

/** To whom a waiter is pinned, by a place among the others. */
const pin = fc.constantFrom(undefined, undefined, 0, 1)

/** Whom a waiter has tried. */
const tried = fc.constantFrom([], [anybody!], [others[0]!], [anybody!, others[0]!], [others[0]!, anybody!])

const waiter = fc.record({ pin, tried, isQuick: fc.boolean() })

const events = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ _tag: fc.constant("joins" as const), waiter }) },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("leaves" as const), who: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("room" as const), pin, more: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("hopeless" as const), who: fc.nat(20) }) }
  ),
  { maxLength: 60, size: "max" }
)

const idOf = (pin: number | undefined): string | undefined => pin === undefined ? undefined : others[pin]!.backend.id

/** What became of whom, in order. */
const run = (line: Model | WaitingLine, story: typeof events extends fc.Arbitrary<infer A> ? A : never) => {
  const ends: Array<string> = []
  const known: Array<Waiter> = []
  const room = new Map<string | undefined, number>()
  const give = (pinned: string | undefined, more: number) => room.set(pinned, (room.get(pinned) ?? 0) + more)
  const advance = () =>
    line.advance(({ context: { pinned }, tried }) => {
      // Whoever has tried the one that has room does not get it.
      if ((room.get(pinned) ?? 0) === 0 || tried.includes(anybody!)) return undefined
      give(pinned, -1)
      return others.find(({ backend }) => backend.id === pinned) ?? anybody
    })
  for (const event of story) {
    switch (event._tag) {
      case "joins": {
        const name = String(known.length)
        const { isQuick, pin, tried } = event.waiter
        const pinned = idOf(pin)
        const joined: Waiter = {
          context: { ...anonymous, pinned },
          tried,
          admit: () => {
            ends.push(`${name} is admitted`)
            if (!isQuick) return
            give(pinned, 1)
            advance()
          },
          turnAway: () => ends.push(`${name} is turned away`),
          giveUp: () => ends.push(`${name} gives up`)
        }
        known.push(joined)
        if (!line.join(joined)) ends.push(`${name} finds no place`)
        break
      }
      case "leaves":
        if (known[event.who] !== undefined) line.leave(known[event.who]!)
        break
      case "room":
        give(idOf(event.pin), event.more)
        advance()
        break
      case "hopeless":
        line.dismiss((waiter) => waiter === known[event.who])
    }
    ends.push(line.isEmpty ? "nobody waits" : "somebody waits")
  }
  return ends
}

describe("the waiting line", () => {
  it.each(["oldest", "newest"] as const)(
    "is a list of which the %s goes first, whatever happens on the way",
    (order) => {
      fc.assert(
        fc.property(events, fc.integer({ min: 0, max: 8 }), (story, size) => {
          assert.deepStrictEqual(run(new WaitingLine({ order, size }), story), run(new Model({ order, size }), story))
        }),
        { numRuns: 3_000 }
      )
    }
  )

  it.each(["oldest", "newest"] as const)(
    "asks once where there is no room and the %s goes first, and for each pin",
    (order) => {
      const line = new WaitingLine({ order, size: 2_000 })
      let looks = 0
      const join = (pinned: string | undefined): Waiter => {
        const context = { ...anonymous, pinned }
        const waiter: Waiter = {
          get context() {
            looks++
            return context
          },
          tried: [],
          admit: () => {},
          turnAway: () => {},
          giveUp: () => {}
        }
        line.join(waiter)
        return waiter
      }
      let asked = 0
      const advance = () => line.advance(() => void asked++)
      for (let i = 0; i < 1_000; i++) join(undefined)
      const pinned = join("a")
      for (let i = 0; i < 1_000; i++) join(undefined)
      advance()
      assert.strictEqual(asked, 2)
      line.leave(pinned)
      looks = 0
      advance()
      assert.strictEqual(asked, 3)
      assert.isBelow(looks, 10)
    }
  )

  it("asks once for those that have tried the same places, in whatever order", () => {
    const line = new WaitingLine({ order: "oldest", size: 3_000 })
    const [a, b] = others
    const moved = { ...b!, backend: { ...b!.backend, origin: "http://elsewhere" } }
    for (let i = 0; i < 1_000; i++) {
      for (const tried of [[a!, b!], [b!, a!], [a!, moved]]) {
        line.join({ context: anonymous, tried, admit: () => {}, turnAway: () => {}, giveUp: () => {} })
      }
    }
    let asked = 0
    line.advance(() => void asked++)
    assert.strictEqual(asked, 2)
  })
})
