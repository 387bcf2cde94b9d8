/**
 * What a client gets when there is no backend's answer to give: a few words as text, or problem details (RFC 9457) for who
 * accepts JSON. It names the reason and nothing about the backends, which are none of a stranger's business.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import { meaningOf, type Reason } from "./Failure.ts"

/** Seconds after which it may be worth asking again: a backend that recovers is back after two probes, one second apart. */
const retryAfter = "2"

const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
  499: "Client Closed Request",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout"
}

/** Whether an `Accept` field asks for JSON by name; `*\/*` does not, because a person with curl sends it. */
const acceptsJson = (accept: string | undefined): boolean =>
  accept !== undefined && /\bapplication\/(?:problem\+)?json\b/i.test(accept)

/** The response for a reason. `detail` says more about this very request. */
export const make = (
  reason: Reason,
  accept: string | undefined,
  detail?: string
): HttpServerResponse.HttpServerResponse => {
  const { meaning, status } = meaningOf[reason]
  const title = titles[status] ?? "Error"
  const sentence = detail === undefined ? meaning : `${meaning} (${detail})`
  const response = acceptsJson(accept)
    ? ProblemDetails.toResponse({ type: ProblemDetails.blankType, title, status, detail: sentence, reason })
    : HttpServerResponse.text(`${status} ${title}\n${sentence}\nreason: ${reason}\n`, { status })
  return HttpServerResponse.setHeaders(response, {
    "cache-control": "no-store",
    ...(status === 503 ? { "retry-after": retryAfter } : {})
  })
}
