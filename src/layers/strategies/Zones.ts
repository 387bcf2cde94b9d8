/**
 * Zones: endpoints of the balancer's own zone first, as long as they are enough. A decorator for any strategy.
 *
 * As Envoy's zone-aware routing does, it assumes that every zone has its share of the balancers, so that each should
 * have the same share of the endpoints, by weight unless the strategy ignores weights. A zone that has less keeps as
 * much of its traffic as it can bear like the others, and the rest goes to them. (Envoy, "Zone aware routing". It does
 * so from six endpoints on, and looks where its peers are; here all peers are taken to be spread evenly.)
 */
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Layer from "effect/Layer"
import type { Endpoint } from "../../services/Load.ts"
import { type PickContext, type Picker, Strategy } from "../../services/Strategy.ts"

/** The part of the traffic that the zone keeps: from 0 to 1. */
const keptBy = (
  local: ReadonlyArray<Endpoint>,
  all: ReadonlyArray<Endpoint>,
  weightOf: (endpoint: Endpoint) => number
): number => {
  const total = (endpoints: ReadonlyArray<Endpoint>) => endpoints.reduce((sum, endpoint) => sum + weightOf(endpoint), 0)
  const zones = new Set(all.map(({ backend }) => backend.zone)).size
  return Math.min(1, (total(local) * zones) / total(all))
}

/**
 * A number from 0 to below 1 that the key alone decides. Hashes of similar keys are close to each other
 * until they are mixed.
 */
const place = (key: string): number => {
  const hash = Math.imul(Hash.string(key) ^ 0x9e3779b9, 0x85ebca6b)
  return (Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35) >>> 0) / 2 ** 32
}

/** Sends the part to one picker and the rest to the other: the same keys each time, or else evenly mixed. */
const split = (part: number, usesKey: boolean): (context: PickContext) => boolean => {
  let credit = 0
  return (context) => {
    const key = usesKey ? context.key() : undefined
    if (key !== undefined) return place(key) < part
    credit += part
    if (credit < 1) return false
    credit -= 1
    return true
  }
}

/** The strategy of the context, with a preference for the zone. Without one it is the strategy itself. */
export const layer = (zone: string | undefined): Layer.Layer<Strategy, never, Strategy> =>
  Layer.effect(
    Strategy,
    Effect.map(Strategy, (strategy) => ({
      ...strategy,
      make: (endpoints): Picker => {
        const isLocal = ({ backend }: Endpoint): boolean => backend.zone === zone
        const local = zone === undefined ? [] : endpoints.filter(isLocal)
        if (local.length === 0 || local.length === endpoints.length) return strategy.make(endpoints)
        const part = keptBy(local, endpoints, ({ backend }) => (strategy.ignoresWeights === true ? 1 : backend.weight))
        const here = strategy.make(local)
        if (part === 1) return here
        const elsewhere = strategy.make(endpoints.filter((endpoint) => !isLocal(endpoint)))
        const isKept = split(part, strategy.usesKey === true)
        return {
          pick: (context) => (isKept(context) ? here : elsewhere).pick(context),
          // The ranking of a key goes on in the other half.
          ...(here.pickWhere === undefined ? {} : {
            pickWhere: (context, accepts) => {
              const [first, second] = isKept(context) ? [here, elsewhere] : [elsewhere, here]
              return first.pickWhere?.(context, accepts) ?? second.pickWhere?.(context, accepts)
            }
          }),
          observe: (endpoint, outcome, latencyMs) =>
            (isLocal(endpoint) ? here : elsewhere).observe?.(endpoint, outcome, latencyMs),
          ended: (endpoint) => (isLocal(endpoint) ? here : elsewhere).ended?.(endpoint)
        }
      }
    }))
  )
