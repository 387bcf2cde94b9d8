/**
 * Requests between the platform's types and ours: the head of one that was received, and one to be sent with a head.
 *
 * What the platform's interface has besides is derived only for clients that ask. Not here: which head is sent.
 */
import type * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Types from "effect/Types"
import * as Backend from "./Backend.ts"
import { contentLengthOf, toFields, toHeaders } from "./HeaderRecord.ts"
import {
  hasRequestHead,
  type LazyBody,
  type RequestHead,
  requestHead,
  type SentHead,
  sentHead,
  type WithSentHead
} from "./Message.ts"

const isFramed = (headers: object): boolean => "content-length" in headers || "transfer-encoding" in headers

const announcesBody = (headers: object): boolean =>
  isFramed(headers) && !("content-length" in headers && Number(headers["content-length"]) === 0)

/**
 * Whether what a request was made of has a body. A web `Request` with one need not have framing headers, and a middleware
 * leaves them out where it decodes the body.
 */
const hasBody = (source: object): boolean => {
  if (source instanceof Request) return source.body !== null
  if (hasRequestHead(source)) return announcesBody(toHeaders(source[requestHead].fields))
  return "headers" in source && Predicate.isObject(source.headers) && announcesBody(source.headers)
}

/** The head of a request that was received, whatever engine received it. */
export const headOf = (request: HttpServerRequest): RequestHead => {
  if (hasRequestHead(request)) return request[requestHead]
  const fields = toFields(request.headers)
  if (!isFramed(request.headers) && hasBody(request.source)) fields.push("transfer-encoding", "chunked")
  return { method: request.method, target: request.url, fields, body: undefined }
}

/** The URL for clients that need one. The origin is always the backend's, whatever the target says. */
const urlOf = (origin: string, target: string): string => Backend.urlOf(origin, target.startsWith("/") ? target : "/")

/** A request to a backend, of which the rest is derived. */
interface Sent extends WithSentHead {
  readonly headers: Headers.Headers
  readonly [bodyKey]: LazyBody | undefined
}

const bodyKey: unique symbol = Symbol("body")

/** What is its own, and not derived. */
type Own = Pick<Sent, typeof sentHead | typeof bodyKey>

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
  const request: Types.Mutable<HttpClientRequest.HttpClientRequest & Own> = Object.create(sentProto)
  request.method = head.method
  request[sentHead] = head
  request[bodyKey] = body
  return request
}
