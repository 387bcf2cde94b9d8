/**
 * Zones: endpoints of the balancer's own zone first, as long as they are enough. A decorator for any strategy.
 *
 * As Envoy's zone-aware routing does, it assumes that every zone has its share of the balancers, so that each should
 * have the same share of the endpoints, by weight unless the strategy ignores weights. A zone that has less keeps as
 * much of its traffic as it can bear like the others, and the rest goes to zones that have more. (Envoy, "Zone aware
 * routing". It does so from six endpoints on, and looks where its peers are; here all peers are taken to be spread
 * evenly. Of several zones that have more, it gives each what it can spare; here all their endpoints get as much.)
 *
 * Of a subset the zone has the same share as of the traffic, so that all of the subset are equally busy. That is why it
 * is drawn here: one of all endpoints may have nobody of the zone. And what is fair to have in flight follows from how
 * the traffic is divided, so the load is bounded here as well: a hot key belongs to one half, and must not stay there.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Hash from "../../services/Hash.ts"
import type { Endpoint } from "../../services/Load.ts"
import { type PickContext, type Picker, Strategy } from "../../services/Strategy.ts"
import * as Validate from "../../services/Validate.ts"
import * as BoundedLoad from "./BoundedLoad.ts"
import * as Subset from "./Subset.ts"

type Zone = string | undefined

/** How much of all weight a zone has: 1 is its fair share, which is the same for each zone. */
const sizes = (
  endpoints: ReadonlyArray<Endpoint>,
  weightOf: (endpoint: Endpoint) => number
): (zone: Zone) => number => {
  const weights = new Map<Zone, number>()
  let total = 0
  for (const endpoint of endpoints) {
    const { backend: { zone } } = endpoint
    weights.set(zone, (weights.get(zone) ?? 0) + weightOf(endpoint))
    total += weightOf(endpoint)
  }
  return (zone) => (weights.get(zone) ?? 0) * weights.size / total
}

const sum = (endpoints: ReadonlyArray<Endpoint>, weightOf: (endpoint: Endpoint) => number): number =>
  endpoints.reduce((total, endpoint) => total + weightOf(endpoint), 0)

/** Not the seed of other hashes, so that a key's half and its place in a ring or a table are independent. */
const seed = 0x7a6f6e65

/** For a share of the traffic, says of each request whether it is in it: by the place of its key, or else evenly mixed. */
type Split = (part: number) => (at: number | undefined) => boolean

const makeSplit = (): Split => {
  // Kept across rebuilds, or a small part would be nothing where they are frequent. In arrays, because V8 makes an
  // object of a fraction in a variable.
  const last = Float64Array.of(0)
  return (part) => {
    const credit = last.slice()
    return (at) => {
      if (at !== undefined) return at < part
      const more = credit[0]! + part
      const belongs = more >= 1
      last[0] = credit[0] = belongs ? more - 1 : more
      return belongs
    }
  }
}

/** The two halves of a divided pool, and how requests are divided between them. */
interface Halves {
  /** Over endpoints of the zone. */
  readonly here: Picker
  readonly elsewhere: Picker
  readonly isLocal: (endpoint: Endpoint) => boolean
  /** The share of the requests that stays in the zone. */
  readonly part: number
  /** Whether the request with its key at this place is one of them. */
  readonly isKept: (at: number | undefined) => boolean
  readonly placeOf: (context: PickContext) => number | undefined
}

/** One picker over both halves. */
const divided = ({ elsewhere, here, isKept, isLocal, part, placeOf }: Halves): Picker => ({
  pick: (context) => (isKept(placeOf(context)) ? here : elsewhere).pick(context),
  pickWhere: (context, accepts) => {
    // The ranking of a key goes on in the other half. Without a key, the zone comes first.
    const isHere = (placeOf(context) ?? 0) < part
    const [first, second] = isHere ? [here, elsewhere] : [elsewhere, here]
    return first.pickWhere?.(context, accepts) ?? second.pickWhere?.(context, accepts)
  },
  observe: (endpoint, outcome, latencyMs) =>
    (isLocal(endpoint) ? here : elsewhere).observe?.(endpoint, outcome, latencyMs),
  ended: (endpoint) => (isLocal(endpoint) ? here : elsewhere).ended?.(endpoint)
})

/**
 * A picker for some of the endpoints, of which nobody has to be taken: then it goes on to the others in an order of
 * theirs, which is made when it is needed.
 */
