import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Hash from "../../src/services/Hash.ts"

const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, "0")

describe("MurmurHash3 x86-32", () => {
  // Published at https://stackoverflow.com/a/31929528, and in the tests of MongoDB and others.
  it.each<readonly [text: string, seed: number, hash: number]>([
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["\0\0\0\0", 0, 0x2362f9de],
    ["aaaa", 0x9747b28c, 0x5a97808a],
    ["aaa", 0x9747b28c, 0x283e0130],
    ["aa", 0x9747b28c, 0x5d211726],
    ["a", 0x9747b28c, 0x7fa09ea6],
    ["abcd", 0x9747b28c, 0xf0478627],
    ["abc", 0x9747b28c, 0xc84a62dd],
    ["ab", 0x9747b28c, 0x74875592],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["ππππππππ", 0x9747b28c, 0xd58063c1],
    ["a".repeat(256), 0x9747b28c, 0x37405bdc],
    ["abc", 0, 0xb3dd93fa],
    ["abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 0, 0xee925b90],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd]
  ])("of the text %j with seed %d is as published", (text, seed, hash) => {
    assert.strictEqual(hex(Hash.string(text, seed)), hex(hash))
  })

  it.each<readonly [bytes: ReadonlyArray<number>, seed: number, hash: number]>([
    [[0xff, 0xff, 0xff, 0xff], 0, 0x76293b50],
    [[0x21, 0x43, 0x65, 0x87], 0, 0xf55b516b],
    [[0x21, 0x43, 0x65, 0x87], 0x5082edee, 0x2362f9de],
    [[0x21, 0x43, 0x65], 0, 0x7e4a8634],
    [[0x21, 0x43], 0, 0xa0f7b07a],
    [[0x21], 0, 0x72661cf4],
    [[0, 0, 0, 0], 0, 0x2362f9de],
    [[0, 0, 0], 0, 0x85f0b427],
    [[0, 0], 0, 0x30f4c306],
    [[0], 0, 0x514e28b7]
  ])("of the bytes %j with seed %d is as published", (bytes, seed, hash) => {
    assert.strictEqual(hex(Hash.bytes(Uint8Array.from(bytes), seed)), hex(hash))
  })

  it("has the verification value of SMHasher, its author's own test", () => {
    const key = Uint8Array.from({ length: 256 }, (_, i) => i)
    const hashes = new DataView(new ArrayBuffer(4 * 256))
    for (let i = 0; i < 256; i++) hashes.setUint32(4 * i, Hash.bytes(key.subarray(0, i), 256 - i), true)
    assert.strictEqual(hex(Hash.bytes(new Uint8Array(hashes.buffer))), "b0f57ee3")
  })

  it("of any text is that of its UTF-8", () => {
    const text = fc.array(fc.nat(0x10ffff)).map((codes) => String.fromCodePoint(...codes))
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), fc.integer(), (text, seed) => {
        assert.strictEqual(Hash.string(text, seed), Hash.bytes(new TextEncoder().encode(text), seed))
        // The first character that takes two bytes.
      }),
      { examples: [["\x80", 0]] }
    )
  })

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8])("of a text is that of its UTF-8, whose only other character is at %d", (at) => {
    const text = `${"a".repeat(at)}é${"a".repeat(8 - at)}`
    assert.strictEqual(Hash.string(text), Hash.bytes(new TextEncoder().encode(text)))
  })

  it("of an integer is that of its four bytes", () => {
    fc.assert(fc.property(fc.nat(0xffffffff), fc.integer(), (value, seed) => {
      const bytes = [value, value >>> 8, value >>> 16, value >>> 24].map((byte) => byte & 0xff)
      assert.strictEqual(Hash.integer(value, seed), Hash.bytes(Uint8Array.from(bytes), seed))
    }))
  })
})
