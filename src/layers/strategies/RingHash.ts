/**
 * Ring hash: requests with the same key go to the same backend, and when a backend leaves, only its keys move.
 *
 * Every backend has points on a ring of hashes, and a key belongs to the next point (Karger et al., "Consistent Hashing and
 * Random Trees", 1997), 160 points for each unit of weight as in nginx and Ketama. Shares stray by one part in the square root
 * of a backend's points: 8 % for 160. Points hang on the id and the weight of a backend alone, so two balancers agree.
 *
 * Where weights are high, that would be more points than anybody needs, so the points of all are halved until there are at
 * most 65,536, or 256 for each backend if that is more. A change of weights that crosses this border moves more than its share.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import { Strategy } from "../../services/Strategy.ts"
import * as Preference from "./Preference.ts"

/** The points of a backend of weight 1. */
export const pointsPerWeight = 160

const mostPoints = 65_536

const mostPointsPerEndpoint = 256

/** How many points each endpoint has, one at least. */
const pointsOf = (endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<number> => {
  const most = Math.max(mostPoints, mostPointsPerEndpoint * endpoints.length)
  let perWeight = pointsPerWeight
  const weights = endpoints.reduce((sum, { backend }) => sum + backend.weight, 0)
  while (weights * perWeight > most) perWeight /= 2
  return endpoints.map(({ backend }) => Math.max(1, Math.round(backend.weight * perWeight)))
}

interface Ring {
  /** In ascending order. */
  readonly points: Uint32Array
  /** Whose point it is: positions in the list of endpoints. */
  readonly owners: Uint32Array
}

/** Sorts by eleven bits of the points at a time: ten times as fast as to sort pairs. */
const sort = (ring: Ring): Ring => {
  const n = ring.points.length
  let from = ring
  let to: Ring = { points: new Uint32Array(n), owners: new Uint32Array(n) }
  for (let shift = 0; shift < 32; shift += 11) {
    // How many have each digit, and then where the next one of them goes.
    const next = new Uint32Array(2 ** 11 + 1)
    for (let i = 0; i < n; i++) next[((from.points[i]! >>> shift) & 0x7ff) + 1]!++
    for (let digit = 1; digit < next.length; digit++) next[digit]! += next[digit - 1]!
    for (let i = 0; i < n; i++) {
      const place = next[(from.points[i]! >>> shift) & 0x7ff]!++
      to.points[place] = from.points[i]!
      to.owners[place] = from.owners[i]!
    }
    const sorted = to
    to = from
    from = sorted
  }
  return from
}

const build = (endpoints: ReadonlyArray<Endpoint>): Ring => {
  const counts = pointsOf(endpoints)
  const n = counts.reduce((sum, count) => sum + count, 0)
  const ring = { points: new Uint32Array(n), owners: new Uint32Array(n) }
  let at = 0
  endpoints.forEach(({ backend }, owner) => {
    const seed = Hash.string(backend.id)
    for (let i = 0; i < counts[owner]!; i++, at++) {
      ring.points[at] = Hash.integer(i, seed)
      ring.owners[at] = owner
    }
  })
  return sort(ring)
}

const preferenceFor = (endpoints: ReadonlyArray<Endpoint>): Preference.Preference => {
  const { owners, points } = build(endpoints)
  const search = Preference.around(endpoints, owners)

  /** Where the first point is that is not below the hash. */
  const placeOf = (hash: number): number => {
    let low = 0
    for (let high = points.length; low < high;) {
      const middle = (low + high) >>> 1
      if (points[middle]! < hash) low = middle + 1
      else high = middle
    }
    return low === points.length ? 0 : low
  }

  return {
    first: (hash) => endpoints[owners[placeOf(hash)]!],
    firstWhere: (hash, accepts) => search(placeOf(hash), accepts),
    // A point drawn at random belongs to each by weight exactly, while the arcs between the points differ.
    draw: (point) => points[Math.floor(point * points.length)] ?? 0
  }
}

export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(Random.Random, (random) => ({
    name: "ring-hash",
    usesKey: true,
    make: (endpoints) => Preference.picker(preferenceFor(endpoints), endpoints.length, () => random.nextDoubleUnsafe())
  }))
)
