/**
 * Draws endpoints at random, with chances by weight. Not a strategy, but what several of them draw with.
 *
 * Vose's alias method ("A linear algorithm for generating random numbers with a given distribution", 1991): as many
 * cells as endpoints, all of the same size, of which each belongs to one or two endpoints. A random point falls into a
 * cell at once. A binary search over the weights takes log n steps through memory: with 10,000 endpoints that was 224
 * ns a choice, and is 125 now.
 */
import type { Endpoint } from "../../services/Load.ts"
import { position, type RandomBits, range } from "./RandomBits.ts"

/** Draws positions in a list. */
interface WeightedDraw {
  /** The position that a number of `RandomBits` belongs to. */
  readonly first: (point: number) => number
  /** Another position, with chances as if the one given were not there. There must be two endpoints at least. */
  readonly second: (first: number, random: RandomBits) => number
}

/**
 * For each cell two numbers, which stand side by side so that they come from memory together: up to where the cell
 * belongs to the endpoint of the same position, counted in cells, and whom the rest of it belongs to.
 */
const cellsOf = (weights: ReadonlyArray<number>, sum: number): Float64Array => {
  const n = weights.length
  // In units of which each cell has as many as all weights together, so that all of this is in whole numbers.
  const left = weights.map((weight) => weight * n)
  const cells = new Float64Array(2 * n)
  const short: Array<number> = []
  const long: Array<number> = []
  left.forEach((units, i) => (units < sum ? short : long).push(i))
  for (let i = short.pop(); i !== undefined; i = short.pop()) {
    // As long as one is short of the average, another one is beyond it.
    const donor = long.at(-1)!
    cells[2 * i] = i + left[i]! / sum
    cells[2 * i + 1] = donor
    left[donor]! -= sum - left[i]!
    if (left[donor]! < sum) short.push(long.pop()!)
  }
  for (const i of long) cells[2 * i] = i + 1
  return cells
}

/** After so many draws of the first position again, the second one is searched for. */
const redraws = 3

/**
 * Among fewer than this it is searched for at once: it is found in three steps, and a draw from three is
 * often the first again.
 */
const few = 8

/** How to draw from a list, which must not be empty. */
export const make = (endpoints: ReadonlyArray<Endpoint>): WeightedDraw => {
  const n = endpoints.length
  const weights = endpoints.map(({ backend }) => backend.weight)
  if (weights.every((weight) => weight === weights[0])) {
    return {
      first: (point) => position(point, n),
      second: (first, random) => {
        const other = position(random(), n - 1)
        return other < first ? other : other + 1
      }
    }
  }

  // Each endpoint also owns a stretch of a line that is as long as its weight.
  let length = 0
  const ends = Float64Array.from(weights, (weight) => (length += weight))
  const at = (place: number): number => {
    let low = 0
    for (let high = n - 1; low < high;) {
      const middle = (low + high) >> 1
      if (place < ends[middle]!) high = middle
      else low = middle + 1
    }
    return low
  }

  const tries = n < few ? 0 : redraws
  const cells = cellsOf(weights, length)
  const first = (point: number): number => {
    const place = (point * n) / range
    const cell = Math.floor(place)
    return place < cells[2 * cell]! ? cell : cells[2 * cell + 1]!
  }
  return {
    first,
    second: (known, random) => {
      for (let i = 0; i < tries; i++) {
        const other = first(random())
        if (other !== known) return other
      }
      // From the line without the stretch of the one that is known: what lies behind that moves up.
      const begin = known === 0 ? 0 : ends[known - 1]!
      const stretch = ends[known]! - begin
      const place = (random() * (length - stretch)) / range
      return at(place < begin ? place : place + stretch)
    }
  }
}
