/**
 * Raw bodies: whatever a program gives the platform to send that is none of its own kinds.
 *
 * Owns what is accepted, for requests and responses alike.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"

/** What a body consists of. */
export type Content = Uint8Array | Stream.Stream<Uint8Array, unknown>

/** A Node stream may have texts for pieces. */
const toBytes = (piece: unknown): Uint8Array => {
  if (typeof piece === "string") return Buffer.from(piece)
  if (piece instanceof Uint8Array) return piece
  throw new TypeError("a piece of a raw body is neither text nor bytes")
}

/** A stream of the web, such as that of a `Blob` or a `Response`. */
export const fromWeb = <A>(body: ReadableStream<A>): Stream.Stream<A, unknown> =>
  Stream.fromReadableStream({ evaluate: () => body, onError: (cause) => cause })

/** The content of a raw body; `undefined` for what is none: see `expected`. */
export const contentOf = (raw: unknown): Content | undefined => {
  if (typeof raw === "string") return Buffer.from(raw)
  if (raw instanceof Uint8Array) return raw
  if (raw instanceof ArrayBuffer) return new Uint8Array(raw)
  if (raw instanceof Readable) {
    return Stream.map(
      NodeStream.fromReadable<unknown, unknown>({ evaluate: () => raw, onError: (cause) => cause }),
      toBytes
    )
  }
  if (raw instanceof Blob) return fromWeb(raw.stream())
  if (raw instanceof ReadableStream) return Stream.map(fromWeb(raw), toBytes)
  return undefined
}

/** What a raw body may be. */
export const expected = "a raw body is a string, bytes, a Blob, a Readable or a ReadableStream"
