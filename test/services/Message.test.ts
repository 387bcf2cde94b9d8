import { assert, describe, it } from "@effect/vitest"
import * as Message from "../../src/services/Message.ts"

const request: Message.RequestHead = { method: "GET", target: "/", fields: [], body: undefined }
const response: Message.ResponseHead = { status: 200, statusText: "", fields: [], body: undefined }

describe("attached heads", () => {
  it("are found on what they were attached to, which stays the same object", () => {
    const object = { a: 1 }
    assert.isFalse(Message.hasRequestHead(object))
    assert.isFalse(Message.hasResponseHead(object))
    const message = Message.attachRequestHead(object, request)
    assert.strictEqual<object>(message, object)
    assert.isTrue(Message.hasRequestHead(object))
    assert.isFalse(Message.hasResponseHead(object))
    Message.attachResponseHead(object, response)
    assert.isTrue(Message.hasResponseHead(object))
  })

  it("do not show among the properties of a message", () => {
    assert.deepStrictEqual(Object.keys(Message.attachRequestHead({ a: 1 }, request)), ["a"])
  })

  it("are found by every copy of this module in one program", () => {
    assert.strictEqual(Message.requestHead, Symbol.for("evenkeel/services/Message/requestHead"))
    assert.strictEqual(Message.responseHead, Symbol.for("evenkeel/services/Message/responseHead"))
  })
})
