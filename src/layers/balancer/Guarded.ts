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

const attempt = (strategy: Strategy["Service"], endpoints: ReadonlyArray<Endpoint>, report: Report): Picker => {
  try {
    const picker: Picker | undefined = strategy.make(endpoints)
    if (picker === undefined) throw new TypeError(`the strategy ${strategy.name} has made no picker`)
    return picker
  } catch (defect) {
    report(defect)
    return nobody
  }
}

/** The picker of a strategy for these endpoints. */
export const pickerFor = (
  strategy: Strategy["Service"],
  endpoints: ReadonlyArray<Endpoint>,
  report: Report
): Picker => {
  const picker = attempt(strategy, endpoints, report)
  return {
    pick: (context) => {
      try {
        return picker.pick(context)
      } catch (defect) {
        report(defect)
        return undefined
      }
    },
    ...(picker.pickWhere !== undefined && {
      pickWhere: (context, accepts) => {
        try {
          return picker.pickWhere?.(context, accepts)
        } catch (defect) {
          report(defect)
          return undefined
        }
      }
    }),
    ...(picker.observe !== undefined && {
      observe: (endpoint, outcome, latencyMs) => {
        try {
          picker.observe?.(endpoint, outcome, latencyMs)
        } catch (defect) {
          report(defect)
        }
      }
    }),
    ...(picker.ended !== undefined && {
      ended: (endpoint) => {
        try {
          picker.ended?.(endpoint)
        } catch (defect) {
          report(defect)
        }
      }
    })
  }
}
