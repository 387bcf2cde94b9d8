/**
 * Rendezvous, or highest random weight: requests with the same key go to the same backend, and when one leaves or
 * joins, exactly its share of the keys moves, whatever the weights.
 *
 * The key draws a number for every backend, and the highest wins (Thaler and Ravishankar, "Using Name-Based
 * Mappings to Increase Hit Rates", 1998); -weight / ln(number) makes shares follow the weights (Schindelhauer and
 * Schomaker, "Weighted Distributed Hash Tables", 2005). There is nothing to build and no memory to speak of, but a
 * pick looks at every backend.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import { type Accepts, Strategy } from "../../services/Strategy.ts"
import * as Preference from "./Preference.ts"

const everybody = (): boolean => true

const preferenceFor = (endpoints: ReadonlyArray<Endpoint>): Preference.Preference => {
  const seeds = Int32Array.from(endpoints, ({ backend }) => Hash.string(backend.id))
  const weights = Float64Array.from(endpoints, ({ backend }) => backend.weight)
  // The logarithm does not change the order of equals, and takes most of the time.
  const areEqual = weights.every((weight) => weight === weights[0])

  const firstWhere = (hash: number, accepts: Accepts): Endpoint | undefined => {
    let best = -1
    let winner: Endpoint | undefined
    for (let i = 0; i < seeds.length; i++) {
      const drawn = Hash.integer(hash, seeds[i]!) >>> 0
      const score = areEqual ? drawn : -weights[i]! / Math.log((drawn + 0.5) / 0x1_0000_0000)
      if (score > best && accepts(endpoints[i]!)) {
        best = score
        winner = endpoints[i]
      }
    }
    return winner
  }

  return { first: (hash) => firstWhere(hash, everybody), firstWhere, draw: Preference.anyHash }
}

export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(Random.Random, (random) => ({
    name: "rendezvous",
    usesKey: true,
    make: (endpoints) => Preference.picker(preferenceFor(endpoints), endpoints.length, () => random.nextDoubleUnsafe())
  }))
)
