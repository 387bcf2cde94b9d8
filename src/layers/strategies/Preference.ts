/**
 * What the hash strategies share: a strategy made of an order of preference.
 *
 * A preference says, for the hash of a key, who is liked best, and who next when that one cannot be taken. From it
 * follows here what happens without a key: it is drawn at random.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import { type Accepts, type PickContext, Strategy } from "../../services/Strategy.ts"

/** For each hash, an order of the endpoints. */
export interface Preference {
  readonly first: (hash: number) => Endpoint | undefined
  /** The first in the order that is accepted. Asks once at the most for each endpoint. */
  readonly firstWhere: (hash: number, accepts: Accepts) => Endpoint | undefined
  /** A hash for a point from 0 to below 1. Of points drawn at random, each endpoint is the first for its share. */
  readonly draw: (point: number) => number
}

/** A hash drawn evenly. */
export const anyHash = (point: number): number => (point * 0x1_0000_0000) | 0

/** A strategy that makes a preference for each list. */
export const layer = (
  name: string,
  preferenceFor: (endpoints: ReadonlyArray<Endpoint>) => Preference
): Layer.Layer<Strategy> =>
  Layer.effect(
    Strategy,
    Effect.map(Random.Random, (random) => ({
      name,
      usesKey: true,
      make: (endpoints) => {
        const { draw, first, firstWhere } = preferenceFor(endpoints)
        const hashOf = (context: PickContext): number => {
          const key = context.key()
          return key === undefined ? draw(random.nextDoubleUnsafe()) : Hash.string(key)
        }
        return {
          pick: (context) => first(hashOf(context)),
          pickWhere: (context, accepts) => firstWhere(hashOf(context), accepts)
        }
      }
    }))
  )

/** Who owns which place of a circle: positions in the list of endpoints. */
export type Owners = Uint16Array | Uint32Array

/** Finds the first owner who is accepted, from a place on around the circle, `step` places at a time. */
export const around = (
  endpoints: ReadonlyArray<Endpoint>,
  owners: Owners
): (place: number, step: number, accepts: Accepts) => Endpoint | undefined => {
  // Most owners are met again and again: the number of the last search that has asked for them.
  const askedIn = new Uint32Array(endpoints.length)
  let search = 0
  return (place, step, accepts) => {
    search = (search + 1) >>> 0
    if (search === 0) askedIn.fill(search++)
    let toAsk = endpoints.length
    for (let steps = owners.length, i = place; steps > 0 && toAsk > 0; steps--) {
      const owner = owners[i]!
      if (askedIn[owner] !== search) {
        askedIn[owner] = search
        toAsk--
        const endpoint = endpoints[owner]!
        if (accepts(endpoint)) return endpoint
      }
      i = i + step < owners.length ? i + step : i + step - owners.length
    }
    return undefined
  }
}
