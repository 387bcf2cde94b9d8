/**
 * Places: no backend has more requests than it may, nor have all together, one on trial has one at a time unless nobody
 * else is left; who waits does so for want of room and not for longer than it may; and in the end every place is free
 * again.
 */
import * as Duration from "effect/Duration"
import { memberOf } from "../../src/services/Pool.ts"
import { numberOf } from "./Backends.ts"
import type { Make } from "./Scene.ts"

export const places: Make = (scene, complain) => {
  const { hedge, limit, queue } = scene.plan.settings
  const isHedged = hedge.after !== undefined
  const most = limit.inFlight ?? Infinity

  /** Somebody who has room. */
  const free = (): string | undefined =>
    scene.total >= most
      ? undefined
      : scene.state().eligible.find(({ load }) => load.inFlight < load.limit)?.backend.id

  /** What a backend has got where it is since its trial began there, and has not answered. */
  const onTrial = (origin: string, id: string, since: number, but: number): ReadonlyArray<string> =>
    scene.receivedAt(origin).filter(({ at, outcome, target }) =>
      outcome === undefined && at > since && numberOf(target) !== but &&
      // How long a client takes to send keeps no other one from being the trial, and a kept answer is none.
      scene.exchanges.get(numberOf(target))?.request.pieces.length === 0 && !scene.hasAnsweredIll(id, target) &&
      // Nor does an answer that has been silent for so long.
      scene.now() - at < 15_000
    ).map(({ target }) => target)

  return {
    onTry: ({ request: { number }, tries }, id) => {
      if (scene.total > most) complain(`${scene.total} are in flight`)
      const member = memberOf(scene.state(), id)
      if (member === undefined) return
      const { endpoint: { backend: { origin }, load }, health: { changed, circuit } } = member
      const isLast = load.isOnTrial &&
        scene.state().eligible.every(({ backend, load }) => load.isOnTrial || tries.includes(backend.id))
      if (load.inFlight > (isLast ? limit.inFlightPerBackend : Math.min(load.limit, limit.inFlightPerBackend))) {
        complain(`${id} has ${load.inFlight} in flight`)
      }
      // The loser of two tries at a time gives its place back before its backend knows.
      if (circuit._tag !== "Trial" || isHedged || isLast) return
      const others = onTrial(origin, id, Math.max(changed.circuit.at, scene.loads.get(load) ?? 0), number)
      if (others.length > 0) complain(`${id} is on trial with ${others} and /${number}`)
    },
    onEnd: ({ tries }, { method, path, reason }) => {
      const id = reason === "overloaded" && tries.length === 0 ? free() : undefined
      if (id !== undefined) complain(`${method} ${path} was refused although ${id} has room`)
    },
    onPause: (inFlight) => {
      if (scene.open.size !== inFlight) complain(`${scene.open.size} requests are open, and ${inFlight} are counted`)
      if (scene.total > inFlight * (isHedged ? 2 : 1)) complain(`${inFlight} requests have ${scene.total} places`)
      for (const { inFlight } of scene.loads.keys()) if (inFlight < 0) complain(`${inFlight} are in flight`)
      const line = [...scene.open].filter(({ tries }) => tries.length === 0)
      if (line.length > queue.size) complain(`${line.length} wait`)
      for (const { cookie, request: { number }, startedAt } of line) {
        if (scene.now() - startedAt > Duration.toMillis(queue.timeout)) complain(`/${number} waits since ${startedAt}`)
        // Who is pinned waits for one backend.
        const id = cookie === undefined ? free() : undefined
        if (id !== undefined) complain(`/${number} waits although ${id} has room`)
      }
    },
    onFinish: () => {
      for (const { request: { number }, startedAt } of scene.open) complain(`/${number} hangs since ${startedAt}`)
      for (const { inFlight, tunnels } of scene.loads.keys()) {
        if (inFlight !== 0 || tunnels !== 0) complain(`${inFlight} are in flight at the end`)
      }
      for (const { id } of scene.plan.backends) {
        const left = scene.received(id).filter(({ outcome }) => outcome === undefined)
        if (left.length > 0) complain(`${id} works on ${left.length} requests at the end`)
      }
    }
  }
}
