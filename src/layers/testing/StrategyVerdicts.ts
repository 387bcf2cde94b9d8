/**
 * How the laws of strategies are judged: each function tries a strategy on one pool and says what is wrong.
 *
 * Owns no pools and no names: those are in `StrategyLaws`. What strategies that go by keys promise is in `KeyVerdicts`,
 * and that nobody is left out in `StarvationVerdicts`.
 */
import type * as Load from "../../services/Load.ts"
import type { Outcome } from "../../services/Outcome.ts"
import { anonymous, type PickContext, type Strategy } from "../../services/Strategy.ts"
import type { ManualClock } from "./ManualClock.ts"
import { keyOf, pause, serve, withKey } from "./Serving.ts"

/** How exact a strategy has to be. */
export interface Bounds {
  /** `other` for a strategy that gives neither equal shares nor shares by weight, and may leave somebody out. */
  readonly shares?: "by promise" | "other" | undefined
  /** How far a share may be off, as a share of all requests. 0.02 unless it says otherwise. */
  readonly shareTolerance?: number | undefined
  /**
   * The share of all keys that may move for no reason when a backend goes or gets another weight. 0.05 unless it says
   * otherwise.
   */
  readonly moveTolerance?: number | undefined
  /** The highest weight with which no more keys move than that. 100 unless it says otherwise. */
  readonly moveMaxWeight?: number | undefined
}

/** A strategy on one pool. */
export interface Sample {
  readonly strategy: Strategy["Service"]
  /** The same once more, with the same random numbers. */
  readonly twin: Strategy["Service"]
  /** The clock that both go by. */
  readonly clock: ManualClock
  /** The endpoints of the pool, new ones each time. */
  readonly list: () => ReadonlyArray<Load.Endpoint>
  readonly bounds: Bounds
}

const contexts: ReadonlyArray<PickContext> = [
  anonymous,
  { ...anonymous, attempt: 7 },
  withKey(""),
  { ...withKey("203.0.113.9"), attempt: 1 }
]

/** A share as it is written in messages. */
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

const isIn = (list: ReadonlyArray<Load.Endpoint>, picked: Load.Endpoint | undefined): string | undefined =>
  picked === undefined
    ? "It picked nobody"
    : list.includes(picked)
    ? undefined
    : `It picked ${picked.backend.id}, which is not in its list of ${list.length}`

/** Nobody is picked from an empty list, whatever is asked for. */
export const emptyList = ({ strategy }: Sample): string | undefined => {
  for (const context of contexts) {
    const picker = strategy.make([])
    for (let i = 0; i < 3; i++) {
      const picked = picker.pick(context) ?? picker.pickWhere?.(context, () => true)
      if (picked !== undefined) return "It picked somebody from an empty list"
    }
  }
  return undefined
}

const outcomes: ReadonlyArray<Outcome> = ["success", "failure", "aborted"]

/**
 * A list, then a part of it, nobody, and the whole again; two pickers take turns, and each is told how its picks end,
 * and those of the ones before it.
 */
export const ownList = ({ clock, list, strategy }: Sample): string | undefined => {
  const all = list()
  const other = list()
  const otherPicker = strategy.make(other)
  for (const part of [all, all.slice(1), all.slice(0, all.length >> 1), [], all]) {
    const picker = strategy.make(part)
    for (const outcome of outcomes) picker.observe?.(all[0]!, outcome, 13)
    picker.ended?.(all[0]!)
    for (let i = 0; i < 3 * part.length + 2; i++) {
      clock.now += pause
      const context = contexts[i % contexts.length]!
      const picked = picker.pick(context)
      if (part.length === 0 && picked !== undefined) return "It picked somebody from a list that had become empty"
      const wrong = (part.length === 0 ? undefined : isIn(part, picked)) ?? isIn(other, otherPicker.pick(context))
      if (wrong !== undefined) return wrong
      if (picked === undefined) continue
      picker.observe?.(picked, outcomes[i % 3]!, i * 13)
      picker.ended?.(picked)
    }
  }
  return undefined
}

/** The list is frozen, and the loads are compared with what they were. */
export const onlyReads = ({ list, strategy }: Sample): string | undefined => {
  const all = Object.freeze(list())
  const before = JSON.stringify(all)
  const picker = strategy.make(all)
  for (let i = 0; i < 100; i++) {
    const endpoint = picker.pick(keyOf(i))
    if (endpoint !== undefined) {
      picker.observe?.(endpoint, outcomes[i % outcomes.length]!, 1)
      picker.ended?.(endpoint)
    }
    picker.pickWhere?.(keyOf(i), (endpoint) => endpoint !== all[i % all.length])
  }
  return JSON.stringify(all) === before
    ? undefined
    : "It changed a load or a backend, which are the balancer's to change"
}

/** Two of the same, side by side. */
export const repeatable = ({ list, strategy, twin }: Sample): string | undefined => {
  const [one, other] = [strategy.make(list()), twin.make(list())]
  for (let i = 0; i < 40; i++) {
    const [a, b] = [one.pick(keyOf(i))?.backend.id, other.pick(keyOf(i))?.backend.id]
    if (a !== b) return `Of two of the same, one picked ${a} and the other ${b}, as if chance were not from Random`
  }
  return undefined
}

/**
 * An idle pool within the tolerance, and a busy one within one and a half of it. Busy means several in flight for each
 * unit of weight, or whole requests are too coarse to show the weights.
 */
export const fairShares = ({ bounds, clock, list, strategy }: Sample): string | undefined => {
  if (bounds.shares === "other") return undefined
  const requests = 20_000
  const { shareTolerance = 0.02 } = bounds
  const states = [["an idle", 1, shareTolerance], ["a busy", 500, shareTolerance * 1.5]] as const
  for (const [state, concurrency, tolerance] of states) {
    const all = list()
    const weightOf = ({ backend }: Load.Endpoint) => (strategy.ignoresWeights === true ? 1 : backend.weight)
    const sum = all.reduce((sum, endpoint) => sum + weightOf(endpoint), 0)
    if (concurrency > 1 && concurrency < 5 * sum) continue
    const counts = serve(strategy.make(all), clock, { requests, concurrency })
    for (const endpoint of all) {
      const [share, expected] = [(counts.get(endpoint) ?? 0) / requests, weightOf(endpoint) / sum]
      if (Math.abs(share - expected) > tolerance) {
        return `In ${state} pool ${endpoint.backend.id} got ${percent(share)} instead of ${percent(expected)}`
      }
    }
  }
  return undefined
}
