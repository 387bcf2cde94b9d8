/**
 * Bodies of requests on their way to the wire: from a connection of a client of ours, or from the platform's types.
 *
 * Owns the way from each kind of body to bytes, and how it is framed.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { format } from "effect/Formatter"
import type * as HttpBody from "effect/http/HttpBody"
import type * as Stream from "effect/Stream"
import { TransportFailure } from "../../services/Failure.ts"
import type { OutgoingBody } from "./ClientExchange.ts"
import type { Flow, Source } from "./Flow.ts"
import type { Framing } from "./Framing.ts"
import type { MessageWriter } from "./MessageWriter.ts"
import * as RawBody from "./RawBody.ts"
import { asBuffer, StreamFeed } from "./StreamFeed.ts"

/** No body. */
export const empty: OutgoingBody = {
  framing: { _tag: "None" },
  source: undefined,
  isWhole: true,
  start: (writer) => {
    writer.end([])
    writer.flush()
  }
}

/**
 * A body that comes from another connection, as it is framed there. A class, because V8 gives each object of a literal
 * with accessors a layout of its own, in the old generation, which keeps all that the accessors refer to alive.
 */
export class FlowBody implements OutgoingBody {
  readonly framing: Framing
  private readonly flow: Flow

  constructor(framing: Framing, flow: Flow) {
    this.framing = framing
    this.flow = flow
  }

  get source(): Source {
    return this.flow.turn
  }

  get isWhole(): boolean {
    return this.flow.isWhole
  }

  start(writer: MessageWriter): void {
    this.flow.take(writer)
  }
}

const fromBytes = (bytes: Uint8Array): OutgoingBody =>
  bytes.length === 0 ? empty : {
    framing: { _tag: "Length", length: bytes.length },
    source: undefined,
    isWhole: false,
    start: (writer) => {
      writer.data(asBuffer(bytes))
      writer.end([])
      writer.flush()
    }
  }

/** A stream that fails is the end of its request. */
const finish = (writer: MessageWriter) => ({
  onSuccess: () => {
    writer.end([])
    writer.flush()
  },
  onFailure: (cause: Cause.Cause<unknown>) => {
    const message = `the body of the request failed: ${format(Cause.squash(cause))}`
    writer.fail(TransportFailure.make({ reason: "client_aborted", message }))
  }
})

const fromStream = (
  stream: Stream.Stream<Uint8Array, unknown>,
  length: number | undefined,
  context: Context.Context<never>
): OutgoingBody => {
  const feed = new StreamFeed()
  return {
    framing: length === undefined ? { _tag: "Chunked" } : { _tag: "Length", length },
    isWhole: false,
    source: feed,
    start: (writer) => {
      writer.flush()
      const fiber = Effect.runForkWith(context)(Effect.matchCause(feed.write(writer, stream), finish(writer)))
      feed.whenCancelled(() => fiber.interruptUnsafe())
    }
  }
}

/** A body of the platform. `length` is that of the request's own `Content-Length`. */
export const fromBody = (
  body: HttpBody.HttpBody,
  length: number | undefined,
  context: Context.Context<never>
): Effect.Effect<{ readonly outgoing: OutgoingBody; readonly contentType: string | undefined }, unknown> => {
  const of = (outgoing: OutgoingBody, contentType?: string) => Effect.succeed({ outgoing, contentType })
  switch (body._tag) {
    case "Empty":
      return of(empty)
    case "Uint8Array":
      return of(fromBytes(body.body))
    case "Stream":
      return of(fromStream(body.stream, body.contentLength ?? length, context))
    case "Raw": {
      const content = RawBody.contentOf(body.body)
      if (content === undefined) return TransportFailure.make({ reason: "bad_request", message: RawBody.expected })
      return of(
        content instanceof Uint8Array ? fromBytes(content) : fromStream(content, body.contentLength ?? length, context)
      )
    }
    case "FormData": {
      const encoded = new Response(body.formData)
      return Effect.flatMap(
        Effect.tryPromise(() => encoded.bytes()),
        (bytes) => of(fromBytes(bytes), encoded.headers.get("content-type") ?? undefined)
      )
    }
  }
}
