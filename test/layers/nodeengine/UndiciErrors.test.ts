import { assert, describe, it } from "@effect/vitest"
import { failureOf } from "../../../src/layers/nodeengine/UndiciErrors.ts"

const coded = (code: string): Error => Object.assign(new Error(`it was ${code}`), { code })

describe("an error of undici", () => {
  it.each<readonly [code: string, isStarted: boolean, reason: string]>([
    ["ECONNREFUSED", false, "connect_failed"],
    ["UND_ERR_CONNECT_TIMEOUT", false, "connect_timeout"],
    ["ETIMEDOUT", false, "connect_timeout"],
    ["ECONNRESET", true, "reset_before_headers"],
    ["UND_ERR_HEADERS_TIMEOUT", true, "headers_timeout"],
    ["UND_ERR_HEADERS_OVERFLOW", true, "protocol_error"],
    ["UND_ERR_INVALID_ARG", false, "bad_request"],
    // What this process lacks is no fault of a backend.
    ["EMFILE", false, "overloaded"],
    ["ENFILE", false, "overloaded"],
    ["EADDRNOTAVAIL", false, "overloaded"]
  ])("%s, with a request begun: %s, is %s", (code, isStarted, reason) => {
    assert.strictEqual(failureOf(coded(code), isStarted).reason, reason)
  })

  it("about an answer that is no HTTP says so in the words of the documents, and what undici found", () => {
    const error = Object.assign(new Error("Expected HTTP/"), { name: "HTTPParserError", code: "HPE_INVALID_CONSTANT" })
    assert.strictEqual(failureOf(error, true).message, "The answer is not valid HTTP: Expected HTTP/")
  })
})
