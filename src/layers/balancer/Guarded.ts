/**
 * A strategy that cannot break what goes on around it: whatever it throws is reported, and counts as no proposal.
 *
 * The balancer then takes anybody, as it does where a proposal cannot be taken.
 */
import type { Endpoint } from "../../services/Load.ts"
import type { Picker, Strategy } from "../../services/Strategy.ts"

/** Told of what was thrown. */
export type Report = (defect: unknown) => void

const nobody: Picker = { pick: () => undefined }

/** The same function, but what it throws is reported, and it gives nothing then. */
export const guarded =
  <A extends ReadonlyArray<unknown>, B>(f: (...args: A) => B, report: Report) => (...args: A): B | undefined => {
    try {
      return f(...args)
    } catch (defect) {
      report(defect)
      return undefined
    }
  }

const make = (strategy: Strategy["Service"], endpoints: ReadonlyArray<Endpoint>): Picker => {
  const picker: Picker | undefined = strategy.make(endpoints)
  if (picker === undefined) throw new TypeError(`the strategy ${strategy.name} has made no picker`)
  return picker
}

/** The picker of a strategy for these endpoints. */
export const pickerFor = (
  strategy: Strategy["Service"],
  endpoints: ReadonlyArray<Endpoint>,
  report: Report
): Picker => {
  const picker = guarded(make, report)(strategy, endpoints) ?? nobody
  return {
    pick: guarded((context) => picker.pick(context), report),
    ...(picker.pickWhere && {
      pickWhere: guarded((context, accepts) => picker.pickWhere?.(context, accepts), report)
    }),
    ...(picker.observe && {
      observe: guarded((endpoint, outcome, latencyMs) => picker.observe?.(endpoint, outcome, latencyMs), report)
    }),
    ...(picker.ended && { ended: guarded((endpoint) => picker.ended?.(endpoint), report) })
  }
}
