/**
 * When the spread over the backends is even again.
 *
 * It is even over a stretch of time if each backend has answered between 80 and 120 percent of what an even share would
 * be. The stretch is two seconds, 600 requests: a strategy that draws at random is then off by 20 percent (3.5 standard
 * deviations) once in a few hundred stretches, over one second (2.4) once in twenty. Looked at are stretches that begin
 * at the recovery and every 100 ms after it; what counts is the beginning of the first that is even.
 */
import { count } from "./Backends.ts"
import type { Seen } from "./Client.ts"

/** In milliseconds. */
export const stretch = 2_000
const step = 100
const tolerance = 0.2
/** With fewer answers nothing can be said, in answers. */
const least = 300

/** How many answers each backend has given from one time to another. */
const counts = (seen: ReadonlyArray<Seen>, from: number, to: number): ReadonlyMap<string, number> => {
  const result = new Map<string, number>()
  for (const { backend, endedAt, problem } of seen) {
    if (backend === undefined || problem !== undefined || endedAt < from || endedAt >= to) continue
    result.set(backend, (result.get(backend) ?? 0) + 1)
  }
  return result
}

const isEven = (counts: ReadonlyMap<string, number>): boolean => {
  const all = [...counts.values()]
  const total = all.reduce((sum, one) => sum + one, 0)
  const share = total / count
  return total >= least && counts.size === count && all.every((one) => Math.abs(one - share) <= tolerance * share)
}

/** How long after the recovery the spread became even, in milliseconds; undefined if it has not, until now. */
export const evenAfter = (seen: ReadonlyArray<Seen>, recoveredAt: number, now: number): number | undefined => {
  for (let from = recoveredAt; from + stretch <= now; from += step) {
    if (isEven(counts(seen, from, from + stretch))) return from - recoveredAt
  }
  return undefined
}

/** Who has answered how much in each second from a time on, for people. */
export const bySecond = (seen: ReadonlyArray<Seen>, from: number, to: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (let at = from; at < to; at += 1_000) {
    const one = [...counts(seen, at, at + 1_000)].sort(([a], [b]) => a < b ? -1 : 1)
    lines.push(one.map(([name, number]) => `${name} ${number}`).join(", ") || "nobody")
  }
  return lines
}
