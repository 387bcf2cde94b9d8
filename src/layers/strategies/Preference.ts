/**
 * What the hash strategies share: a picker over an order of preference. Not a strategy.
 *
 * A preference says, for the hash of a key, who is liked best, and who next when that one cannot be taken.
 * From it follow here what happens without a key (it is drawn at random), and at a second try (it goes to the
 * next one in the order).
 */
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { Accepts, PickContext, Picker } from "../../services/Strategy.ts"

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

/** Picks for the key of a context by preference among `n` endpoints. */
export const picker = ({ draw, first, firstWhere }: Preference, n: number, random: () => number): Picker => {
  const hashOf = (context: PickContext): number => {
    const key = context.key()
    return key === undefined ? draw(random()) : Hash.string(key)
  }

  // Kept, so that nothing is allocated for a further try.
  const passedOver: Array<Endpoint> = []
  let passed = 0
  const isNotPassedOver = (endpoint: Endpoint): boolean => {
    for (let i = 0; i < passed; i++) if (passedOver[i] === endpoint) return false
    return true
  }

  return {
    pick: (context) => {
      const hash = hashOf(context)
      if (context.attempt === 0 || n < 2) return first(hash)
      const place = context.attempt % n
      for (passed = 0; passed < place; passed++) {
        const endpoint = firstWhere(hash, isNotPassedOver)
        if (endpoint === undefined) break
        passedOver[passed] = endpoint
      }
      return firstWhere(hash, isNotPassedOver) ?? first(hash)
    },
    pickWhere: (context, accepts) => firstWhere(hashOf(context), accepts)
  }
}

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
