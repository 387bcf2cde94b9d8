/**
 * Draws endpoints at random, with chances by weight. Not a strategy, but what several of them draw with.
 *
 * Each endpoint owns a stretch of a line that is as long as its weight; a random point on the line belongs to one of them. It
 * takes a binary search to find whom, and nothing at all where all weights are the same.
 */
import type { Endpoint } from "../../services/Load.ts"
import { position, range } from "./RandomBits.ts"

/** Draws positions in a list. A point is a number of `RandomBits`. */
export interface WeightedDraw {
  /** The position that a point belongs to. */
  readonly first: (point: number) => number
  /** Another position, with chances as if the one given were not there. There must be two endpoints at least. */
  readonly second: (first: number, point: number) => number
}

/** How to draw from a list, which must not be empty. */
export const make = (endpoints: ReadonlyArray<Endpoint>): WeightedDraw => {
  const n = endpoints.length
  const same = endpoints[0]?.backend.weight
  if (endpoints.every(({ backend }) => backend.weight === same)) {
    return {
      first: (point) => position(point, n),
      second: (first, point) => {
        const other = position(point, n - 1)
        return other < first ? other : other + 1
      }
    }
  }

  let length = 0
  const ends = Float64Array.from(endpoints, ({ backend }) => (length += backend.weight))
  const at = (place: number): number => {
    let low = 0
    for (let high = n - 1; low < high;) {
      const middle = (low + high) >> 1
      if (place < ends[middle]!) high = middle
      else low = middle + 1
    }
    return low
  }
  return {
    first: (point) => at((point * length) / range),
    second: (first, point) => {
      // From the line without the stretch of the first: what lies behind that moves up.
      const begin = first === 0 ? 0 : ends[first - 1]!
      const stretch = ends[first]! - begin
      const place = (point * (length - stretch)) / range
      return at(place < begin ? place : place + stretch)
    }
  }
}
