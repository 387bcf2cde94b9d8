/**
 * MurmurHash3 in its 32-bit form (Austin Appleby, 2011, public domain), which hash strategies place
 * keys and backends with.
 *
 * It spreads well and is fast, and anybody who knows it can choose keys that collide: it protects nothing. The seed is
 * part of the result, so that several balancers agree on it.
 *
 * A hash is a signed integer of 32 bits, as the operators of the language have it: V8 puts an unsigned one into a box
 * half of the time. So nothing is allocated for a key of ASCII characters. What is published is `hash >>> 0`.
 */

/** The odd constants of the reference implementation. */
const mixed = (block: number): number => {
  const k = Math.imul(block, 0xcc9e2d51)
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}

const absorb = (state: number, block: number): number => {
  const h = state ^ mixed(block)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

const finish = (state: number, length: number): number => {
  let h = state ^ length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** The hash of bytes. */
export const bytes = (input: Uint8Array, seed: number = 0): number => {
  const n = input.length
  const whole = n & ~3
  let h = seed | 0
  for (let i = 0; i < whole; i += 4) {
    h = absorb(h, input[i]! | (input[i + 1]! << 8) | (input[i + 2]! << 16) | (input[i + 3]! << 24))
  }
  let rest = 0
  for (let i = n - 1; i >= whole; i--) rest = (rest << 8) | input[i]!
  return finish(h ^ mixed(rest), n)
}

const encoder = new TextEncoder()

/** The hash of a text as UTF-8. */
export const string = (text: string, seed: number = 0): number => {
  const n = text.length
  const whole = n & ~3
  let h = seed | 0
  let bits = 0
  for (let i = 0; i < whole; i += 4) {
    const a = text.charCodeAt(i)
    const b = text.charCodeAt(i + 1)
    const c = text.charCodeAt(i + 2)
    const d = text.charCodeAt(i + 3)
    bits |= a | b | c | d
    h = absorb(h, a | (b << 8) | (c << 16) | (d << 24))
  }
  let rest = 0
  for (let i = n - 1; i >= whole; i--) {
    const code = text.charCodeAt(i)
    bits |= code
    rest = (rest << 8) | code
  }
  return bits < 0x80 ? finish(h ^ mixed(rest), n) : bytes(encoder.encode(text), seed)
}

/** A number from 0 to below 1 that the text alone decides. */
export const place = (text: string, seed: number = 0): number => (string(text, seed) >>> 0) / 2 ** 32

/** The hash of a 32-bit integer as four bytes, the lowest first: what `bytes` gives for them. */
export const integer = (value: number, seed: number = 0): number => finish(absorb(seed | 0, value), 4)
