/**
 * Backends are read into one buffer, which must not be written over as long as a client's socket still refers to it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as WireClient from "../../../src/layers/wire/WireClient.ts"
import * as WireServer from "../../../src/layers/wire/WireServer.ts"
import * as PlatformRequest from "../../../src/services/PlatformRequest.ts"
import * as PlatformResponse from "../../../src/services/PlatformResponse.ts"
import { answer, answering } from "../../contract/support/Backends.ts"
import { connect, head } from "../../contract/support/Serving.ts"

const both = Layer.merge(WireServer.layer({ host: "127.0.0.1", port: 0, shutdownTimeout: 0 }), WireClient.layer())

describe("answers that a client does not read yet", () => {
  it.live("stay what they were while the same backend answers others, and are not asked for without end", () =>
    Effect.gen(function*() {
      const bodyOf = (target: string): string => target.padStart(8).repeat(5_000)
      const { origin, requests } = yield* answering(({ target }) => answer(bodyOf(target)))
      const client = yield* HttpClient.HttpClient
      yield* HttpServer.serveEffect(Effect.gen(function*() {
        const received = PlatformRequest.headOf(yield* HttpServerRequest)
        const response = yield* client.execute(PlatformRequest.toBackend({ ...received, origin }, undefined))
        return PlatformResponse.toClient(PlatformResponse.headOf(response), () => Stream.empty)
      }))
      const [slow, other] = [yield* connect, yield* connect]
      slow.socket.pause()
      const targets = Array.from({ length: 500 }, (_, i) => `/${i}`)
      yield* Effect.promise(() => slow.send(targets.map((target) => head(`GET ${target}`)).join("")))
      // What the kernel takes is a matter of its buffers: it is full when nothing is asked for any more.
      let asked = -1
      while (asked < requests.length) {
        asked = requests.length
        yield* Effect.sleep("200 millis")
      }
      assert.isBelow(asked, targets.length)
      for (let i = 0; i < 10; i++) yield* Effect.promise(() => other.exchange(head("GET /other")))
      slow.socket.resume()
      for (const target of targets) {
        const { body } = yield* Effect.promise(() => slow.response())
        assert.isTrue(body.toString() === bodyOf(target), `the answer to ${target} is ${body.toString().slice(0, 16)}`)
      }
    }).pipe(Effect.scoped, Effect.provide(both)))
})
