/**
 * One try through any client layer: sent, limited in time, and given up when there is a better answer.
 *
 * Owns what differs between an engine of ours, which lets go of a response when it is told to, and the platform's
 * clients, which do so with a scope. Whether there is another try is not decided here.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Scope from "effect/Scope"
import { TransportFailure } from "../../services/Failure.ts"
import * as HeaderFields from "../../services/HeaderFields.ts"
import * as Message from "../../services/Message.ts"
import * as PlatformResponse from "../../services/PlatformResponse.ts"
import { unaltered } from "../../services/Unaltered.ts"
import type { Upload } from "./Upload.ts"

/** A request on its way: the head of the response, or why there is none. Whatever comes of it ends with the scope. */
export type Sending = Effect.Effect<HttpClientResponse, HttpClientError | TransportFailure, Scope.Scope>

/** How requests are sent. */
export interface Sender {
  readonly send: (request: HttpClientRequest) => Sending
  /** Gives a response up before the end of the scope, and does not read the rest of it. */
  readonly release: (response: HttpClientResponse) => Effect.Effect<void>
}

/** A sender over a client. */
export const make = (client: HttpClient.HttpClient): Sender => {
  if (Message.releasesBodies(client)) {
    return {
      send: client.execute,
      release: (response) => Effect.sync(() => PlatformResponse.headOf(response).body?.release())
    }
  }
  const scoped = HttpClient.withScope(client)
  const scopes = new WeakMap<HttpClientResponse, Scope.Closeable>()
  return {
    send: Effect.fnUntraced(function*(request) {
      const scope = yield* Scope.fork(yield* Scope.Scope)
      const response = yield* scoped.execute(request).pipe(
        Effect.provideService(Scope.Scope, scope),
        unaltered,
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      // Such a coding cannot be undone. Our own engine refuses it before there is an answer.
      if (!HeaderFields.isDecoded(PlatformResponse.headOf(response).fields)) {
        yield* Scope.close(scope, Exit.void)
        return yield* TransportFailure.make({
          reason: "protocol_error",
          message: "The answer has a transfer coding that nobody asked for"
        })
      }
      scopes.set(response, scope)
      return response
    }),
    release: (response) => {
      const scope = scopes.get(response)
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    }
  }
}

/**
 * Keeps a limit of so many milliseconds, if there is one: usually there is none, and nothing is added. A try that is
 * over while its client is waited for has not failed for this reason, but for want of the request.
 */
export const within = (
  sending: Sending,
  millis: number,
  reason: "deadline_exceeded" | "headers_timeout",
  upload: Upload | undefined
): Sending => {
  if (millis === Infinity) return sending
  // Looked at before the try is interrupted, which waits for nobody then.
  const over = Effect.flatMap(Effect.sleep(Math.max(0, millis)), () =>
    Effect.fail(
      upload?.expire(millis)
        ? TransportFailure.make({ reason: "request_timeout", message: "The request did not come in time" })
        : TransportFailure.make({ reason, message: "No answer in time" })
    ))
  return Effect.raceFirst(sending, over)
}
