/** What is drawn from one seed. */
import { randomFrom } from "./Random.ts"

export const dice = (seed: number) => {
  const next = randomFrom(seed)
  const below = (limit: number): number => Math.floor(next() * limit)
  const int = (from: number, to: number): number => from + below(to - from + 1)
  const one = <A>(all: ReadonlyArray<A>): A => all[below(all.length)]!
  const pick = <A>(...all: readonly [A, ...ReadonlyArray<A>]): A => one(all)
  const chance = (probability: number): boolean => next() < probability
  /** The fields with this probability, or none. */
  const maybe = <A extends object>(probability: number, fields: A): Partial<A> => (chance(probability) ? fields : {})
  /** Of events that happen so often a second, how long after one the next one is. */
  const gap = (perSecond: number): number => Math.round(-Math.log(1 - next()) * 1_000 / perSecond)
  return { below, chance, gap, int, maybe, next, one, pick }
}

export type Dice = ReturnType<typeof dice>
