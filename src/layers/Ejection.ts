/**
 * Ejects backends that fail real traffic, and lets them back: the fibers between the balancer and the pool.
 *
 * One fiber takes the signals from the data path, which never waits; another one follows the pool and says when an
 * ejection is over. A backend on trial shows with one try whether it is well. When a backend has failed too often is
 * decided by `services/Ejection`; whether it may be ejected, and for how long, by `Pool`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Ejection from "../services/Ejection.ts"
import * as Health from "../services/Health.ts"
import type { Endpoint } from "../services/Load.ts"
import * as Monotonic from "../services/Monotonic.ts"
import { empty, forEachChange, type Member, memberOf, Pool, type PoolState } from "../services/Pool.ts"

/** What a try says of its endpoint, whose circuit was this one. */
type Judgement = readonly [endpoint: Endpoint, circuit: Health.Circuit, signal: Health.Signal]

/** Signals that may wait for the pool. One that does not fit is dropped, and sent again at the next failure. */
const capacity = 1_024

/**
 * Milliseconds until the pool is asked again for what it has refused: time alone may have changed its mind, where
 * another one is on trial and nobody asks that.
 */
const againAfter = 1_000

/** Milliseconds until the first of these ejections is over; infinite when there is none. */
const untilNext = (ejected: ReadonlyArray<Member>, now: number): number =>
  ejected.reduce(
    (least, { health: { circuit } }) => circuit._tag === "Open" ? Math.min(least, circuit.until - now) : least,
    Infinity
  )

/** From snapshots to the ejected members, as the same list as long as the same members are ejected. */
const ejectedIn = () => {
  let known = empty
  let ejected: ReadonlyArray<Member> = []
  const isEjected = ({ health }: Member): boolean => Health.isEjected(health)
  return (state: PoolState): ReadonlyArray<Member> => {
    let isChanged = false
    forEachChange(known, state, (member, before) => {
      isChanged ||= isEjected(member) || (before !== undefined && isEjected(before))
    })
    const hasLeft = state.positions !== known.positions &&
      ejected.some(({ endpoint }) => !state.positions.has(endpoint.backend.id))
    known = state
    if (isChanged || hasLeft) ejected = state.members.filter(isEjected)
    return ejected
  }
}

/** Tells the pool of each ejection whose time is over. It follows the pool as long as the scope is open. */
const followEjections = Effect.fnUntraced(function*(pool: Pool["Service"]) {
  /** Ends when none of these is ejected any more. */
  const elapse = Effect.fnUntraced(function*(ejected: ReadonlyArray<Member>) {
    while (true) {
      const left = untilNext(ejected, yield* Monotonic.millis)
      if (left === Infinity) return
      // A timer may be early by a part of a millisecond.
      yield* Effect.sleep(Math.max(1, left))
      for (const { endpoint } of ejected) yield* pool.signal(endpoint.backend.id, { _tag: "Elapsed" })
    }
  })
  yield* pool.changes.pipe(
    Stream.map(ejectedIn()),
    Stream.changesWith((a, b) => a === b),
    Stream.switchMap((ejected) => Stream.fromEffect(elapse(ejected))),
    Stream.runDrain,
    Effect.forkScoped
  )
})

/** Judges by this policy. */
export const layer = (
  given: Ejection.Policy = Ejection.defaultPolicy
): Layer.Layer<Ejection.Ejection, never, Pool> => {
  const policy = Ejection.checked(given)
  return Layer.effect(
    Ejection.Ejection,
    Effect.gen(function*() {
      const pool = yield* Pool
      const clock = yield* Clock.Clock
      const random = yield* Random.Random
      const signals = yield* Queue.dropping<Judgement>(capacity)

      let known: PoolState | undefined
      /** When the current snapshot was told of a backend: what the pool has refused, it would soon refuse again. */
      const reported = new Map<string, number>()
      /** How an endpoint is now; nothing, if it has moved or left, also where another one with its id is a member now. */
      const healthOf = ({ backend: { id }, load }: Endpoint): Health.Health | undefined => {
        const state = Ref.getUnsafe(pool.state)
        if (state !== known) {
          known = state
          reported.clear()
        }
        const member = memberOf(state, id)
        return member?.endpoint.load === load ? member.health : undefined
      }

      yield* Effect.forkScoped(
        Effect.forever(Effect.flatMap(Queue.take(signals), ([endpoint, circuit, signal]) =>
          // Meanwhile another one may have its id, or its trial may be over.
          healthOf(endpoint)?.circuit === circuit ? pool.signal(endpoint.backend.id, signal) : Effect.void))
      )
      yield* followEjections(pool)

      return Ejection.Ejection.of({
        observe: (endpoint, outcome, millis, why) => {
          if (outcome === "aborted") return
          const { backend: { id }, load } = endpoint
          const health = healthOf(endpoint)
          if (health === undefined) return
          const { changed, circuit } = health
          const since = circuit._tag === "Trial" ? changed.circuit.at : undefined
          if (since === undefined && outcome === "success") return
          const now = Monotonic.millisUnsafe(clock)
          // A try from before the trial says nothing about it.
          if (since !== undefined && now - millis < since) return
          if (outcome === "success") {
            Queue.offerUnsafe(signals, [endpoint, circuit, { _tag: "Recovered", why: "the trial went well" }])
          } else {
            if (now - (reported.get(id) ?? -Infinity) < againAfter) return
            const verdict = since === undefined ? Ejection.verdict(load, now, policy) : "the trial failed"
            if (verdict === undefined) return
            const cause = why === undefined
              ? verdict
              : `${verdict}, ${since === undefined ? "the last failure " : ""}${why}`
            const signal: Health.Signal = { _tag: "Tripped", why: cause, random: random.nextDoubleUnsafe() }
            if (Queue.offerUnsafe(signals, [endpoint, circuit, signal])) reported.set(id, now)
          }
        }
      })
    })
  )
}

/** Judges nobody. */
export const layerNone: Layer.Layer<Ejection.Ejection> = Layer.succeed(Ejection.Ejection, { observe: () => {} })
