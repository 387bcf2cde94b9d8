import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { HashKeyNotation } from "../../src/services/configuration/HashKeyNotation.ts"
import * as HashKey from "../../src/services/HashKey.ts"
import type { RequestHead } from "../../src/services/Message.ts"

const head = (target: string, ...fields: ReadonlyArray<string>): RequestHead => ({
  method: "GET",
  target,
  fields,
  body: undefined
})

/** The key of a request by the notation of it. */
const keyOf = (notation: string, request: RequestHead, client: string | undefined = "203.0.113.9") =>
  HashKey.extractor(Schema.decodeSync(HashKeyNotation)(notation))(request, client)

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
      assert.isUndefined(HashKey.extractor(Schema.decodeSync(HashKeyNotation)(notation))(request, undefined))
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
