/** "Did you mean ...?": the known word that a mistyped one is nearest to. */
import { show } from "./Shown.ts"

/** How many insertions, deletions, replacements and swaps of neighbours turn one word into the other. */
const distance = (a: string, b: string): number => {
  // Optimal string alignment; three rows are enough.
  let beforeLast: Array<number> = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let steps = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        steps = Math.min(steps, beforeLast[j - 2]! + 1)
      }
      row.push(steps)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}

/**
 * The candidate that was probably meant, if any is near enough: a third of its letters may be wrong, and case does not
 * count. Of two equally near ones the first is taken.
 */
export const nearest = (word: string, candidates: ReadonlyArray<string>): string | undefined => {
  let best: string | undefined
  let bestDistance = Infinity
  for (const candidate of candidates) {
    const steps = distance(word.toLowerCase(), candidate.toLowerCase())
    if (steps < bestDistance && steps <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = candidate
      bestDistance = steps
    }
  }
  return best
}

/** The words to append to a message; empty without a suggestion. */
export const words = (suggestion: string | undefined): string =>
  suggestion === undefined ? "" : ` (did you mean ${show(suggestion)}?)`
