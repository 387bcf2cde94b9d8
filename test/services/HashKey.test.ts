import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as HashKey from "../../src/services/HashKey.ts"
import type { RequestHead } from "../../src/services/Message.ts"

const parse = (text: unknown) => Schema.decodeUnknownResult(HashKey.HashKey)(text)

const head = (target: string, ...fields: ReadonlyArray<string>): RequestHead => ({
  method: "GET",
  target,
  fields,
  body: undefined
})

/** The key of a request by the notation of it. */
const keyOf = (notation: string, request: RequestHead, client: string | undefined = "203.0.113.9") =>
  HashKey.extractor(Schema.decodeSync(HashKey.HashKey)(notation))(request, client)

describe("the notation of a hash key", () => {
  it.each<readonly [text: string, key: HashKey.HashKey]>([
    ["client", { from: "client" }],
    ["path", { from: "path" }],
    ["header:X-User", { from: "header", name: "X-User" }],
    ["cookie:session", { from: "cookie", name: "session" }],
    ["query:user[id]", { from: "query", name: "user[id]" }],
    [" client ", { from: "client" }]
  ])("may be %j", (text, key) => {
    assert.deepStrictEqual(Result.getOrThrow(parse(text)), key)
    assert.strictEqual(Schema.encodeSync(HashKey.HashKey)(key), text.trim())
  })

  it.each<readonly [text: unknown, words: string]>([
    ["header", "expected a name, as in header:NAME"],
    ["cookie:", "expected a name, as in cookie:NAME"],
    ["header:a b", "\"a b\" cannot be a name"],
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

describe("the key of a request", () => {
  const request = head(
    "/orders/7?user=ann&empty=&x=%20+#",
    "Host",
    "a.test",
    "X-User",
    "Ann",
    "x-user",
    "Bob",
    "X-Empty",
    "",
    "Cookie",
    "theme=dark; session=abc=1; sess=z",
    "cookie",
    "late=1"
  )

  it.each([
    ["client", "203.0.113.9"],
    ["path", "/orders/7"],
    ["header:x-user", "Ann"],
    ["header:X-USER", "Ann"],
    ["cookie:session", "abc=1"],
    ["cookie:theme", "dark"],
    ["cookie:sess", "z"],
    ["cookie:late", "1"],
    ["query:user", "ann"],
    ["query:x", "%20+#"]
  ])("by %s is %j", (notation, key) => assert.strictEqual(keyOf(notation, request), key))

  it.each([
    "header:x-other",
    "header:x-empty",
    "cookie:Session",
    "cookie:ession",
    "query:use",
    "query:empty",
    "query:ann"
  ])(
    "by %s, which it does not have, is the client's address",
    (notation) => {
      assert.strictEqual(keyOf(notation, request), "203.0.113.9")
      assert.isUndefined(HashKey.extractor(Schema.decodeSync(HashKey.HashKey)(notation))(request, undefined))
    }
  )

  it.each([
    ["/", "/"],
    ["/?a=/b", "/"],
    ["//a/../b?", "//a/../b"],
    ["http://a.test/b/c?d", "/b/c"],
    ["http://a.test", "/"],
    ["http://a.test?x", "/"],
    ["http://a.test?x=/y", "/"],
    ["*", "*"]
  ])("by path, of the target %s, is %s", (target, path) => assert.strictEqual(keyOf("path", head(target)), path))

  it("is the same for an IPv4 client, whichever socket it came to", () => {
    assert.strictEqual(keyOf("client", request, "::ffff:203.0.113.9"), "203.0.113.9")
    assert.strictEqual(keyOf("header:none", request, "::ffff:203.0.113.9"), "203.0.113.9")
    assert.strictEqual(keyOf("client", request, "2001:db8::1"), "2001:db8::1")
  })
})
