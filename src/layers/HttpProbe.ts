/**
 * The HTTP health check: a request through the same client as the traffic, so that it fails where the traffic would.
 *
 * A backend passes with a status from 200 to 399, as with HAProxy, Traefik and nginx Plus, unless other statuses or a
 * text in the body are expected.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { authorityOf, isUnixSocket, urlOf } from "../services/Backend.ts"
import { fromClientError } from "../services/Failure.ts"
import * as Probe from "../services/Probe.ts"
import { show } from "../services/Shown.ts"
import { unaltered } from "../services/Unaltered.ts"

/** What to ask for, and what to expect. */
export interface Options extends Probe.Place {
  readonly path: string
  /** GET, unless it is given. */
  readonly method?: "GET" | "HEAD" | "OPTIONS" | "POST" | undefined
  /** Fields besides, which may replace our own. */
  readonly headers?: ReadonlyArray<{ readonly name: string; readonly value: string }> | undefined
  /** The `Host` field: that of the URL, unless it is given. */
  readonly host?: string | undefined
  /** The statuses that pass: 200 to 399, unless they are given. */
  readonly status?: ReadonlyArray<Probe.StatusRange> | undefined
  /** A text that must be in the first 64 KiB of the body. */
  readonly body?: string | undefined
}

/** `GET /`. */
export const defaultOptions: Options = { path: "/" }

const defaultStatus: ReadonlyArray<Probe.StatusRange> = [{ first: 200, last: 399 }]

/** A body is read, so that the connection can be used again, but not for ever: health pages are short. */
const maxBodyBytes = 64 * 1024

/** The beginning of a body as text, read for as long as `maxBodyBytes` allow. */
const beginningOf = (response: HttpClientResponse) =>
  Effect.suspend(() => {
    const decoder = new TextDecoder()
    let bytes = 0
    let text = ""
    return response.stream.pipe(
      Stream.takeUntil((chunk) => {
        text += decoder.decode(chunk.subarray(0, maxBodyBytes - bytes), { stream: true })
        bytes += chunk.length
        return bytes >= maxBodyBytes
      }),
      Stream.runDrain,
      Effect.catchReason("HttpClientError", "EmptyBodyError", () => Effect.void),
      Effect.map(() => ({ text, isAll: bytes < maxBodyBytes }))
    )
  })

/** Succeeds with the status when the answer is as expected, and reads it. */
const judge = Effect.fnUntraced(function*(response: HttpClientResponse, options: Options) {
  const { body: expected, status: statuses = defaultStatus } = options
  const { status } = response
  if (!statuses.some(({ first, last }) => first <= status && status <= last)) {
    return yield* Probe.ProbeFailed.make({ message: `status: ${status}`, answered: true })
  }
  const { isAll, text } = yield* beginningOf(response)
  if (expected !== undefined && !text.includes(expected)) {
    const where = isAll ? "the body" : "the first 64 KiB of the body"
    const message = `status: ${status}, but no ${show(expected)} in ${where}`
    return yield* Probe.ProbeFailed.make({ message, answered: true })
  }
  return `status: ${status}`
})

const requestFor = (origin: string, options: Options): HttpClientRequest.HttpClientRequest => {
  const { headers = [], method = "GET", path } = options
  const place = Probe.originToCheck(origin, options)
  const host = options.host ?? (isUnixSocket(place) ? authorityOf(place) : undefined)
  return HttpClientRequest.make(method)(urlOf(place, path)).pipe(
    HttpClientRequest.setHeaders({ accept: "*/*", "user-agent": Probe.probeUserAgent }),
    HttpClientRequest.setHeaders(headers.map(({ name, value }) => [name, value] as const)),
    HttpClientRequest.setHeaders(host === undefined ? {} : { host })
  )
}

/** Checks over HTTP. */
export const layer = (options: Options = defaultOptions): Layer.Layer<Probe.Probe, never, HttpClient.HttpClient> =>
  Layer.effect(
    Probe.Probe,
    Effect.gen(function*() {
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      return Probe.Probe.of({
        check: Effect.fnUntraced(
          function*({ origin }) {
            const response = yield* client.execute(requestFor(origin, options)).pipe(
              unaltered,
              Effect.provideService(Probe.IsCheck, true)
            )
            return yield* judge(response, options)
          },
          // What is left of an answer goes with its connection.
          Effect.scoped,
          (check, { origin }) =>
            Effect.catchTag(
              check,
              "HttpClientError",
              (error) => Effect.fail(Probe.fromFailure(fromClientError(error), options, origin))
            )
        )
      })
    })
  )
