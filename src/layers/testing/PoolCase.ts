/**
 * Pools to try a strategy on: how they are drawn at random, and how a pool on which something fails becomes smaller.
 *
 * Knows nothing of strategies and laws (`StrategyLaws`). The same random numbers give the same pools.
 */
import * as Backend from "../../services/Backend.ts"
import * as Load from "../../services/Load.ts"

/** One backend of a pool. */
export interface Member {
  readonly weight: number
  /** Requests that it has in flight at the beginning. */
  readonly inFlight: number
}

/** A pool, and the seed of the random numbers that the strategy gets. */
export interface PoolCase {
  readonly seed: number
  readonly members: ReadonlyArray<Member>
}

/** The pools that a law is about. */
export interface Space {
  /** How many backends, from and to. */
  readonly size: readonly [min: number, max: number]
  readonly maxWeight: number
  readonly maxInFlight: number
}

/** A whole number from `min` to `max`. */
const between = (random: () => number, min: number, max: number): number => min + Math.floor(random() * (max - min + 1))

/**
 * A pool of the space, more often a small one, where a corner is sooner met. `random` gives numbers from 0 to below 1.
 */
export const draw = (space: Space, random: () => number): PoolCase => ({
  seed: between(random, 1, 1_000_000),
  members: Array.from({ length: between(() => random() ** 2, ...space.size) }, () => ({
    weight: between(random, 1, space.maxWeight),
    inFlight: between(random, 0, space.maxInFlight)
  }))
})

/** Smaller pools of the space, the boldest steps first. */
export function* smaller(pool: PoolCase, space: Space): Generator<PoolCase> {
  const { members } = pool
  const [min] = space.size
  for (let removed = members.length - min; removed > 0; removed--) {
    for (let at = 0; at < members.length; at += removed) {
      yield { ...pool, members: members.filter((_, i) => i < at || i >= at + removed) }
    }
  }
  const replace = (at: number, change: Partial<Member>): PoolCase => ({
    ...pool,
    members: members.map((member, i) => (i === at ? { ...member, ...change } : member))
  })
  for (const [i, { inFlight, weight }] of members.entries()) {
    if (inFlight > 0) yield replace(i, { inFlight: 0 })
    if (weight > 1) yield replace(i, { weight: 1 })
    if (weight > 2) yield replace(i, { weight: weight >> 1 })
    if (weight > 2) yield replace(i, { weight: weight - 1 })
  }
}

/** The endpoints of a pool: `a0`, `a1` and so on. */
export const endpoints = ({ members }: PoolCase): ReadonlyArray<Load.Endpoint> =>
  members.map(({ inFlight, weight }, i) => ({
    backend: Backend.make(`http://a${i}`, { id: `a${i}`, weight }),
    load: { ...Load.make(), inFlight, total: inFlight }
  }))

/** A pool in words, such as `a0 with weight 3, a1 with weight 1 and 7 in flight`. */
export const describe = ({ members }: PoolCase): string =>
  members.length === 0 ?
    "nobody" :
    members.map(({ inFlight, weight }, i) =>
      `a${i} with weight ${weight}${inFlight === 0 ? "" : ` and ${inFlight} in flight`}`
    ).join(", ")
