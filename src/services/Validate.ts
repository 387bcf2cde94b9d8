/**
 * Validates numbers and times that a program passes as options. Those of the configuration are validated by its Schema.
 *
 * A wrong one is a mistake in the program: it throws a `RangeError` where it is passed, instead of odd behaviour later.
 */
import * as Duration from "effect/Duration"

/** What a number has to be, as a predicate and in words. */
export interface Rule {
  readonly expected: string
  readonly isValid: (value: number) => boolean
}

const isWhole = (value: number): boolean => Number.isInteger(value) || value === Infinity

/** How many, at least one. */
export const count: Rule = {
  expected: "a whole number of 1 or more, or Infinity",
  isValid: (value) => isWhole(value) && value >= 1
}

/** How many, also none. */
export const wholeNumber: Rule = {
  expected: "a whole number of 0 or more, or Infinity",
  isValid: (value) => isWhole(value) && value >= 0
}

/** From nothing to all. */
export const share: Rule = { expected: "a number from 0 to 1", isValid: (value) => value >= 0 && value <= 1 }

/** The same without nothing. */
export const someShare: Rule = {
  expected: "a number above 0 and at most 1",
  isValid: (value) => value > 0 && value <= 1
}

/** None, or any. */
export const amount: Rule = { expected: "a number of 0 or more", isValid: (value) => value >= 0 }

export const positive: Rule = { expected: "a number above 0", isValid: (value) => value > 0 }

export const aboveOne: Rule = { expected: "a number above 1", isValid: (value) => value > 1 }

/** Throws unless the number obeys the rule, or is left out. */
export const number = (name: string, value: number | undefined, { expected, isValid }: Rule): void => {
  if (value !== undefined && !isValid(value)) throw new RangeError(`${name}: expected ${expected}, got ${value}`)
}

/** Throws when the time is shorter than a millisecond, or is `NaN` milliseconds. */
export const time = (name: string, value: Duration.Duration): void => {
  if (Duration.toMillis(value) >= 1) return
  const found = Duration.isDuration(value) ? Duration.format(value) : String(value)
  throw new RangeError(`${name}: expected a duration of 1ms or more, got ${found}`)
}
