/**
 * What is demanded of numbers that a program passes as options, which the settings have in their Schema. A wrong one is
 * a mistake in the program, and throws a `RangeError` where it is passed, instead of an odd behaviour later.
 */
import * as Duration from "effect/Duration"

/** What a number has to be, also in words. */
export interface Rule {
  readonly expected: string
  readonly isValid: (value: number) => boolean
}

const isWhole = (value: number): boolean => Number.isInteger(value) || value === Infinity

/** One thing or more. */
export const count: Rule = {
  expected: "a whole number of 1 or more, or Infinity",
  isValid: (value) => isWhole(value) && value >= 1
}

/** Any number of things. */
export const wholeNumber: Rule = {
  expected: "a whole number of 0 or more, or Infinity",
  isValid: (value) => isWhole(value) && value >= 0
}

/** A part of a whole. */
export const share: Rule = { expected: "a number from 0 to 1", isValid: (value) => value >= 0 && value <= 1 }

/** A part that is not nothing. */
export const someShare: Rule = {
  expected: "a number above 0 and at most 1",
  isValid: (value) => value > 0 && value <= 1
}

/** One or more, and not only whole. */
export const factor: Rule = { expected: "a number of 1 or more", isValid: (value) => value >= 1 }

/** More than nothing. */
export const positive: Rule = { expected: "a number above 0", isValid: (value) => value > 0 }

/** Throws when the number is not as the rule has it. */
export const number = (name: string, value: number, { expected, isValid }: Rule): void => {
  if (!isValid(value)) throw new RangeError(`${name}: expected ${expected}, got ${value}`)
}

/** Throws when the time is shorter than a millisecond. Not a number, as milliseconds, is no time at all. */
export const time = (name: string, value: Duration.Duration): void => {
  if (Duration.toMillis(value) >= 1) return
  const found = Duration.isDuration(value) ? Duration.format(value) : String(value)
  throw new RangeError(`${name}: expected a duration of 1ms or more, got ${found}`)
}
