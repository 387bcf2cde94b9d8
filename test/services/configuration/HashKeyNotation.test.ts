import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { HashKeyNotation } from "../../../src/services/configuration/HashKeyNotation.ts"
import type { HashKey } from "../../../src/services/HashKey.ts"

const parse = (text: unknown) => Schema.decodeUnknownResult(HashKeyNotation)(text)

describe("the notation of a hash key", () => {
  it.each<readonly [text: string, key: HashKey]>([
    ["client", { from: "client" }],
    ["path", { from: "path" }],
    ["header:X-User", { from: "header", name: "X-User" }],
    ["cookie:session", { from: "cookie", name: "session" }],
    ["query:user[id]", { from: "query", name: "user[id]" }],
    [" client ", { from: "client" }]
  ])("may be %j", (text, key) => {
    assert.deepStrictEqual(Result.getOrThrow(parse(text)), key)
    assert.strictEqual(Schema.encodeSync(HashKeyNotation)(key), text.trim())
  })

  it.each<readonly [text: unknown, words: string]>([
    ["header", "expected a name, as in header:NAME"],
    ["cookie:", "expected a name, as in cookie:NAME"],
    ["header:a b", "\"a b\" cannot be a name"],
    ["header:a(b", "\"a(b\" cannot be a name"],
    ["cookie:a=b", "\"a=b\" cannot be a name"],
    ["query:a&b", "\"a&b\" cannot be a name"],
    ["heder:x", ""],
    ["ip", ""],
    ["Client", ""],
    ["client:x", ""],
    ["", ""],
    [7, ""]
  ])("may not be %j", (text, words) => {
    const result = parse(text)
    assert(Result.isFailure(result))
    assert.include(result.failure.message, words)
  })
})
