/**
 * How the laws of strategies that go by keys or rank the endpoints are judged, as in `StrategyVerdicts`.
 */
import type * as Load from "../../services/Load.ts"
import type { PickContext } from "../../services/Strategy.ts"
import { keyOf } from "./Serving.ts"
import { type Bounds, percent, type Sample } from "./StrategyVerdicts.ts"

/** An idle pool: a strategy that bounds the load may move keys in a busy one. */
export const sameKey = ({ list, strategy }: Sample): string | undefined => {
  if (strategy.usesKey !== true) return undefined
  const all = list()
  const [picker, another] = [strategy.make(all), strategy.make(all)]
  for (let n = 0; n < 300; n++) {
    const [first, again, rebuilt] = [picker.pick(keyOf(n)), picker.pick(keyOf(n)), another.pick(keyOf(n))]
    if (first !== again) return `client-${n} went to ${first?.backend.id} and then to ${again?.backend.id}`
    if (first !== rebuilt) return `client-${n} went to ${rebuilt?.backend.id} when the picker was made anew`
  }
  return undefined
}

/**
 * Whoever was found cannot be taken any more, until there is nobody left. An idle pool: who is over a bound of the
 * strategy may be left out.
 */
export const nextBest = ({ list, strategy }: Sample): string | undefined => {
  const all = list()
  const [picker, another] = [strategy.make(all), strategy.make(all)]
  if (picker.pickWhere === undefined) return undefined
  for (let n = 0; n < 30; n++) {
    const taken: Array<Load.Endpoint> = []
    const canBeTaken = (endpoint: Load.Endpoint) => !taken.includes(endpoint)
    const liked = picker.pick(keyOf(n))
    for (let left = all.length; left >= 0; left--) {
      const found = picker.pickWhere(keyOf(n), canBeTaken)
      const names = `For client-${n} it found ${found?.backend.id ?? "nobody"}`
      if (found === undefined) {
        if (left === 0) break
        return `${names}, although ${all.find(canBeTaken)?.backend.id} can be taken`
      }
      if (!all.includes(found)) return `${names}, which is not in its list of ${all.length}`
      if (!canBeTaken(found)) return `${names}, which cannot be taken`
      if (strategy.usesKey === true) {
        if (taken.length === 0 && found !== liked) {
          return `${names} when all can be taken, and it picks ${liked?.backend.id}`
        }
        const rebuilt = another.pickWhere?.(keyOf(n), canBeTaken)
        if (found !== rebuilt) return `${names}, and ${rebuilt?.backend.id ?? "nobody"} when the picker was made anew`
      }
      taken.push(found)
    }
  }
  return undefined
}

/** The highest weight of the pools in which few keys move. */
export const moveMaxWeight = ({ moveMaxWeight = 100 }: Bounds): number => moveMaxWeight

const keys = 2_000

/** What is wrong if more keys have moved than the tolerance allows. A key has moved for no reason where `isNeedless`. */
const moves = (
  { bounds: { moveTolerance = 0.05 } }: Sample,
  isNeedless: (context: PickContext) => boolean
): string | undefined => {
  let moved = 0
  for (let n = 0; n < keys; n++) if (isNeedless(keyOf(n))) moved++
  return moved / keys > moveTolerance ? `${percent(moved / keys)} of all keys` : undefined
}

/**
 * Each backend goes in turn, and then each gets another weight. Keys of the others may move only within the tolerance,
 * and those of the backend that changes only where its share says so: to it when it gets heavier.
 */
export const fewKeysMove = (sample: Sample): string | undefined => {
  const { bounds, list, strategy } = sample
  if (strategy.usesKey !== true) return undefined
  const all = list()
  const whole = strategy.make(all)
  for (const gone of all) {
    const rest = strategy.make(all.filter((endpoint) => endpoint !== gone))
    const wrong = moves(sample, (context) => {
      const before = whole.pick(context)
      return before !== gone && rest.pick(context) !== before
    })
    if (wrong !== undefined) return `When ${gone.backend.id} went, ${wrong} left another backend that stayed`
  }
  for (const changed of all) {
    const { id, weight } = changed.backend
    const next = weight < moveMaxWeight(bounds) ? weight + 1 : weight - 1
    if (next === 0) continue
    const backend = { ...changed.backend, weight: next }
    const other = strategy.make(
      all.map((endpoint) => endpoint === changed ? { backend, load: endpoint.load } : endpoint)
    )
    const [light, heavy] = next > weight ? [whole, other] : [other, whole]
    const wrong = moves(sample, (context) => {
      const owner = heavy.pick(context)?.backend.id
      return owner !== id && owner !== light.pick(context)?.backend.id
    })
    if (wrong !== undefined) {
      return `When ${id} got the weight ${next} instead of ${weight}, ${wrong} moved that should have stayed`
    }
  }
  return undefined
}
