/**
 * What a client gets when there is no answer of a backend: a few words as text, or problem details (RFC 9457) for clients
 * that accept JSON. It names the reason, and says nothing about the backends to strangers.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import { meaningOf, type Reason } from "./Reason.ts"

/**
 * Seconds after which it may be worth asking again: a backend that recovers is back after two probes, one second apart.
 */
const retryAfter = "2"

const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  499: "Client Closed Request",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported"
}

/** The reason phrase of a status that an error may have. */
export const titleOf = (status: number): string => titles[status] ?? "Error"

/** The quality of each media range of an `Accept` field, by its name in lower case (RFC 9110 §12.5.1). */
const qualities = (accept: string): ReadonlyMap<string, number> =>
  new Map(
    accept.toLowerCase().split(",").map((range) => {
      const [name = "", ...parameters] = range.split(";").map((part) => part.trim())
      const quality = parameters.find((parameter) => parameter.startsWith("q="))
      return [name, quality === undefined ? 1 : Number(quality.slice(2))]
    })
  )

/** Whether JSON is asked for by name, and text is not liked better. `*\/*` is no name: a person with curl sends it. */
const acceptsJson = (accept: string | undefined): boolean => {
  if (accept === undefined) return false
  const quality = qualities(accept)
  const json = Math.max(quality.get("application/problem+json") ?? 0, quality.get("application/json") ?? 0)
  const text = quality.get("text/plain") ?? quality.get("text/*") ?? quality.get("*/*") ?? 0
  return json > 0 && json >= text
}

const sentenceOf = (reason: Reason, detail: string | undefined): string => {
  const { meaning } = meaningOf[reason]
  const saysMore = detail !== undefined && meaning.toLowerCase() !== `${detail}.`
  return saysMore ? `${meaning} (${detail})` : meaning
}

/** The text of a response. `detail` says more about this very request. */
export const text = (reason: Reason, detail: string | undefined): string => {
  const { status } = meaningOf[reason]
  return `${status} ${titleOf(status)}\n${sentenceOf(reason, detail)}\nreason: ${reason}\n`
}

/** The response for a reason. `detail` says more about this very request. */
export const make = (
  reason: Reason,
  accept: string | undefined,
  detail?: string
): HttpServerResponse.HttpServerResponse => {
  const { status } = meaningOf[reason]
  const problem = { type: ProblemDetails.blankType, title: titleOf(status), status, reason }
  const response = acceptsJson(accept)
    ? ProblemDetails.toResponse({ ...problem, detail: sentenceOf(reason, detail) })
    : HttpServerResponse.text(text(reason, detail), { status })
  return HttpServerResponse.setHeaders(HttpServerResponse.setStatus(response, status, titleOf(status)), {
    "cache-control": "no-store",
    ...(status === 503 ? { "retry-after": retryAfter } : {})
  })
}
