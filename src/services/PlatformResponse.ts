/**
 * Responses between the platform's types and ours: the head of one that a backend sent, and one for the client with a
 * head.
 *
 * What the platform's interface has besides is derived only for servers that ask. Not here: which head the client gets.
 */
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Stream from "effect/Stream"
import { isNamed } from "./Fields.ts"
import { contentLengthOf, toFields, toHeaders } from "./HeaderRecord.ts"
import { hasResponseHead, type LazyBody, type ResponseHead, responseHead, type WithResponseHead } from "./Message.ts"

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
export const headOf = (response: HttpClientResponse): ResponseHead => {
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
 * Derives a part of a response when it is first read. The platform copies own properties only, and own accessors would
 * cost 2 % of a request.
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
  // `any`: its parts are what the platform declares, but proxies of it.
  const response = Object.create(responseProto)
  response.status = head.status
  response.statusText = head.statusText
  response.headers = new Proxy(answer, headersHandler)
  response.cookies = new Proxy(answer, cookiesHandler)
  response.body = new Proxy(answer, bodyHandler)
  response[responseHead] = head
  return response
}
