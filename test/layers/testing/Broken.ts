/** Strategies that break laws, and how they are caught. */
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Layer from "effect/Layer"
import * as StrategyLaws from "../../../src/layers/testing/StrategyLaws.ts"
import type { Endpoint } from "../../../src/services/Load.ts"
import { type Picker, Strategy } from "../../../src/services/Strategy.ts"

export type Make = (endpoints: ReadonlyArray<Endpoint>) => Picker

/** A strategy that makes its pickers so, and what it says of itself. */
export const broken = (
  make: Make,
  promises: { readonly ignoresWeights?: boolean; readonly usesKey?: boolean } = {}
) => ({
  layer: Layer.sync(Strategy, () => ({ name: "broken", ...promises, make }))
})

/** How the strategy breaks the law. */
export const breakOf = (law: StrategyLaws.Law, subject: StrategyLaws.Subject) =>
  Effect.flip(StrategyLaws.check(law, subject))

/** One after the other, from the first on. */
export const inTurn: Make = (endpoints) => {
  let turn = 0
  return { pick: () => endpoints[turn++ % endpoints.length] }
}

/** A hash of the key, modulo the number of backends. */
export const byKey: Make = (endpoints) => ({
  pick: (context) => endpoints[Math.abs(Hash.string(context.key() ?? "")) % endpoints.length]
})

/** In turn as long as nobody is busy, and then what this does. */
export const whenBusy =
  (pick: (endpoints: ReadonlyArray<Endpoint>, n: number) => Endpoint | undefined): Make => (endpoints) => {
    const idle = inTurn(endpoints)
    let n = 0
    return {
      pick: (context) => endpoints.some(({ load }) => load.inFlight > 0) ? pick(endpoints, n++) : idle.pick(context)
    }
  }

/** Goes on with the turn that it had, unless this says that it begins anew with a list. */
export const beginsAnew = (isNew: (list: ReadonlyArray<Endpoint>, picks: number) => boolean): Make => {
  let turn = 0
  let picks = 0
  return (list) => {
    if (isNew(list, picks)) turn = 0
    picks = 0
    return {
      pick: () => {
        picks++
        return list[turn++ % list.length]
      }
    }
  }
}
