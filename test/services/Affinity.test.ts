import { assert, describe, it } from "@effect/vitest"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isUnder, noTokens, type Policy, setCookie, token, type Tokens, tokensOf } from "../../src/services/Affinity.ts"

const crypto = Effect.provide(Mac.layerWebCrypto.pipe(Layer.provide(SecureRandom.layerWebCrypto)))

const keyOf = (bytes: Uint8Array | string) => Mac.key(Mac.hmacSha256, Buffer.from(bytes))

const tokensFor = Effect.fnUntraced(function*(keys: ReadonlyArray<string>, ids: ReadonlyArray<string>, known?: Tokens) {
  return yield* tokensOf(yield* Effect.forEach(keys, keyOf), ids, known ?? noTokens)
})

describe("a token", () => {
  it.effect.each<readonly [key: Uint8Array | string, data: string, tag: string]>([
    [Buffer.alloc(20, 0x0b), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b"],
    ["Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c7"],
    // This one is published with 128 bits.
    [Buffer.alloc(20, 0x0c), "Test With Truncation", "a3b6167473100ee06e0c796c2955552b"]
  ])("is the first half of HMAC-SHA256 in base64url (RFC 4231): %s, %s", ([key, data, tag]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* token(yield* keyOf(key), data), Buffer.from(tag, "hex").toString("base64url"))
    }).pipe(crypto))

  it.effect("says nothing about the backend, and cannot be made without the key", () =>
    Effect.gen(function*() {
      const id = "http://10.0.0.1:8080"
      const { byId, ids } = yield* tokensFor(["the key"], [id])
      const [mine] = byId.get(id)!
      assert.match(mine!, /^[\w-]{22}$/)
      const forged = [
        id,
        Buffer.from(id).toString("base64url"),
        yield* token(yield* keyOf("another key"), id),
        mine!.slice(0, -1),
        `${mine}A`,
        ""
      ]
      assert.deepStrictEqual(forged.filter((value) => ids.has(value)), [])
      assert.strictEqual(ids.get(mine!), id)
    }).pipe(crypto))
})

describe("the tokens of a pool", () => {
  it.effect("are made with the first key and accepted of all", () =>
    Effect.gen(function*() {
      const before = yield* tokensFor(["old"], ["a", "b"])
      const rotated = yield* tokensFor(["new", "old"], ["a", "b"])
      const after = yield* tokensFor(["new"], ["a", "b"])
      const [stamp] = rotated.byId.get("a")!
      assert.strictEqual(stamp, after.byId.get("a")![0])
      assert.strictEqual(rotated.ids.get(stamp!), "a")
      const old = before.byId.get("a")![0]!
      assert.strictEqual(rotated.ids.get(old), "a")
      assert.isUndefined(after.ids.get(old))
    }).pipe(crypto))

  it.effect("follow who joins and leaves, and are made once for each", () =>
    Effect.gen(function*() {
      const two = yield* tokensFor(["key"], ["a", "b"])
      assert.strictEqual(yield* tokensFor(["key"], ["b", "a"], two), two)
      // Another key shows which ones are computed.
      const next = yield* tokensFor(["another"], ["b", "c"], two)
      assert.strictEqual(next.byId.get("b"), two.byId.get("b"))
      assert.deepStrictEqual([...next.ids.values()], ["b", "c"])
      assert.isFalse(next.ids.has(two.byId.get("a")![0]!))
      const rest = yield* tokensFor(["key"], ["b"], two)
      assert.deepStrictEqual([[...rest.byId.keys()], [...rest.ids.values()]], [["b"], ["b"]])
    }).pipe(crypto))
})

describe("a request", () => {
  it.each<readonly [path: string, target: string, isSent: boolean]>([
    ["/", "/", true],
    ["/", "*", true],
    ["/shop", "/shop", true],
    ["/shop", "/shop?to=/", true],
    ["/shop", "/shop/cart", true],
    ["/shop", "http://a.test/shop/cart", true],
    ["/shop/", "/shop/cart", true],
    ["/shop", "/shopping", false],
    ["/shop/", "/shop", false],
    ["/shop", "/?/shop", false],
    ["/shop", "/", false]
  ])("has a cookie of the path %s for %s: %s", (path, target, isSent) => {
    assert.strictEqual(isUnder(path, { method: "GET", target, fields: [], body: undefined }), isSent)
  })
})

describe("the cookie", () => {
  const policy: Policy = { cookie: "lb", keys: [], path: "/", sameSite: "lax" }

  it.each<readonly [Partial<Policy>, isSecure: boolean, text: string]>([
    [{}, false, "lb=TOKEN; Path=/; HttpOnly; SameSite=Lax"],
    [{}, true, "lb=TOKEN; Path=/; HttpOnly; Secure; SameSite=Lax"],
    [{ sameSite: "strict", path: "/shop" }, true, "lb=TOKEN; Path=/shop; HttpOnly; Secure; SameSite=Strict"],
    [{ sameSite: "none" }, true, "lb=TOKEN; Path=/; HttpOnly; Secure; SameSite=None"],
    // Browsers would refuse it.
    [{ sameSite: "none" }, false, "lb=TOKEN; Path=/; HttpOnly"],
    [{ maxAge: Duration.hours(1) }, false, "lb=TOKEN; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"],
    // 0 would delete it.
    [{ maxAge: Duration.millis(1) }, false, "lb=TOKEN; Path=/; Max-Age=1; HttpOnly; SameSite=Lax"]
  ])("is set as the policy %j says, where TLS is %s", (changes, isSecure, text) => {
    assert.strictEqual(setCookie({ ...policy, ...changes }, "TOKEN", isSecure), text)
  })
})
