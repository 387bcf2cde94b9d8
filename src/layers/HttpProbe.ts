/**
 * The HTTP health check: a GET through the same client as the traffic, so that it fails where the traffic would.
 *
 * A backend passes with a status from 200 to 399, as with HAProxy, Traefik and nginx Plus.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { urlOf } from "../services/Backend.ts"
import { fromClientError } from "../services/Failure.ts"
import { Probe, ProbeFailed, probeUserAgent } from "../services/Probe.ts"

/** What to ask for, and how long to wait for the whole answer. */
export interface Options {
  readonly path: string
  readonly timeout: Duration.Duration
}

/** `GET /` within 2 s. */
export const defaultOptions: Options = { path: "/", timeout: Duration.seconds(2) }

/** A body is read, so that the connection can be used again, but not for ever: health pages are short. */
const maxBodyChunks = 16

/** Checks over HTTP. */
export const layer = (options: Options = defaultOptions): Layer.Layer<Probe, never, HttpClient.HttpClient> =>
  Layer.effect(
    Probe,
    Effect.gen(function*() {
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      return Probe.of({
        check: Effect.fnUntraced(
          function*(backend) {
            const request = HttpClientRequest.get(urlOf(backend.origin, options.path)).pipe(
              HttpClientRequest.setHeaders({ accept: "*/*", "user-agent": probeUserAgent })
            )
            const response = yield* client.execute(request).pipe(
              Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
            )
            if (response.status < 200 || response.status > 399) {
              return yield* ProbeFailed.make({ message: `status: ${response.status}`, answered: true })
            }
            yield* Stream.runDrain(Stream.take(response.stream, maxBodyChunks)).pipe(
              Effect.catchReason("HttpClientError", "EmptyBodyError", () => Effect.void)
            )
            return `status: ${response.status}`
          },
          Effect.scoped,
          Effect.catchTag("HttpClientError", (error) => ProbeFailed.make({ message: fromClientError(error).message })),
          Effect.timeoutOrElse({
            duration: options.timeout,
            orElse: () => ProbeFailed.make({ message: `no answer within ${Duration.format(options.timeout)}` })
          })
        )
      })
    })
  )
