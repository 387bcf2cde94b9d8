/** What the client of a row sends, and the ways to read what it gets. */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import { silent } from "./Backends.ts"
import { assert } from "./Rows.ts"

/** The request that a backend gets. */
export const sent = (make: (origin: string) => HttpClientRequest.HttpClientRequest) =>
  Effect.gen(function*() {
    const { origin, requests } = yield* silent
    yield* HttpClient.execute(make(origin))
    assert.strictEqual(requests.length, 1)
    return requests[0]!
  })

/** The ways to read the body of an answer. */
export const readers: ReadonlyArray<
  readonly [how: string, read: (response: HttpClientResponse) => Effect.Effect<unknown, HttpClientError>]
> = [
  ["text", ({ text }) => text],
  ["bytes", ({ arrayBuffer }) => arrayBuffer],
  ["a stream", ({ stream }) => Stream.runDrain(stream)]
]
