/**
 * Ring hash: requests with the same key go to the same backend, and when a backend leaves, only its keys move.
 *
 * Every backend has points on a ring of hashes, and a key belongs to the next point (Karger et al., "Consistent
 * Hashing and Random Trees", 1997), 160 points for each unit of weight as in nginx and Ketama. Shares stray by one
 * part in the square root of a backend's points: 8 % for 160. Points hang on the id and the weight of a backend alone,
 * so two balancers agree.
 *
 * High weights would give more points than anybody needs. So the points of all are halved as long as one backend has
 * more than 1,600, or all together more than 262,144 and 256 each. A change that crosses such a border moves a good
 * third of the keys; with weights from 1 to 10 and up to 160 backends there is none.
 */
import type * as Layer from "effect/Layer"
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { Strategy } from "../../services/Strategy.ts"
import * as Preference from "./Preference.ts"

/** The points of a backend of weight 1. */
const pointsPerWeight = 160

/** The most points of one backend. */
const mostOfOne = 1_600

/** The most points of a ring, unless each backend has fewer than `fewEach`. */
const mostOfAll = 262_144

const fewEach = 256

/** How many points each endpoint has, one at least. */
const pointsOf = (endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<number> => {
  const most = Math.max(mostOfAll, fewEach * endpoints.length)
  const heaviest = endpoints.reduce((most, { backend }) => Math.max(most, backend.weight), 0)
  const weights = endpoints.reduce((sum, { backend }) => sum + backend.weight, 0)
  let perWeight = pointsPerWeight
  while (heaviest * perWeight > mostOfOne || weights * perWeight > most) perWeight /= 2
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
    const point = hash >>> 0
    let low = 0
    for (let high = points.length; low < high;) {
      const middle = (low + high) >>> 1
      if (points[middle]! < point) low = middle + 1
      else high = middle
    }
    return low === points.length ? 0 : low
  }

  return {
    first: (hash) => endpoints[owners[placeOf(hash)]!],
    firstWhere: (hash, accepts) => search(placeOf(hash), 1, accepts),
    // A point drawn at random belongs to each by weight exactly, while the arcs between the points differ.
    draw: (point) => (points[Math.floor(point * points.length)] ?? 0) | 0
  }
}

/** `ring-hash`: whom the key belongs to, on a ring. A request without a key goes to any, by weight. */
export const layer: Layer.Layer<Strategy> = Preference.layer("ring-hash", preferenceFor)
