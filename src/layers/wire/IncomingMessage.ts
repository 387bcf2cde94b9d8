/**
 * The platform's view of a message that was received: what requests and responses have in common.
 *
 * Owns the derivations, each made when it is first asked for: a forwarded message never needs any.
 */
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as UrlParams from "effect/http/UrlParams"
import * as Inspectable from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { TransportFailure } from "../../services/Failure.ts"
import type { FieldLines } from "../../services/Fields.ts"
import { toHeaders } from "../../services/HeaderRecord.ts"
import { BodyReader } from "./BodyReader.ts"
import type { Flow } from "./Flow.ts"

const decoder = new TextDecoder()

/** Of forms: a byte order mark is a part of the first name. */
const formDecoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** How many bytes of a body a program wants at the most. */
export const maxBodyBytes: Effect.Effect<number> = Effect.withFiber((fiber) => {
  const limit = fiber.getRef(HttpIncomingMessage.MaxBodySize)
  return Effect.succeed(limit === undefined ? Infinity : Number(limit))
})

/** The body of a message and what was read of it, shared by all views of the message. */
export class ReceivedBody {
  private readonly flow: Flow | undefined
  private madeReader: BodyReader | undefined
  private read: Effect.Effect<Uint8Array<ArrayBuffer>, unknown> | undefined

  constructor(flow: Flow | undefined) {
    this.flow = flow
  }

  private get reader(): BodyReader | undefined {
    return this.flow === undefined ? undefined : this.madeReader ??= new BodyReader(this.flow)
  }

  /** What has not been read yet; `undefined` when there is no body. */
  get stream(): Stream.Stream<Uint8Array, TransportFailure> | undefined {
    return this.reader?.stream
  }

  /** All of it. It is read once, and then the same for everybody. */
  whole(maxBytes: number): Effect.Effect<Uint8Array<ArrayBuffer>, unknown> {
    if (this.read !== undefined) return this.read
    const { reader } = this
    if (reader === undefined) return this.read = Effect.succeed(new Uint8Array(0))
    return Effect.flatMap(Effect.cached(reader.whole(maxBytes)), (cached) => this.read ??= cached)
  }

  /** Nobody reads on. */
  cancel(): void {
    this.reader?.cancel()
  }
}

export abstract class IncomingMessage<E> extends Inspectable.Class
  implements HttpIncomingMessage.HttpIncomingMessage<E>
{
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  protected readonly fields: FieldLines
  protected readonly content: ReceivedBody
  private record: Headers.Headers | undefined

  constructor(fields: FieldLines, content: ReceivedBody, record: Headers.Headers | undefined) {
    super()
    this.fields = fields
    this.content = content
    this.record = record
  }

  /** The platform's error for what went wrong with the body. */
  protected abstract failure(cause: unknown): E

  abstract readonly remoteAddress: Option.Option<string>

  get headers(): Headers.Headers {
    return this.record ??= toHeaders(this.fields)
  }

  get stream(): Stream.Stream<Uint8Array, E> {
    return Stream.suspend(() => {
      const { stream } = this.content
      return stream === undefined ? Stream.empty : Stream.mapError(stream, (cause) => this.failure(cause))
    })
  }

  private get bytes(): Effect.Effect<Uint8Array<ArrayBuffer>, E> {
    return Effect.flatMap(maxBodyBytes, (maxBytes) => this.content.whole(maxBytes)).pipe(
      Effect.mapError((cause) => this.failure(cause))
    )
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, E> {
    return Effect.map(this.bytes, (bytes) => bytes.buffer)
  }

  get text(): Effect.Effect<string, E> {
    return Effect.map(this.bytes, (bytes) => decoder.decode(bytes))
  }

  get json(): Effect.Effect<Schema.Json, E> {
    return Effect.flatMap(this.text, (text) =>
      Effect.try({
        try: () => text === "" ? null : JSON.parse(text),
        catch: (cause) => this.failure(cause)
      }))
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, E> {
    return Effect.flatMap(this.bytes, (bytes) =>
      Effect.try({
        // A leading question mark is data, which `URLSearchParams` would drop.
        try: () => UrlParams.fromInput(new URLSearchParams(formDecoder.decode(bytes).replace(/^\?/, "%3F"))),
        catch: (cause) => this.failure(cause)
      }))
  }
}
