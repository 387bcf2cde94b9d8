/** What bodies consist of, and how a message of the fuzzer becomes bytes, in random chunks and random pieces. */
import { type Dice, dice } from "../Dice.ts"

const size = 1 << 20

/** The longest body that there is. */
export const longest = 300_000

/** Whoever loses count of a body finds a message in it, which is nobody's. */
const trap =
  "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: smuggled\r\n\r\nHTTP/1.1 200 Smuggled\r\nContent-Length: 0\r\n\r\n"

const noise = ((): Buffer => {
  const { int } = dice(1)
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = int(0, 255)
  for (let at = 1_000; at < size - trap.length; at += 3_571) bytes.write(trap, at, "latin1")
  return bytes
})()

/** The body of this length that belongs to this number. No other one begins in the same way. */
export const content = (number: number, length: number): Buffer => {
  const from = (number * 7_919) % (size - longest)
  return noise.subarray(from, from + length)
}

/** A seed of its own for each of these numbers. */
export const seedOf = (...numbers: ReadonlyArray<number>): number => {
  let seed = 0x2545f491
  for (const number of numbers) {
    seed = Math.imul(seed ^ number, 0x9e3779b1)
    seed ^= seed >>> 15
  }
  return seed
}

/** A body in chunks, with extensions here and there. */
export const inChunks = ({ chance, int }: Dice, body: Buffer, trailers: ReadonlyArray<string>): Buffer => {
  const parts: Array<Buffer> = []
  for (let at = 0; at < body.length;) {
    const chunk = body.subarray(at, at + int(1, chance(0.5) ? body.length : Math.ceil(body.length / 8)))
    parts.push(Buffer.from(`${chunk.length.toString(16)}${chance(0.1) ? ";name=value" : ""}\r\n`), chunk)
    parts.push(Buffer.from("\r\n"))
    at += chunk.length
  }
  parts.push(Buffer.from(`0\r\n${trailers.map((line) => `${line}\r\n`).join("")}\r\n`))
  return Buffer.concat(parts)
}

/** Bytes that are written at once, and how long the next ones wait: not at all, for a turn, or some milliseconds. */
export interface Piece {
  readonly bytes: Buffer
  readonly pause: "none" | "turn" | number
}

/** Bytes in random pieces, often in one, and in not so many that it takes long. */
export const inPieces = ({ chance, int, pick }: Dice, bytes: Buffer): ReadonlyArray<Piece> => {
  const { length } = bytes
  const isByteByByte = length < 400 && chance(0.05)
  const some = Math.max(pick(100, 1_000, 5_000, Math.ceil(length / 3)), Math.ceil(length / 30))
  const most = isByteByByte ? 1 : chance(0.4) ? length : some
  const pieces: Array<Piece> = []
  // A head, a little of the body, and the rest when something may have come of that.
  const first = chance(0.4) ? bytes.subarray(0, int(100, 600)) : bytes.subarray(0, 0)
  if (first.length > 0) pieces.push({ bytes: first, pause: int(1, 40) })
  for (let at = first.length; at < length;) {
    const piece = bytes.subarray(at, at + (chance(0.7) ? most : int(1, most)))
    const pause = pick<Piece["pause"]>("none", "turn", "turn", int(1, 3), int(1, 20))
    pieces.push({ bytes: piece, pause: isByteByByte ? "turn" : pause })
    at += piece.length
  }
  return pieces
}
