/**
 * The platform's responses on a wire exchange.
 *
 * Owns the way from each kind of body to bytes, and the fields that a response of an application is sent with.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import { HttpServerError, ResponseError } from "effect/http/HttpServerError"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type HttpServerResponse, omitsBody } from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { STATUS_CODES } from "node:http"
import { Readable } from "node:stream"
import type { TransportFailure } from "../../services/Failure.ts"
import { elementsOf } from "../../services/Fields.ts"
import * as Message from "../../services/Message.ts"
import { ClientExchange } from "./ClientExchange.ts"
import type { Framing } from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import { areSendable } from "./Head.ts"
import * as RawBody from "./RawBody.ts"
import { forward, sendBytes } from "./Responding.ts"
import type { ResponseStart, ServerExchange } from "./ServerExchange.ts"
import { asBuffer, StreamFeed } from "./StreamFeed.ts"

/** What became of exchanges whose connection was upgraded: whatever their applications return is sent to nobody. */
export const switched = new WeakMap<ServerExchange, HttpServerResponse>()

const nothing = new Uint8Array(0)

/** The content of a response, and the fields that come with it. */
const contentOf = (
  { body }: HttpServerResponse
): readonly [content: RawBody.Content, fields: ReadonlyArray<string>] => {
  switch (body._tag) {
    case "Empty":
      return [nothing, []]
    case "Uint8Array":
      return [body.body, []]
    case "Stream":
      return [body.stream, []]
    case "Raw": {
      const content = RawBody.contentOf(body.body)
      if (content === undefined) throw new TypeError(RawBody.expected)
      return [content, []]
    }
    case "FormData": {
      const response = new Response(body.formData)
      return [response.body === null ? nothing : RawBody.fromWeb(response.body), [...response.headers].flat()]
    }
  }
}

/** Written anew for each connection. */
const connectionFields = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade"])

const fieldsOf = ({ cookies, headers, status }: HttpServerResponse, more: ReadonlyArray<string>): Array<string> => {
  const fields: Array<string> = []
  let literalCookie: string | undefined
  for (const [name, value] of Object.entries(headers)) {
    if (connectionFields.has(name) || (name === "content-length" && (status === 204 || status === 205))) continue
    if (name === "set-cookie") literalCookie = value
    else if (!more.includes(name)) fields.push(name, value)
  }
  for (const cookie of Cookies.toSetCookieHeaders(cookies)) fields.push("set-cookie", cookie)
  if (literalCookie !== undefined) fields.push("set-cookie", literalCookie)
  fields.push(...more)
  return fields
}

/** Bytes that are written at once, so that a slow reader shows. */
const sliceSize = 64 * 1024

const slices = function*(bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += sliceSize) yield bytes.subarray(at, at + sliceSize)
}

/** A stream that fails cuts the connection, so that the response does not look complete. */
const sendStream = (
  exchange: ServerExchange,
  start: ResponseStart,
  framing: Framing,
  stream: Stream.Stream<Uint8Array, unknown>
): Effect.Effect<void, TransportFailure> => {
  const feed = new StreamFeed()
  let failure: TransportFailure | undefined
  const writer = exchange.respond(start, framing, feed, (result) => {
    failure = result
    feed.resume()
  })
  // Nobody knows when the first piece comes.
  writer.flush()
  const check = Effect.suspend(() => failure === undefined ? Effect.void : Effect.fail(failure))
  return feed.write<TransportFailure>(writer, Stream.orDie(stream), check).pipe(
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

/** A Node stream holds something open until it is read or destroyed. */
const discard = ({ body }: HttpServerResponse): void => {
  if (body._tag === "Raw" && body.body instanceof Readable) body.body.destroy()
}

const isFinal = (status: number): boolean => status >= 200 && status <= 599

/** Sends a response of an application. Throws what no response can be. */
const sendOwn = (exchange: ServerExchange, response: HttpServerResponse): Effect.Effect<void, TransportFailure> => {
  const { headers, status, statusText = STATUS_CODES[status] ?? "" } = response
  if (!isFinal(status)) throw new RangeError(`Invalid final response status: ${status}`)
  if (exchange.request.method === "HEAD" || omitsBody(response)) discard(response)
  const [content, more] = status === 205 ? [nothing, []] : contentOf(response)
  const fields = fieldsOf(response, more)
  const framing = exchange.framingOf(status, fields)
  if (framing instanceof Malformed) throw new TypeError(framing.detail)
  const { connection = "", upgrade } = headers
  if (!areSendable(fields) || !areSendable(["reason", statusText, "upgrade", upgrade ?? ""])) {
    throw new TypeError("a header has an invalid name or value")
  }
  if (elementsOf(connection).includes("close")) exchange.connection.endsWithExchange()
  const start = { status, statusText, fields, upgrade }
  if (framing._tag === "None") return sendBytes(exchange, start, framing)
  if (!(content instanceof Uint8Array)) return sendStream(exchange, start, framing, content)
  if (framing._tag !== "Length") fields.push("content-length", String(content.length))
  const counted: Framing = framing._tag === "Length" ? framing : { _tag: "Length", length: content.length }
  return content.length <= sliceSize
    ? sendBytes(exchange, start, counted, asBuffer(content))
    : sendStream(exchange, start, counted, Stream.fromIterable(slices(content), { chunkSize: 1 }))
}

const internalError = {
  status: 500,
  statusText: "Internal Server Error",
  fields: ["content-length", "0"],
  upgrade: undefined
}

/**
 * Sends whatever response an application has made. Succeeds when its last byte is with the socket; with the response
 * that was sent instead, if there was one before.
 */
export const send = (
  exchange: ServerExchange,
  request: HttpServerRequest,
  response: HttpServerResponse
): Effect.Effect<HttpServerResponse | void, HttpServerError> => {
  if (exchange.isAborted || exchange.hasBegun) {
    discard(response)
    return Effect.succeed(switched.get(exchange))
  }
  const toError = (cause: unknown) => new HttpServerError({ reason: new ResponseError({ request, response, cause }) })
  if (Message.hasResponseHead(response)) {
    const head = response[Message.responseHead]
    if (head.body instanceof ClientExchange) return Effect.mapErrorEager(forward(exchange, head, head.body), toError)
  }
  try {
    return Effect.mapErrorEager(sendOwn(exchange, response), toError)
  } catch (defect) {
    discard(response)
    return Effect.andThen(
      Effect.orDie(sendBytes(exchange, internalError, { _tag: "None" })),
      Effect.failCause(Cause.die(defect))
    )
  }
}
