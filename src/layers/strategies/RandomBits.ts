/**
 * Random whole numbers for picking, of which none ends up as garbage. Not a strategy, but what
 * several of them draw with.
 *
 * A random fraction that leaves a function is an object of 16 bytes to V8; a whole number of 31 bits is none. The
 * generator is mulberry32, good enough to choose by and nothing else; it is seeded from `Random`.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** Numbers are from 0 to below this. */
export const range = 2 ** 31

/** The next number. */
export type RandomBits = () => number

/** A generator of its own for each strategy that is built. */
export const make: Effect.Effect<RandomBits> = Effect.map(Random.next, (seed) => {
  let state = Math.floor(seed * 2 ** 32) | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 1
  }
})

/** A number as a position in a list of this length. */
export const position = (bits: number, length: number): number => Math.floor((bits * length) / range)
