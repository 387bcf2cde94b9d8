/**
 * What a message keeps of the wire on its way through the platform's interfaces.
 *
 * The platform's requests and responses have record-shaped headers and a parsed URL, which lose the order, case and
 * repetition of field lines and the exact request target. An engine (a pair of `HttpServer` and `HttpClient` layers)
 * that knows better attaches the head as it was, under one of two symbols; an engine that does not is served from the
 * records. So the forwarder is one program for all engines, and what is attached is for whoever understands it.
 *
 * Owns these attachments and the conversions between them and the platform's types. The rules for what may be forwarded
 * are in `HeaderFields`.
 */
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import * as Backend from "./Backend.ts"
import { type FieldLines, isNamed } from "./Fields.ts"
import type { RequestBody, Resending } from "./RetryPolicy.ts"

/** The head of a request. */
export interface RequestHead {
  readonly method: string
  /** The request target, byte for byte (RFC 9112 §3.2). */
  readonly target: string
  readonly fields: FieldLines
  /** What the client speaks to us, if the engine says so. */
  readonly protocol?: "http" | "https" | undefined
  /** The engine's own handle on the body, meaningful to that engine's client only. */
  readonly body: RequestBody | undefined
  /** The protocol to go on with, if both sides agree (RFC 9110 §7.8), on an engine that can. */
  readonly upgrade?: string | undefined
  /** Whether the client asked for trailers, with `TE` (RFC 9110 §10.1.4), on an engine that forwards them. */
  readonly acceptsTrailers?: boolean | undefined
}

/** The head of a request on its way to a backend. */
export interface SentHead extends RequestHead {
  readonly origin: string
  /** Without it, what is idempotent may be sent once more. */
  readonly resending?: Resending | undefined
}

/** An engine's own handle on the body of a response, meaningful to that engine's server only. */
export interface ResponseBody {
  /** A number of bytes that grows whenever some of it come. */
  readonly received: number
  /** Lets go of what has not been read. Harmless when all has been. */
  release(): void
}

/** The head of a response. */
export interface ResponseHead {
  readonly status: number
  /** The reason phrase (RFC 9112 §4); empty where there is none. */
  readonly statusText: string
  readonly fields: FieldLines
  readonly body: ResponseBody | undefined
  /** The protocol that the connection goes on with after a 101, or could go on with (RFC 9110 §7.8). */
  readonly upgrade?: string | undefined
}

/** The key of the head of a request that was received. */
export const requestHead: unique symbol = Symbol.for("evenkeel/services/Message/requestHead")

/** The key of the head of a request that is to be sent. */
export const sentHead: unique symbol = Symbol.for("evenkeel/services/Message/sentHead")

/** The key of a response's attached head. */
export const responseHead: unique symbol = Symbol.for("evenkeel/services/Message/responseHead")

/** A message with the head of a request attached. */
export interface WithRequestHead {
  readonly [requestHead]: RequestHead
}

/** A request that is to be sent with this head, exactly. */
export interface WithSentHead {
  readonly [sentHead]: SentHead
}

/** The key of a client's promise: see `releasesBodies`. */
export const releases: unique symbol = Symbol.for("evenkeel/services/Message/releases")

/**
 * Whether each response of this client to a request with `sentHead` has a head with a body to release, so that nothing
 * else needs to bind it to a scope.
 */
export const releasesBodies = (client: object): boolean => releases in client

/** A message with the head of a response attached. */
export interface WithResponseHead {
  readonly [responseHead]: ResponseHead
}

/** Whether an engine attached the head of a request. */
export const hasRequestHead = (message: object): message is WithRequestHead => requestHead in message

/** Whether the head to be sent is attached. */
export const hasSentHead = (message: object): message is WithSentHead => sentHead in message

/** Whether an engine attached the head of a response. */
export const hasResponseHead = (message: object): message is WithResponseHead => responseHead in message

/** Attaches the head of a request to a platform object, which stays what it is. */
export const attachRequestHead = <A extends object>(message: A, head: RequestHead): A & WithRequestHead =>
  Object.assign(message, { [requestHead]: head })

/** Attaches the head of a response to a platform object, which stays what it is. */
export const attachResponseHead = <A extends object>(message: A, head: ResponseHead): A & WithResponseHead =>
  Object.assign(message, { [responseHead]: head })

const toFields = (headers: Headers.Headers): Array<string> => Object.entries(headers).flat()

/** Fields that are no lists, so joined lines would be a value that nobody sent. As in Node, the first line counts. */
const singular = new Set([
  "age",
  "authorization",
  "content-length",
  "content-type",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "server",
  "user-agent"
])

/**
 * Field lines as the platform's record. Records hold one value a name, so repeated lines of a list are joined:
 * with a comma (RFC 9110 §5.3), and `Cookie`, which is no list with commas, with a semicolon (RFC 9113 §8.2.3).
 */
export const toHeaders = (fields: FieldLines): Headers.Headers => {
  const record: Record<string, string> = Object.create(null)
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase()
    const value = fields[i + 1]!
    const before = record[name]
    if (before === undefined) record[name] = value
    else if (!singular.has(name)) record[name] = `${before}${name === "cookie" ? "; " : ", "}${value}`
  }
  return Headers.fromInput(record)
}

/** A web `Request` with a body need not have framing headers; every other source has. */
const hasWebBody = (source: object): boolean => source instanceof Request && source.body !== null

/** The head of a request that was received, whatever engine received it. */
export const received = (request: HttpServerRequest): RequestHead => {
  if (hasRequestHead(request)) return request[requestHead]
  const fields = toFields(request.headers)
  const framed = "content-length" in request.headers || "transfer-encoding" in request.headers
  if (!framed && hasWebBody(request.source)) fields.push("transfer-encoding", "chunked")
  return { method: request.method, target: request.url, fields, body: undefined }
}

