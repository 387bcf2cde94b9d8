/**
 * How the bytes of a body are cut out of a connection's: the interface of a decoder, of which there is one for each
 * framing. A decoder is given what arrives and says how much of it is the body's; what comes after belongs to the next
 * message.
 */
import type { FieldLines } from "../../services/Fields.ts"
import type { Malformed } from "./Grammar.ts"

/** Takes the bytes of a body as they are decoded. The piece is a view of the chunk that arrived. */
export type Sink = (piece: Buffer) => void

/** Finds the end of one body. After a `Malformed` it must not be used any more. */
export interface Decoder {
  /** Whether the whole body has been decoded. */
  readonly isDone: boolean
  /** Bytes that may be missing; infinite where nothing is known. */
  readonly remaining: number
  /** The trailer section (RFC 9110 §6.5), when the body is done. */
  readonly trailers: FieldLines
  /**
   * Decodes from `from` on, hands pieces to the sink and returns where it stopped: at the end of the body or of the
   * chunk. What has been decoded of the chunk may be written over, to hand on neighbours in one piece.
   */
  decode(chunk: Buffer, from: number, sink: Sink): number | Malformed
  /** The peer has closed the connection. Whether the body is complete with that. */
  end(): boolean
}

/** Of a body that has none. */
export const noTrailers: FieldLines = []

/** A part of a chunk, or the chunk itself if it is all of it. */
export const whole = (chunk: Buffer, from: number, to: number): Buffer =>
  from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to)
