/**
 * The platform's responses on a wire exchange.
 *
 * Owns the way from each kind of body to bytes, and the fields that a response of an application is sent with.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import { HttpServerError, ResponseError } from "effect/http/HttpServerError"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import { STATUS_CODES } from "node:http"
import { Readable } from "node:stream"
import type { TransportFailure } from "../../services/Failure.ts"
import * as Message from "../../services/Message.ts"
import { ClientExchange } from "./ClientExchange.ts"
import type { Framing } from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import { areSendable } from "./Head.ts"
import { forward, sendBytes } from "./Responding.ts"
import type { ResponseStart, ServerExchange } from "./ServerExchange.ts"

/** What a body consists of. */
type Content = Uint8Array | Stream.Stream<Uint8Array, unknown>

const nothing = new Uint8Array(0)

const webStream = ({ body }: Response): Content =>
  body === null ? nothing : Stream.fromReadableStream({ evaluate: () => body, onError: (cause) => cause })

const rawContent = (raw: unknown): Content => {
  if (typeof raw === "string") return Buffer.from(raw)
  if (raw instanceof Uint8Array) return raw
  if (raw instanceof Readable) return NodeStream.fromReadable({ evaluate: () => raw, onError: (cause) => cause })
  throw new TypeError("a raw body is a string, bytes or a Readable")
}

/** The content of a response, and the fields that come with it. */
const contentOf = ({ body }: HttpServerResponse): readonly [content: Content, fields: ReadonlyArray<string>] => {
  switch (body._tag) {
    case "Empty":
      return [nothing, []]
    case "Uint8Array":
      return [body.body, []]
    case "Stream":
      return [body.stream, []]
    case "Raw":
      return [rawContent(body.body), []]
    case "FormData": {
      const response = new Response(body.formData)
      return [webStream(response), [...response.headers].flat()]
    }
  }
}

/** Written anew for each connection. */
const connectionFields = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade"])

const fieldsOf = ({ cookies, headers, status }: HttpServerResponse, more: ReadonlyArray<string>): Array<string> => {
  const fields: Array<string> = []
  for (const [name, value] of Object.entries(headers)) {
    if (connectionFields.has(name) || (name === "content-length" && (status === 204 || status === 205))) continue
    if (!more.includes(name)) fields.push(name, value)
  }
  for (const cookie of Cookies.toSetCookieHeaders(cookies)) fields.push("set-cookie", cookie)
  fields.push(...more)
  return fields
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** A stream that fails cuts the connection, so that the response does not look complete. */
const sendStream = (
  exchange: ServerExchange,
  start: ResponseStart,
  framing: Framing,
  stream: Stream.Stream<Uint8Array, unknown>
): Effect.Effect<void, TransportFailure> => {
  const hasRoom = Latch.makeUnsafe(true)
  let failure: TransportFailure | undefined
  const source = { pause: () => hasRoom.closeUnsafe(), resume: () => hasRoom.openUnsafe(), cancel: () => {} }
  const writer = exchange.respond(start, framing, source, (result) => {
    failure = result
    hasRoom.openUnsafe()
  })
  // Nobody knows when the first piece comes.
  writer.flush()
  const check = Effect.suspend(() => failure === undefined ? Effect.void : Effect.fail(failure))
  return stream.pipe(
    Stream.orDie,
    Stream.runForEachArray((pieces) => {
      for (const piece of pieces) writer.data(asBuffer(piece))
      writer.flush()
      return Effect.andThen(hasRoom.await, check)
    }),
    Effect.interruptible,
    Effect.onExit((exit) =>
      Effect.sync(() => {
        if (exit._tag === "Failure") return exchange.giveUp()
        writer.end([])
        writer.flush()
      })
    ),
    Effect.andThen(check)
  )
}

const isFinal = (status: number): boolean => status >= 200 && status <= 599

/** Sends a response of an application. Throws what no response can be. */
const sendOwn = (exchange: ServerExchange, response: HttpServerResponse): Effect.Effect<void, TransportFailure> => {
  const { body, headers, status, statusText = STATUS_CODES[status] ?? "" } = response
  if (!isFinal(status)) throw new RangeError(`Invalid final response status: ${status}`)
  const [content, more] = contentOf(response)
  const fields = fieldsOf(response, more)
  const framing = exchange.framingOf(status, fields)
  if (framing instanceof Malformed) throw new TypeError(framing.detail)
  if (!areSendable(fields) || !areSendable(["reason", statusText])) {
    throw new TypeError("a header has an invalid name or value")
  }
  if (headers["connection"]?.toLowerCase() === "close") exchange.connection.endsWithConnection()
  const start = { status, statusText, fields, upgrade: undefined }
  if (framing._tag === "None") {
    if (body._tag === "Raw" && body.body instanceof Readable) body.body.destroy()
    return sendBytes(exchange, start, framing, asBuffer(nothing))
  }
  if (!(content instanceof Uint8Array)) return sendStream(exchange, start, framing, content)
  if (framing._tag === "Length") return sendBytes(exchange, start, framing, asBuffer(content))
  fields.push("content-length", String(content.length))
  return sendBytes(exchange, start, { _tag: "Length", length: content.length }, asBuffer(content))
}

const internalError = {
  status: 500,
  statusText: "Internal Server Error",
  fields: ["content-length", "0"],
  upgrade: undefined
}

/** Sends whatever response an application has made. Succeeds when its last byte is with the socket. */
export const send = (
  exchange: ServerExchange,
  request: HttpServerRequest,
  response: HttpServerResponse
): Effect.Effect<void, HttpServerError> => {
  if (exchange.isAborted || exchange.hasBegun) return Effect.void
  const toError = (cause: unknown) => new HttpServerError({ reason: new ResponseError({ request, response, cause }) })
  if (Message.hasResponseHead(response)) {
    const head = response[Message.responseHead]
    if (head.body instanceof ClientExchange) return Effect.mapErrorEager(forward(exchange, head, head.body), toError)
  }
  try {
    return Effect.mapErrorEager(sendOwn(exchange, response), toError)
  } catch (defect) {
    return Effect.andThen(
      Effect.orDie(sendBytes(exchange, internalError, { _tag: "None" }, asBuffer(nothing))),
      Effect.failCause(Cause.die(defect))
    )
  }
}
