/**
 * Tiers: primaries first, backups only when no primary is eligible. A decorator for any strategy, which sees the endpoints of one
 * tier at a time. With one tier it is not there at all.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Strategy } from "../../services/Strategy.ts"

/** The strategy of the context, within the first tier that has anybody eligible. */
export const layer: Layer.Layer<Strategy, never, Strategy> = Layer.effect(
  Strategy,
  Effect.map(Strategy, (strategy) => ({
    ...strategy,
    make: (endpoints) => {
      const first = endpoints.reduce((tier, { backend }) => Math.min(tier, backend.tier), Infinity)
      const isFirst = ({ backend }: typeof endpoints[number]): boolean => backend.tier === first
      return strategy.make(endpoints.every(isFirst) ? endpoints : endpoints.filter(isFirst))
    }
  }))
)
