/**
 * Rendezvous, or highest random weight: requests with the same key go to the same backend, and when one leaves or
 * joins, exactly its share of the keys moves, whatever the weights.
 *
 * The key draws a number for every backend, and the highest wins (Thaler and Ravishankar, "Using Name-Based
 * Mappings to Increase Hit Rates", 1998). With weights it is the lowest -ln(number) / weight, so that shares follow
 * them (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005). There is nothing to build and no memory
 * to speak of, but a pick looks at every backend.
 */
import type * as Layer from "effect/Layer"
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { Accepts, Strategy } from "../../services/Strategy.ts"
import * as Preference from "./Preference.ts"

const everybody = (): boolean => true

const preferenceFor = (endpoints: ReadonlyArray<Endpoint>): Preference.Preference => {
  const seeds = Int32Array.from(endpoints, ({ backend }) => Hash.string(backend.id))
  const inverses = Float64Array.from(endpoints, ({ backend }) => 1 / backend.weight)

  const firstWhere = (hash: number, accepts: Accepts): Endpoint | undefined => {
    let lowest = Infinity
    let winner: Endpoint | undefined
    for (let i = 0; i < seeds.length; i++) {
      const drawn = ((Hash.integer(hash, seeds[i]!) >>> 0) + 0.5) / 0x1_0000_0000
      // The logarithm takes most of the time. It is 1 - drawn at least, which is enough to know of nearly
      // all that they do not win: of ten backends seven, of a thousand all but eight.
      if ((1 - drawn) * inverses[i]! >= lowest) continue
      const value = -Math.log(drawn) * inverses[i]!
      if (value < lowest && accepts(endpoints[i]!)) {
        lowest = value
        winner = endpoints[i]
      }
    }
    return winner
  }

  return { first: (hash) => firstWhere(hash, everybody), firstWhere, draw: Preference.anyHash }
}

/** `rendezvous`: who ranks first for the key. A request without a key goes to any, by weight. */
export const layer: Layer.Layer<Strategy> = Preference.layer("rendezvous", preferenceFor)
