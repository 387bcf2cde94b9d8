/** Backends are read into one buffer, which must not be written over as long as a client's socket still refers to it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as WireClient from "../../../src/layers/wire/WireClient.ts"
import * as WireServer from "../../../src/layers/wire/WireServer.ts"
import * as Message from "../../../src/services/Message.ts"
import { answer, answering } from "../../contract/support/Backends.ts"
import { connect, head } from "../../contract/support/Serving.ts"

const both = Layer.merge(WireServer.layer({ host: "127.0.0.1", port: 0, shutdownTimeout: 0 }), WireClient.layer())

describe("answers that a client does not read yet", () => {
  it.live("stay what they were while others come from the same backend", () =>
    Effect.gen(function*() {
      const bodyOf = (n: number): string => `${n}`.padStart(8, "0").repeat(5_000)
      const { origin } = yield* answering((_, nth) => answer(bodyOf(nth)))
      const client = yield* HttpClient.HttpClient
      yield* HttpServer.serveEffect(Effect.gen(function*() {
        const { upgrade, ...sent } = Message.received(yield* HttpServerRequest)
        const response = yield* client.execute(Message.toBackend({ ...sent, origin }, undefined))
        return Message.toClient(Message.answered(response), () => Stream.empty)
      }))
      const peer = yield* connect
      peer.socket.pause()
      const count = 300
      yield* Effect.promise(() => peer.send(head("GET /").repeat(count)))
      yield* Effect.sleep("1 second")
      peer.socket.resume()
      for (let i = 0; i < count; i++) {
        const { body } = yield* Effect.promise(() => peer.response())
        assert.isTrue(body.toString() === bodyOf(i), `answer ${i} is ${body.toString().slice(0, 64)}`)
      }
    }).pipe(Effect.scoped, Effect.provide(both)))
})
