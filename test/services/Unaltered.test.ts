import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { unaltered } from "../../src/services/Unaltered.ts"

describe("a message that is not altered", () => {
  it.effect("is sent without a redirect and a trace, and else as the program has set it up", () =>
    Effect.gen(function*() {
      const init = yield* unaltered(FetchHttpClient.RequestInit)
      assert.deepStrictEqual(init, { credentials: "omit", redirect: "manual" })
      const isTraceless = yield* unaltered(HttpClient.TracerDisabledWhen)
      assert.isTrue(isTraceless(HttpClientRequest.get("http://a")))
    }).pipe(Effect.provideService(FetchHttpClient.RequestInit, { credentials: "omit", redirect: "follow" })))
})
