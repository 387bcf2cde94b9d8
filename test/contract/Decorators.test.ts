/**
 * The laws for strategies with something around them: they have to hold there as well, but for those that a decorator
 * breaks on purpose.
 */
import { describe, it } from "@effect/vitest"
import { type StrategyName, strategyOf } from "../../src/layers/strategies/index.ts"
import * as StrategyLaws from "../../src/layers/testing/StrategyLaws.ts"
import { traits } from "./Traits.ts"

/** What is around a strategy, and the laws that are not for it. */
interface Around {
  readonly what: string
  readonly settings: Partial<Parameters<typeof strategyOf>[0]>
  readonly except: ReadonlyArray<StrategyLaws.Law>
}

const decorators: ReadonlyArray<Around> = [
  { what: "with a bound of its load", settings: { hash: { balanceFactor: 1.25 } }, except: [] },
  {
    what: "over a subset",
    settings: { subset: { id: "lb-1", size: 3 } },
    // Most get nothing unless nobody of the subset can be taken, which is for the balancer to see. And a third of the
    // keys goes to whoever takes the place of one that has left.
    except: [
      StrategyLaws.fairShares,
      StrategyLaws.nobodyStarves,
      StrategyLaws.nobodyStarvesInChange,
      StrategyLaws.fewKeysMove,
      StrategyLaws.nextBest
    ]
  }
]

const names: ReadonlyArray<StrategyName> = ["weighted-round-robin", "peak-ewma", "maglev", "rendezvous"]

describe.each(names.flatMap((name) => decorators.map((around) => [`${name} ${around.what}`, name, around] as const)))(
  "%s",
  (_, name, { except, settings }) => {
    const layer = strategyOf({ strategy: name, hash: {}, subset: { id: "" }, ...settings })
    for (const law of StrategyLaws.laws) {
      if (except.includes(law)) continue
      it.effect(law.name, () => StrategyLaws.check(law, { layer, ...traits[name].bounds }), 60_000)
    }
  }
)
