/** Round-robin: each backend in turn, in the order of the configuration. Ignores weights. */
import * as Layer from "effect/Layer"
import type { Load } from "../../services/Load.ts"
import { Strategy } from "../../services/Strategy.ts"

/** Which turn of all was the latest of a backend; 0 is none yet. */
interface Latest {
  turn: number
}

/** `round-robin`: each in turn. Ignores weights. */
export const layer: Layer.Layer<Strategy> = Layer.sync(Strategy, () => {
  // Kept for each backend across rebuilds: one that comes or goes moves the positions of others, and two lists are in
  // use at once where zones are.
  const latestOf = new WeakMap<Load, Latest>()
  let turns = 0
  const latestFor = (load: Load): Latest => {
    const latest = latestOf.get(load) ?? { turn: 0 }
    latestOf.set(load, latest)
    return latest
  }
  return {
    name: "round-robin",
    ignoresWeights: true,
    make: (endpoints) => {
      const n = endpoints.length
      if (n === 0) return { pick: () => undefined }
      const latest = endpoints.map(({ load }) => latestFor(load))
      const last = latest.reduce((best, { turn }, i) => (turn > latest[best]!.turn ? i : best), 0)
      // Behind whoever had the last turn of these, or at the first.
      let next = latest[last]!.turn === 0 ? 0 : last + 1
      return {
        pick: () => {
          if (next >= n) next = 0
          latest[next]!.turn = ++turns
          return endpoints[next++]
        }
      }
    }
  }
})
