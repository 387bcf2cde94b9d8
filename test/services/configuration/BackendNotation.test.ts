import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import * as Backend from "../../../src/services/Backend.ts"
import { BackendNotation, Backends } from "../../../src/services/configuration/BackendNotation.ts"

/** The value that is written so, or `undefined` for what is no notation. */
const read = <T, E>(codec: Schema.Codec<T, E>) => (input: unknown): T | undefined =>
  Result.getOrUndefined(Schema.decodeUnknownResult(codec)(input))

describe("a backend", () => {
  it.each([
    ["http://localhost:3001", Backend.make("http://localhost:3001")],
    ["https://example.org", Backend.make("https://example.org")],
    ["HTTP://Example.org:80/", Backend.make("http://example.org")],
    ["http://a:1,weight=3", Backend.make("http://a:1", { weight: 3 })],
    ["http://[::1]:3001,weight=1000", Backend.make("http://[::1]:3001", { weight: 1000 })],
    [{ url: "http://a:1" }, Backend.make("http://a:1")],
    [{ url: "http://a:1", weight: 2, id: "a" }, Backend.make("http://a:1", { weight: 2, id: "a" })],
    ["http://a:1,backup", Backend.make("http://a:1", { tier: 1 })],
    ["http://a:1,tier=0", Backend.make("http://a:1")],
    ["http://a:1,tier=2", Backend.make("http://a:1", { tier: 2 })],
    ["http://a:1,zone=eu-west-1a", Backend.make("http://a:1", { zone: "eu-west-1a" })],
    ["http://a:1,backup,zone=a,weight=2", Backend.make("http://a:1", { weight: 2, tier: 1, zone: "a" })],
    ["unix:/run/a.sock,weight=2", Backend.make("unix:/run/a.sock", { weight: 2 })],
    [{ url: "http://a:1", backup: true, zone: "a" }, Backend.make("http://a:1", { tier: 1, zone: "a" })],
    [{ url: "http://a:1", backup: false }, Backend.make("http://a:1")],
    [{ url: "http://a:1", tier: 3 }, Backend.make("http://a:1", { tier: 3 })]
  ])("may be written %j", (input, expected) => assert.deepStrictEqual(read(BackendNotation)(input), expected))

  it.each([
    "",
    "localhost:3001",
    "ftp://a",
    "http://a/path",
    "http://a?q",
    "http://user:secret@a",
    "http://a:1,weight=0",
    "http://a:1,weight=1001",
    "http://a:1,weight=1.5",
    "http://a:1,weight=",
    "http://a:1,wight=3",
    "http://a:1,weight=3,weight=3",
    "http://a:1,",
    "http://a:1,backup=1",
    "http://a:1,backup,backup",
    "http://a:1,backup,tier=2",
    "http://a:1,tier=10",
    "http://a:1,tier=-1",
    "http://a:1,tier",
    "http://a:1,zone=",
    "http://a:1,zone=a b",
    "http://a:1,weight =2",
    { url: "http://a:1", weight: 0 },
    { url: "http://a:1", tier: 1, backup: true },
    { url: "http://a:1", tier: 1.5 },
    { url: "http://a:1", zone: "" },
    { url: "http://a:1", backup: "yes" },
    { url: "http://a:1", weight: "2" },
    { url: "http://a:1", id: "" },
    { weight: 2 },
    3001
  ])("may not be written %j", (input) => assert.strictEqual(read(BackendNotation)(input), undefined))

  it("can be read again as it is written", () => {
    const options = fc.record({
      id: fc.string({ minLength: 1 }),
      weight: fc.integer({ min: 1, max: 1000 }),
      zone: fc.domain(),
      tier: fc.nat(9)
    }, { requiredKeys: [] })
    fc.assert(fc.property(fc.domain(), options, (domain, options) => {
      const backend = Backend.make(`http://${domain.toLowerCase()}`, options)
      assert.deepStrictEqual(read(BackendNotation)(Schema.encodeSync(BackendNotation)(backend)), backend)
    }))
  })

  it.each([
    ["http://a:1,wight=3", "expected nothing after the URL but ,weight=N ,zone=NAME ,tier=N ,backup"],
    ["http://a:1,backups", "expected nothing after the URL but ,weight=N ,zone=NAME ,tier=N ,backup"],
    ["http://a:1,x", "expected nothing after the URL but ,weight=N ,zone=NAME ,tier=N ,backup"],
    ["http://a:1,weight=0", "expected ,weight to be a whole number from 1 to 1000"],
    ["http://a:1,zone=a b", "expected ,zone to be a name of letters, digits and . _ - : /"],
    ["http://a:1,tier=10", "expected ,tier to be a whole number from 0 to 9"],
    ["http://a:1,backup=yes", "expected ,backup to be alone"],
    ["http://a:1,weight=1,weight=1", "expected one weight of a backend"],
    ["http://a:1,backup,tier=2", "expected a tier or backup, which is tier 1, and not both"]
  ])("says what is wrong with %s", (input, message) => {
    const wrong = Schema.decodeResult(BackendNotation)(input).pipe(Result.flip, Result.getOrThrow)
    assert.include(String(wrong), message)
  })

  it("shares neither origin nor id with another, and is not alone missing", () => {
    assert.strictEqual(read(Backends)(["http://a:1", "http://a:1/"]), undefined)
    assert.strictEqual(read(Backends)([{ url: "http://a:1", id: "x" }, { url: "http://a:2", id: "x" }]), undefined)
    assert.strictEqual(read(Backends)([{ url: "http://a:1", id: "x" }, { url: "http://a:1", id: "y" }]), undefined)
    assert.strictEqual(read(Backends)([]), undefined)
    assert.strictEqual(read(Backends)(["http://a:1", "http://a:2"])?.length, 2)
  })
})