const goingOn = (
  picker: Picker,
  near: ReadonlyArray<Endpoint>,
  endpoints: ReadonlyArray<Endpoint>,
  makeOver: (endpoints: ReadonlyArray<Endpoint>) => Picker
): Picker => {
  if (near.length === endpoints.length) return picker
  const isNear = new Set(near)
  let others: Picker | undefined
  const of = (endpoint: Endpoint): Picker | undefined => (isNear.has(endpoint) ? picker : others)
  return {
    pick: (context) => picker.pick(context),
    pickWhere: (context, accepts) => {
      const found = picker.pickWhere?.(context, accepts)
      if (found !== undefined) return found
      others ??= makeOver(endpoints.filter((endpoint) => !isNear.has(endpoint)))
      return others.pickWhere?.(context, accepts)
    },
    observe: (endpoint, outcome, latencyMs) => of(endpoint)?.observe?.(endpoint, outcome, latencyMs),
    ended: (endpoint) => of(endpoint)?.ended?.(endpoint)
  }
}

/**
 * How many of a subset are of the zone: its part, at least one, and more or fewer where one side has too few endpoints.
 */
const sizeHere = (part: number, local: number, others: number, size: number): number =>
  Math.max(1, size - others, Math.min(local, size - 1, Math.round(size * part)))

/**
 * The strategy of the context, with a preference for the zone, over a subset of the endpoints, and with the load of each
 * bounded to a factor times its fair share. What is `undefined` is left out; without all it is the strategy itself.
 */
export const layer = (
  zone: string | undefined,
  subset?: Subset.Options,
  factor?: number
): Layer.Layer<Strategy, never, Strategy> => {
  Validate.number("subset.size", subset?.size, Validate.count)
  Validate.number("factor", factor, Validate.aboveOne)
  return Layer.effect(
    Strategy,
    Effect.map(Strategy, (strategy) => {
      const split = makeSplit()
      const placeOf = (context: PickContext): number | undefined => {
        const key = strategy.usesKey === true ? context.key() : undefined
        return key === undefined ? undefined : Hash.place(key, seed)
      }
      const weightOf = ({ backend }: Endpoint): number => (strategy.ignoresWeights === true ? 1 : backend.weight)
      const someOf = (endpoints: ReadonlyArray<Endpoint>, size = subset?.size): ReadonlyArray<Endpoint> =>
        subset === undefined || size === undefined ? endpoints : Subset.of(endpoints, { id: subset.id, size })
      const bounded = (picker: Picker, endpoints: ReadonlyArray<Endpoint>, shareOf = weightOf): Picker =>
        factor === undefined ? picker : BoundedLoad.around(picker, endpoints, shareOf, factor)
      const makeOver = (endpoints: ReadonlyArray<Endpoint>): Picker => Subset.pickerOver(strategy, endpoints)
      return {
        ...strategy,
        make: (endpoints): Picker => {
          const isLocal = ({ backend }: Endpoint): boolean => backend.zone === zone
          const local = zone === undefined ? [] : endpoints.filter(isLocal)
          if (local.length === 0 || local.length === endpoints.length) {
            if (subset === undefined) return bounded(strategy.make(endpoints), endpoints)
            const some = someOf(endpoints)
            return goingOn(bounded(makeOver(some), some), some, endpoints, makeOver)
          }
          const sizeOf = sizes(endpoints, weightOf)
          const part = Math.min(1, sizeOf(zone))
          const others = endpoints.filter(({ backend }) => sizeOf(backend.zone) > 1)
          const size = Math.min(subset?.size ?? Infinity, endpoints.length)
          const mine = part === 1 ? size : sizeHere(part, local.length, others.length, size)
          const near = someOf(local, mine)
          if (mine === size) return goingOn(bounded(makeOver(near), near), near, endpoints, makeOver)
          const far = someOf(others, size - mine)
          const here = makeOver(near)
          const elsewhere = makeOver(far)
          const whole = divided({ here, elsewhere, isLocal, part, isKept: split(part), placeOf })
          const share = part / sum(near, weightOf)
          const shareElsewhere = (1 - part) / sum(far, weightOf)
          const some = [...near, ...far]
          const all = bounded(whole, some, (one) => weightOf(one) * (isLocal(one) ? share : shareElsewhere))
          return goingOn(all, some, endpoints, makeOver)
        }
      }
    })
  )
}
