/**
 * Maglev: requests with the same key go to the same backend, which a table finds in one step.
 *
 * Backends take turns to fill the table, each along an order of its own (Eisenbud et al., "Maglev: A Fast and Reliable
 * Software Network Load Balancer", NSDI 2016, section 3.4), heavy ones more often. So shares are exact to one entry,
 * which no other hash achieves. The price: when a backend leaves, a few keys of others move, too.
 *
 * The sizes are those of the paper; the small one is Envoy's as well. A size that followed the number of backends would
 * move nearly all keys whenever it changed, so there is one step: up to 655 backends the small table has 100 entries or
 * more for each, and so shares that are exact to 1 %; from 656 on it is the large one, in which 10,000 have 65 or 66.
 * Filling the small one takes about 3 ms, the large one 40. The table hangs on ids and weights alone, and not on their
 * order, so two balancers agree.
 */
import type * as Layer from "effect/Layer"
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { Strategy } from "../../services/Strategy.ts"
import * as Preference from "./Preference.ts"

const smallSize = 65_537

const largeSize = 655_373

/** The size for so many backends: a prime, so that every skip leads through the whole table. */
export const sizeFor = (n: number): number => n * 100 <= smallSize ? smallSize : largeSize

/** How somebody goes through the table: from `offset` on, always `skip` entries further. */
export interface Permutation {
  readonly offset: number
  /** From 1 to the size of the table, less one. */
  readonly skip: number
  readonly weight: number
}

/**
 * Fills a table of a prime size; its entries are positions in the list.
 *
 * In each round whoever is due takes the next free entry of its permutation. The heaviest are due in every round,
 * others as often as their weight says. With equal weights this is the algorithm of the paper.
 */
export const populate = (permutations: ReadonlyArray<Permutation>, size: number): Preference.Owners => {
  const n = permutations.length
  const free = n <= 0xffff ? 0xffff : 0xffffffff
  const table = n <= 0xffff ? new Uint16Array(size).fill(free) : new Uint32Array(size).fill(free)
  const places = Uint32Array.from(permutations, ({ offset }) => offset)
  const skips = Uint32Array.from(permutations, ({ skip }) => skip)
  const heaviest = permutations.reduce((most, { weight }) => Math.max(most, weight), 0)
  const rounds = Math.ceil((size * heaviest) / permutations.reduce((sum, { weight }) => sum + weight, 0))

  // A calendar: for each round a linked list of those who are due, in the order in which they were entered.
  const nobody = -1
  const firstOf = new Int32Array(rounds).fill(nobody)
  const lastOf = new Int32Array(rounds)
  const next = new Int32Array(n)
  const turns = new Uint32Array(n)
  const enter = (who: number): void => {
    const round = Math.floor((turns[who]!++ * heaviest) / permutations[who]!.weight)
    if (round >= rounds) return
    next[who] = nobody
    if (firstOf[round] === nobody) firstOf[round] = who
    else next[lastOf[round]!] = who
    lastOf[round] = who
  }
  for (let who = 0; who < n; who++) enter(who)

  let left = size
  for (let round = 0; round < rounds; round++) {
    for (let who = firstOf[round]!, following = nobody; who !== nobody; who = following) {
      following = next[who]!
      const skip = skips[who]!
      let place = places[who]!
      while (table[place] !== free) place = place + skip < size ? place + skip : place + skip - size
      table[place] = who
      places[who] = place
      if (--left === 0) return table
      enter(who)
    }
  }
  return table
}

const offsetSeed = 0

const skipSeed = 1

const placeOf = (hash: number, size: number): number => (hash >>> 0) % size

const skipOf = (hash: number, size: number): number => ((hash >>> 0) % (size - 1)) + 1

const preferenceFor = (endpoints: ReadonlyArray<Endpoint>): Preference.Preference => {
  if (endpoints.length === 0) return { first: () => undefined, firstWhere: () => undefined, draw: () => 0 }
  const size = sizeFor(endpoints.length)
  const sorted = [...endpoints].sort((a, b) => a.backend.id < b.backend.id ? -1 : 1)
  const table = populate(
    sorted.map(({ backend: { id, weight } }) => ({
      offset: placeOf(Hash.string(id, offsetSeed), size),
      skip: skipOf(Hash.string(id, skipSeed), size),
      weight
    })),
    size
  )
  const search = Preference.around(sorted, table)
  return {
    first: (hash) => sorted[table[placeOf(hash, size)]!],
    // Neighbours in the table are no chance: whose entry is next hangs on whose this one is. So each
    // key goes its own way.
    firstWhere: (hash, accepts) => search(placeOf(hash, size), skipOf(Hash.integer(hash), size), accepts),
    draw: Preference.anyHash
  }
}

/** `maglev`: whom the key belongs to, in a table. A request without a key goes to any, by weight. */
export const layer: Layer.Layer<Strategy> = Preference.layer("maglev", preferenceFor)
