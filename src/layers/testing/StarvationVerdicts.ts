/**
 * How the laws about who is left out are judged, as in `StrategyVerdicts`.
 *
 * Owns what can go badly for a backend at first, after which it must be picked again.
 */
import type * as Load from "../../services/Load.ts"
import { type End, good, serve } from "./Serving.ts"
import type { Sample } from "./StrategyVerdicts.ts"

const slow: End = { outcome: "success", latency: 1_000 }

const failed: End = { outcome: "failure", latency: 1_000 }

/** Who begins badly: everybody alike, or only one, who must not be passed over for ever because the others never did. */
const beginnings: ReadonlyArray<{ readonly first: End; readonly isAlone: boolean; readonly words: string }> = [
  { first: slow, isAlone: false, words: "" },
  { first: slow, isAlone: true, words: ", when only a0 was slow at first" },
  { first: failed, isAlone: true, words: ", when only a0 failed at first" }
]

/**
 * The milliseconds that a strategy has for forgetting. A moving average over 10 s, which Finagle has, takes 70 s from a
 * second to a millisecond; with the requests before and after it this is enough.
 */
const forgetting = 60_000

/**
 * The first answer of some takes a second, or they fail; all others are good. Everybody must be picked in the second
 * half, which is later by the time that strategies may need to forget.
 */
export const nobodyStarves = ({ bounds, clock, list, strategy }: Sample): string | undefined => {
  if (bounds.shares === "other") return undefined
  const requests = 4_000
  for (const { first, isAlone, words } of beginnings) {
    for (const concurrency of [1, 50]) {
      const all = list()
      const late = new Set<Load.Endpoint>()
      const toBeginBadly = new Set(isAlone ? all.slice(0, 1) : all)
      const endOf = (endpoint: Load.Endpoint): End => (toBeginBadly.delete(endpoint) ? first : good)
      const onPick = (endpoint: Load.Endpoint, n: number): void => {
        if (n >= requests / 2) late.add(endpoint)
        else if (n === requests / 2 - 1) clock.now += forgetting
      }
      serve(strategy.make(all), clock, { requests, concurrency, endOf, onPick })
      const starved = all.find((endpoint) => !late.has(endpoint))
      if (starved !== undefined) {
        return `With ${concurrency} in flight ${starved.backend.id} got none of ${requests / 2} requests${words}`
      }
    }
  }
  return undefined
}

/**
 * One backend leaves and returns again and again, so that the picker is made anew every few picks, and everybody else
 * must be picked in the second half. Who it is that comes and goes must not matter, nor how often.
 */
export const nobodyStarvesInChange = ({ bounds, clock, list, strategy }: Sample): string | undefined => {
  if (bounds.shares === "other" || strategy.usesKey === true) return undefined
  const changes = 1_200
  const all = list()
  for (const picksEach of [1, all.length >> 1]) {
    for (const restless of [all[0], all.at(-1)]) {
      const others = all.filter((endpoint) => endpoint !== restless)
      const late = new Set<Load.Endpoint>()
      for (let change = 0; change < changes; change++) {
        const picker = strategy.make(change % 2 === 0 ? all : others)
        const counts = serve(picker, clock, { requests: picksEach, concurrency: 1 })
        if (change >= changes / 2) { for (const endpoint of counts.keys()) late.add(endpoint) }
      }
      const starved = others.find((endpoint) => !late.has(endpoint))
      if (starved !== undefined) {
        const [every, requests] = [picksEach === 1 ? "pick" : `${picksEach} picks`, (changes / 2) * picksEach]
        return `With a picker made anew every ${every}, because ${restless?.backend.id} comes and goes, ` +
          `${starved.backend.id} got none of ${requests} requests`
      }
    }
  }
  return undefined
}
