/**
 * Finds the end of a head, or of a trailer section, in bytes that arrive in pieces of any size.
 *
 * Owns the search and the limit on its length, and holds what came of it so far. What comes out is the same for all
 * ways to cut the bytes into pieces, refusals included. What the text means is `Head`'s business.
 */
import { bareLineEnd, isTokenChar, Malformed } from "./Grammar.ts"

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const H = 0x48

/** A head, and where in the last chunk the bytes after it begin. */
interface Found {
  /** The text up to and with the CRLF of the last line, without the empty line. A character is a byte (latin1). */
  readonly text: string
  readonly rest: number
}

/**
 * What is read: requests may be preceded by empty lines, responses begin with `HTTP`, and trailers have no start line.
 */
type Kind = "request" | "response" | "trailers"

/** In bytes; `Limits` of `Head` is one. */
interface ReaderLimits {
  readonly headBytes: number
  readonly targetBytes: number
}

/** One for each side of a connection; after a head it is ready for the next one. */
export class HeadReader {
  private readonly kind: Kind
  private readonly limits: ReaderLimits
  /**
   * What came of the head before the current chunk, from 0 to `length`. None in the usual case of a head in one piece.
   */
  private held: Buffer | undefined
  private length = 0
  /** Bytes of empty lines that were passed over. They count, or a peer could send them for ever. */
  private skipped = 0

  constructor(kind: Kind, limits: ReaderLimits) {
    this.kind = kind
    this.limits = limits
  }

  /** Whether a head has begun and not ended. Empty lines before it do not begin it. */
  get hasBegun(): boolean {
    return this.held !== undefined
  }

  /**
   * Reads on from `from` in the chunk. `undefined` means that the head is not complete yet, and that
   * the chunk is used up.
   */
  read(chunk: Buffer, from: number): Found | Malformed | undefined {
    const before = this.length
    // Of a longer head nothing needs to be seen, because it is refused.
    const room = this.limits.headBytes - this.skipped - before
    const taken = Math.min(chunk.length - from, room)
    const bytes = before === 0 ? chunk : this.hold(chunk, from, taken)
    const origin = before === 0 ? from : 0
    const stop = origin + before + taken

    const start = this.kind === "request" ? afterEmptyLines(bytes, origin, stop) : origin
    if (start < stop && !this.canBegin(bytes[start]!)) {
      return new Malformed(400, this.kind === "request" ? "the method is not valid" : "the status line is not valid")
    }
    // The end may straddle the pieces, so the search goes back by three bytes.
    const end = bytes.indexOf("\r\n\r\n", Math.max(start, origin + before - 3), "latin1")
    if (end !== -1 && end + 4 <= stop) {
      this.release()
      return { text: bytes.toString("latin1", start, end + 2), rest: from + end + 4 - origin - before }
    }
    if (hasBareLineEnd(bytes, start, Math.max(start, origin + before), stop)) return bareLineEnd
    if (taken === room) return this.tooLong(bytes, start, stop)
    if (start === stop) {
      this.skipped += start - origin
      this.held = undefined
      this.length = 0
    } else if (before === 0) {
      this.skipped += start - origin
      this.hold(chunk, start, stop - start)
    }
    return undefined
  }

  /** Adds to what is held. A copy, because the chunk may be a slice of something large, or be written over. */
  private hold(chunk: Buffer, from: number, bytes: number): Buffer {
    const length = this.length + bytes
    if (this.held === undefined || this.held.length < length) {
      // Doubling keeps the cost of a head that comes byte by byte in proportion to its length.
      const larger = Buffer.allocUnsafeSlow(Math.min(this.limits.headBytes, Math.max(256, 2 * length)))
      this.held?.copy(larger, 0, 0, this.length)
      this.held = larger
    }
    chunk.copy(this.held, this.length, from, from + bytes)
    this.length = length
    return this.held
  }

  private release(): void {
    this.held = undefined
    this.length = 0
    this.skipped = 0
  }

  /** Whether a head can begin like this: what speaks another protocol is told so at once, and not after a timeout. */
  private canBegin(first: number): boolean {
    switch (this.kind) {
      case "request":
        // A CR that comes last may be the first half of an empty line, and any other is a bare one.
        return isTokenChar(first) || first === CR
      case "response":
        return first === H
      case "trailers":
        return true
    }
  }

  /** A target that is too long has a status of its own (RFC 9112 §3), also if the head is too long because of it. */
  private tooLong(bytes: Buffer, start: number, stop: number): Malformed {
    const { headBytes, targetBytes } = this.limits
    if (this.kind === "request") {
      const target = indexOfBefore(bytes, SP, start, stop) + 1
      const line = indexOfBefore(bytes, CR, start, stop)
      if (Math.min(line, indexOfBefore(bytes, SP, target, stop)) - target > targetBytes) {
        return new Malformed(414, "the request target is too long")
      }
    }
    const what = this.kind === "trailers" ? "trailers are" : "head is"
    return new Malformed(431, `the ${what} longer than ${headBytes} bytes`)
  }
}

/** RFC 9112 §2.2: empty lines before a request line are ignored. */
const afterEmptyLines = (bytes: Buffer, from: number, stop: number): number => {
  let at = from
  while (at + 1 < stop && bytes[at] === CR && bytes[at + 1] === LF) at += 2
  return at
}

const indexOfBefore = (bytes: Buffer, byte: number, from: number, stop: number): number => {
  const at = bytes.indexOf(byte, from)
  return at === -1 || at > stop ? stop : at
}

/** Whether there is, between `from` and `stop`, a LF without a CR before it, or something else than a LF after a CR. */
const hasBareLineEnd = (bytes: Buffer, start: number, from: number, stop: number): boolean => {
  for (let i = from; i < stop; i++) {
    const afterCR = i > start && bytes[i - 1] === CR
    if ((bytes[i] === LF) !== afterCR) return true
  }
  return false
}
