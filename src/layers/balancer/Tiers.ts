/**
 * The eligible endpoints by tier, each with a picker of its own: primaries first, then backups, with any strategy.
 *
 * Owns when pickers are made: at the first pick from a tier after the list has changed, which for backups is when no
 * primary can be taken.
 */
import type { Endpoint } from "../../services/Load.ts"
import { type Picker, type Search, searchFor, type Strategy } from "../../services/Strategy.ts"

/** The endpoints of one tier. */
export class Tier {
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly level: number
  private readonly strategy: Strategy["Service"]
  private made: { readonly picker: Picker; readonly search: Search } | undefined

  constructor(strategy: Strategy["Service"], level: number, endpoints: ReadonlyArray<Endpoint>) {
    this.strategy = strategy
    this.level = level
    this.endpoints = endpoints
  }

  private get picking() {
    if (this.made === undefined) {
      const picker = this.strategy.make(this.endpoints)
      this.made = { picker, search: searchFor(picker, this.endpoints) }
    }
    return this.made
  }

  /** The picker. */
  get picker(): Picker {
    return this.picking.picker
  }

  /** Finds somebody who can be taken, in the order of the strategy if it has one. */
  get search(): Search {
    return this.picking.search
  }

  /** The picker, if anything was picked with it. */
  get used(): Picker | undefined {
    return this.made?.picker
  }
}

/** The tiers of a list, the first one first. Where there is one only, its list is the same. */
export const tiersOf = (strategy: Strategy["Service"], endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<Tier> => {
  const levels = [...new Set(endpoints.map(({ backend }) => backend.tier))].sort((a, b) => a - b)
  return levels.map((level) =>
    new Tier(
      strategy,
      level,
      levels.length === 1 ? endpoints : endpoints.filter(({ backend }) => backend.tier === level)
    )
  )
}
