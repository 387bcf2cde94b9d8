/** What the contract suite says of whole bodies, and cannot say of cut ones: our own client reads no end before them. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as NodeEngine from "../../../src/layers/NodeEngine.ts"
import { answer, closing } from "../../contract/support/Backends.ts"

describe("an answer that nobody reads before its backend has closed the connection", () => {
  it.live("is cut if there is all that undici holds, and not the last byte", () =>
    Effect.gen(function*() {
      const { origin, over } = yield* closing(answer("x".repeat(2 ** 16 + 1)).slice(0, -1))
      const { text } = yield* HttpClient.get(origin)
      yield* over
      assert.strictEqual((yield* Effect.flip(text)).reason._tag, "DecodeError")
    }).pipe(Effect.scoped, Effect.provide(NodeEngine.layerClient())))
})
