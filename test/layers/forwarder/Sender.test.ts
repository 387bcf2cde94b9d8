/** One try through a client of the platform: what is let go when its time is over. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as TestClock from "effect/testing/TestClock"
import * as Sender from "../../../src/layers/forwarder/Sender.ts"

const request = HttpClientRequest.get("http://a/")

describe("a try whose time is over", () => {
  it.effect("is over for its client at once, although the exchange goes on", () =>
    Effect.gen(function*() {
      let isAborted = false
      // It goes by the signal and by nothing else, as fetch does.
      const client = HttpClient.make((_request, _url, signal) =>
        Effect.callback(() => signal.addEventListener("abort", () => isAborted = true))
      )
      const { send } = Sender.make(client)
      yield* Sender.within(send(request), 100, "headers_timeout", undefined).pipe(
        Effect.ignore,
        Effect.andThen(Effect.never),
        Effect.scoped,
        Effect.forkChild
      )
      yield* TestClock.adjust(99)
      assert.isFalse(isAborted)
      yield* TestClock.adjust(1)
      assert.isTrue(isAborted)
    }))
})
