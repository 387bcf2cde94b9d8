/** The decoders of bodies, one for each framing (RFC 9112 §6); that of chunks is in `Chunks`. */
import { ChunkedDecoder } from "./Chunks.ts"
import { type Decoder, noTrailers, type Sink, whole } from "./Decoder.ts"
import type { Framing } from "./Framing.ts"

class LengthDecoder implements Decoder {
  readonly trailers = noTrailers
  remaining: number

  constructor(length: number) {
    this.remaining = length
  }

  get isDone(): boolean {
    return this.remaining === 0
  }

  decode(chunk: Buffer, from: number, sink: Sink): number {
    const to = Math.min(chunk.length, from + this.remaining)
    if (to > from) {
      this.remaining -= to - from
      sink(whole(chunk, from, to))
    }
    return to
  }

  end(): boolean {
    return this.isDone
  }
}

class CloseDecoder implements Decoder {
  readonly remaining = Infinity
  readonly trailers = noTrailers
  /** Only the connection knows. */
  readonly isDone = false

  decode(chunk: Buffer, from: number, sink: Sink): number {
    if (from < chunk.length) sink(whole(chunk, from, chunk.length))
    return chunk.length
  }

  end(): boolean {
    return true
  }
}

/** The decoder for a framing; `undefined` when there is no body. */
export const decoderFor = (framing: Framing): Decoder | undefined => {
  switch (framing._tag) {
    case "None":
      return undefined
    case "Length":
      return new LengthDecoder(framing.length)
    case "Chunked":
      return new ChunkedDecoder()
    case "Close":
      return new CloseDecoder()
  }
}
