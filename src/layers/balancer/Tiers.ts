/**
 * The eligible endpoints by tier, each with a picker of its own: primaries first, then backups, with any strategy.
 *
 * Owns when pickers are made: at the first pick from a tier after the list has changed, which for backups is when no
 * primary can be taken.
 */
import * as Equivalence from "effect/Equivalence"
import type { Endpoint } from "../../services/Load.ts"
import { type Accepts, type Picker, type Search, searchFor } from "../../services/Strategy.ts"

/** Makes a picker for a list. */
export type MakePicker = (endpoints: ReadonlyArray<Endpoint>) => Picker

/** The endpoints of one tier. */
export class Tier {
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly level: number
  private readonly make: MakePicker
  private made: { readonly picker: Picker; readonly search: Search } | undefined
  /** Who was the last to be accepted. */
  private known = 0

  constructor(make: MakePicker, level: number, endpoints: ReadonlyArray<Endpoint>) {
    this.make = make
    this.level = level
    this.endpoints = endpoints
  }

  private get picking() {
    if (this.made === undefined) {
      const picker = this.make(this.endpoints)
      this.made = { picker, search: searchFor(picker, this.endpoints) }
    }
    return this.made
  }

  /** Whether all of it are on trial, one exchange at a time each. */
  get isOnTrial(): boolean {
    return this.endpoints.every(({ load }) => load.isOnTrial)
  }

  /** The picker. */
  get picker(): Picker {
    return this.picking.picker
  }

  /** Finds somebody who can be taken, in the order of the strategy if it has one. */
  get search(): Search {
    return this.picking.search
  }

  /**
   * Whether anybody of it is accepted. To be asked before a search: one in vain is as many turns of who goes in turn, and
   * so could be over and over again the turn of the same one. Where thousands cannot be taken, they are not asked again
   * each time.
   */
  has(accepts: Accepts): boolean {
    const n = this.endpoints.length
    for (let i = 0; i < n; i++) {
      if (accepts(this.endpoints[this.known]!)) return true
      this.known = this.known + 1 < n ? this.known + 1 : 0
    }
    return false
  }

  /** The picker, if anything was picked with it. */
  get used(): Picker | undefined {
    return this.made?.picker
  }
}

const sameEndpoints = Equivalence.Array(Equivalence.strictEqual<Endpoint>())

/**
 * The tiers of a list, the first one first. Where there is one only, its list is the same. One of `before` that has the
 * same endpoints stays, with its picker and what that has learned.
 */
export const tiersOf = (
  make: MakePicker,
  endpoints: ReadonlyArray<Endpoint>,
  before: ReadonlyArray<Tier> = []
): ReadonlyArray<Tier> => {
  const levels = [...new Set(endpoints.map(({ backend }) => backend.tier))].sort((a, b) => a - b)
  return levels.map((level) => {
    const list = levels.length === 1 ? endpoints : endpoints.filter(({ backend }) => backend.tier === level)
    const known = before.find((tier) => tier.level === level)
    return known !== undefined && sameEndpoints(known.endpoints, list) ? known : new Tier(make, level, list)
  })
}
