/** What is drawn from one seed. */
import { randomFrom } from "../soak/Random.ts"

export const dice = (seed: number) => {
  const next = randomFrom(seed)
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1))
  const pick = <A>(...all: readonly [A, ...ReadonlyArray<A>]): A => all[int(0, all.length - 1)] ?? all[0]
  const chance = (probability: number): boolean => next() < probability
  /** The fields with this probability, or none. */
  const maybe = <A extends object>(probability: number, fields: A): Partial<A> => (chance(probability) ? fields : {})
  /** Of events that happen so often a second, how long after one the next one is. */
  const gap = (perSecond: number): number => Math.round(-Math.log(1 - next()) * 1_000 / perSecond)
  return { chance, gap, int, maybe, next, pick }
}

export type Dice = ReturnType<typeof dice>
