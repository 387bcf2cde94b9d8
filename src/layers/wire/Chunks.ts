/** Bodies in chunks (RFC 9112 §7.1): how they are read, and how they are written. */
import type { FieldLines } from "../../services/Fields.ts"
import { type Decoder, noTrailers, type Sink, whole } from "./Decoder.ts"
import { Malformed } from "./Grammar.ts"
import { formatFields, parseTrailers } from "./Head.ts"
import { HeadReader } from "./HeadReader.ts"

/** Digits of a chunk size. 2^48 is far beyond any, and safely a number. */
const maxSizeDigits = 12

/** Bytes of the extensions of one chunk. They are ignored (RFC 9112 §7.1.1), so a flood of them is an attack. */
const maxExtensionBytes = 256

/**
 * What all extensions of a body may take, less twice what its chunks hold: so a long body may have some in every chunk.
 */
const maxExcessBytes = 16 * 1024

/** Limits of the trailer section. */
const trailerLimits = { headBytes: 8 * 1024, targetBytes: 0 }
const maxTrailerFields = 50

/** Up to this many bytes are cheaper to move to their neighbours than to hand on as a piece of their own. */
const maxMoved = 4 * 1024

/** As RFC 9112 §7.1.1 has them, without the white space that nobody may send and that Node refuses as well. */
const extensions =
  /^(?:;[\w!#$%&'*+.^`|~-]+(?:=(?:[\w!#$%&'*+.^`|~-]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)+$/

const CR = 0x0d
const LF = 0x0a
const semicolon = 0x3b

const hexDigit = (code: number): number => {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

/**
 * What the next byte belongs to. "End" is the empty line after the last chunk, "Trailers" what may stand before that.
 */
type State = "Size" | "Extension" | "SizeLF" | "Data" | "DataCR" | "DataLF" | "End" | "EndLF" | "Trailers"

export class ChunkedDecoder implements Decoder {
  readonly remaining = Infinity
  trailers = noTrailers
  isDone = false
  private state: State = "Size"
  /** Bytes of the current chunk that have not come yet. */
  private size = 0
  private digits = 0
  private extension = ""
  private excess = 0
  private trailerReader: HeadReader | undefined

  decode(chunk: Buffer, from: number, sink: Sink): number | Malformed {
    let at = from
    // The piece that will be handed on next. A sender of tiny chunks must not cost us a write for each of them.
    let start = from
    let end = from
    let malformed: Malformed | undefined
    while (at < chunk.length && !this.isDone && malformed === undefined) {
      if (this.state === "Data") {
        const to = Math.min(chunk.length, at + this.size)
        if (end > start && to - at <= maxMoved) {
          chunk.copyWithin(end, at, to)
          end += to - at
        } else {
          if (end > start) sink(whole(chunk, start, end))
          start = at
          end = to
        }
        this.size -= to - at
        at = to
        if (this.size === 0) this.state = "DataCR"
      } else if (this.state === "Trailers" || (this.state === "End" && chunk[at] !== CR)) {
        this.state = "Trailers"
        const next = this.readTrailers(chunk, at)
        if (typeof next === "number") at = next
        else malformed = next
      } else {
        malformed = this.step(chunk[at++]!)
      }
    }
    if (end > start) sink(whole(chunk, start, end))
    return malformed ?? at
  }

  end(): boolean {
    return this.isDone
  }

  /** One byte of what surrounds the data. */
  private step(byte: number): Malformed | undefined {
    switch (this.state) {
      case "Size":
        return this.readSize(byte)
      case "Extension":
        return this.readExtension(byte)
      case "SizeLF":
        if (byte !== LF) return new Malformed(400, "a chunk size does not end with CRLF")
        this.state = this.size === 0 ? "End" : "Data"
        return undefined
      case "DataCR":
        if (byte !== CR) return new Malformed(400, "a chunk is longer than its size")
        this.state = "DataLF"
        return undefined
      case "DataLF":
        if (byte !== LF) return new Malformed(400, "a chunk does not end with CRLF")
        this.state = "Size"
        return undefined
      case "End":
        this.state = "EndLF"
        return undefined
      default:
        if (byte !== LF) return new Malformed(400, "the last chunk does not end with CRLF")
        this.isDone = true
        return undefined
    }
  }

  private readSize(byte: number): Malformed | undefined {
    const digit = hexDigit(byte)
    if (digit !== -1) {
      if (++this.digits > maxSizeDigits) return new Malformed(400, "a chunk size is too large")
      this.size = this.size * 16 + digit
      return undefined
    }
    if (this.digits === 0) return new Malformed(400, "a chunk has no size")
    if (byte !== CR && byte !== semicolon) return new Malformed(400, "a chunk size is not valid")
    this.digits = 0
    this.state = "Extension"
    return this.readExtension(byte)
  }

  /** The rest of a size line. */
  private readExtension(byte: number): Malformed | undefined {
    if (byte !== CR) {
      if (byte < 0x20 && byte !== 0x09) return new Malformed(400, "a chunk extension is not valid")
      if (this.extension.length === maxExtensionBytes) return new Malformed(413, "a chunk extension is too long")
      this.extension += String.fromCharCode(byte)
      return undefined
    }
    this.state = "SizeLF"
    if (this.extension === "") return undefined
    if (!extensions.test(this.extension)) return new Malformed(400, "a chunk extension is not valid")
    this.excess = Math.max(0, this.excess + this.extension.length - 2 * this.size)
    this.extension = ""
    return this.excess > maxExcessBytes ? new Malformed(413, "the chunk extensions are too long") : undefined
  }

  private readTrailers(chunk: Buffer, from: number): number | Malformed {
    this.trailerReader ??= new HeadReader("trailers", trailerLimits)
    const found = this.trailerReader.read(chunk, from)
    if (found === undefined) return chunk.length
    if (found instanceof Malformed) return found
    const trailers = parseTrailers(found.text, maxTrailerFields)
    if (trailers instanceof Malformed) return trailers
    this.trailers = trailers
    this.isDone = true
    return found.rest
  }
}

/** What comes before the data of a chunk, of which there is at least one byte: a chunk of none would end the body. */
export const chunkHead = (bytes: number): string => `${bytes.toString(16)}\r\n`

/** What comes after the data of a chunk. */
export const chunkEnd = "\r\n"

/** What comes after the last chunk with data, to be encoded as latin1. */
export const lastChunk = (trailers: FieldLines): string => `0\r\n${formatFields(trailers)}`