/** The URL for clients that need one. The origin is always the backend's, whatever the target says. */
const urlOf = (origin: string, target: string): string => Backend.urlOf(origin, target.startsWith("/") ? target : "/")

/** A body as the platform has it, made only for whoever asks. */
export type LazyBody = () => Stream.Stream<Uint8Array, unknown>

/** A request to a backend, of which the rest is derived. */
interface Sent extends WithSentHead {
  readonly headers: Headers.Headers
  readonly [bodyKey]: LazyBody | undefined
}

const bodyKey: unique symbol = Symbol("body")

/** What the platform's interface has, for clients that know nothing else. */
const sentProto: object = Object.defineProperties(Object.create(Object.getPrototypeOf(HttpClientRequest.empty)), {
  urlParams: { value: UrlParams.empty },
  hash: { value: Option.none() },
  url: {
    get(this: Sent) {
      return urlOf(this[sentHead].origin, this[sentHead].target)
    }
  },
  headers: {
    get(this: Sent) {
      return toHeaders(this[sentHead].fields)
    }
  },
  body: {
    get(this: Sent) {
      const { headers, [bodyKey]: body } = this
      return body === undefined
        ? HttpBody.empty
        : HttpBody.stream(body(), headers["content-type"], contentLengthOf(headers))
    }
  }
})

/**
 * The request to send to a backend: `head` as it is to be on the wire, and `body` for clients that know only the
 * platform's interface; without `body` the request has none.
 */
export const toBackend = (
  head: SentHead,
  body: LazyBody | undefined
): HttpClientRequest.HttpClientRequest & WithSentHead => {
  const request = Object.create(sentProto)
  request.method = head.method
  request[sentHead] = head
  request[bodyKey] = body
  return request
}

const contentLengthOf = ({ "content-length": length }: Headers.Headers): number | undefined =>
  length === undefined ? undefined : Number(length)

/** A response with a stream as its body and with no other headers than these: the platform would add a content type. */
export const withStream = (
  head: Pick<HttpServerResponse.HttpServerResponse, "status" | "statusText" | "headers" | "cookies">,
  body: Stream.Stream<Uint8Array, unknown>
): HttpServerResponse.HttpServerResponse => {
  const { cookies, headers, status, statusText } = head
  const type = headers["content-type"]
  const response = HttpServerResponse.setBody(
    HttpServerResponse.empty({ status, statusText, headers, cookies }),
    HttpBody.stream(body, type ?? "", contentLengthOf(headers))
  )
  return type === undefined ? HttpServerResponse.removeHeader(response, "content-type") : response
}

/** The head of a response that a backend sent, whatever engine received it. */
export const answered = (response: HttpClientResponse): ResponseHead => {
  if (hasResponseHead(response)) return response[responseHead]
  const fields = toFields(Headers.remove(response.headers, "set-cookie"))
  for (const cookie of Cookies.toSetCookieHeaders(response.cookies)) fields.push("set-cookie", cookie)
  return { status: response.status, statusText: "", fields, body: undefined }
}

/** A response of a backend, and what was derived from it. */
interface Answer {
  readonly head: ResponseHead
  readonly body: LazyBody
  derived: HttpServerResponse.HttpServerResponse | undefined
}

const derive = (answer: Answer): HttpServerResponse.HttpServerResponse => {
  if (answer.derived !== undefined) return answer.derived
  const { body, head: { fields, status, statusText } } = answer
  const [setCookie, others]: [Array<string>, Array<string>] = [[], []]
  for (let i = 0; i < fields.length; i += 2) {
    if (isNamed(fields[i]!, "set-cookie")) setCookie.push(fields[i + 1]!)
    else others.push(fields[i]!, fields[i + 1]!)
  }
  const headers = toHeaders(others)
  return answer.derived = withStream({ status, statusText, headers, cookies: Cookies.fromSetCookie(setCookie) }, body())
}

/**
 * Own properties are all that the platform copies, and as accessors they took thirty times as long to
 * make: 2 % of a request.
 */
const handlerFor = (part: "headers" | "cookies" | "body"): ProxyHandler<Answer> => ({
  get: (answer, key) => Reflect.get(derive(answer)[part], key),
  has: (answer, key) => Reflect.has(derive(answer)[part], key),
  ownKeys: (answer) => Reflect.ownKeys(derive(answer)[part]),
  getOwnPropertyDescriptor: (answer, key) => Reflect.getOwnPropertyDescriptor(derive(answer)[part], key),
  getPrototypeOf: (answer) => Reflect.getPrototypeOf(derive(answer)[part])
})

const [headersHandler, cookiesHandler, bodyHandler] = [handlerFor("headers"), handlerFor("cookies"), handlerFor("body")]

const responseProto: object = Object.getPrototypeOf(HttpServerResponse.empty())

/**
 * The response to send to the client: `head` as it is to be on the wire, and `body` for servers that know only the
 * platform's interface.
 */
export const toClient = (
  head: ResponseHead,
  body: LazyBody
): HttpServerResponse.HttpServerResponse & WithResponseHead => {
  const answer: Answer = { head, body, derived: undefined }
  const response = Object.create(responseProto)
  response.status = head.status
  response.statusText = head.statusText
  response.headers = new Proxy(answer, headersHandler)
  response.cookies = new Proxy(answer, cookiesHandler)
  response.body = new Proxy(answer, bodyHandler)
  response[responseHead] = head
  return response
}
