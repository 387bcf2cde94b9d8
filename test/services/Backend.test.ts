import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  authorityOf,
  Backend,
  decode,
  InvalidBackend,
  make,
  Origin,
  parseOrigin,
  urlOf,
  Weight
} from "../../src/services/Backend.ts"

const accepts = (schema: Schema.Codec<unknown, unknown>, input: unknown): boolean =>
  Result.isSuccess(Schema.decodeUnknownResult(schema)(input))

describe("parseOrigin", () => {
  it.each([
    ["http://localhost:3001", "http://localhost:3001"],
    ["http://localhost:3001/", "http://localhost:3001"],
    ["HTTP://LocalHost:3001", "http://localhost:3001"],
    ["http://example.com:80", "http://example.com"],
    ["unix:///run/app.sock", "unix:/run/app.sock"],
    ["https://example.com:443", "https://example.com"],
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["http://[::1]:8080", "http://[::1]:8080"],
    ["unix:/run/app.sock", "unix:/run/app.sock"]
  ])("reads %s as %s", (input, origin) => {
    assert.strictEqual(parseOrigin(input), origin)
  })

  it.each([
    ["", "nothing"],
    ["localhost:3001", "no scheme"],
    ["ftp://localhost:3001", "another scheme"],
    ["unix:app.sock", "a path that is not absolute"],
    ["unix:", "no path"],
    ["unix:/run/a b", "a space"],
    ["http://", "no host"],
    ["http://localhost:70000", "no such port"],
    ["http://localhost/path", "a path"],
    ["http://localhost/?a=1", "a query"],
    ["http://localhost/#a", "a fragment"],
    ["http://localhost:0", "a port that nobody listens on"],
    ["http://localhost,weight=3", "an option, where there are none"],
    ["http://user@localhost", "a user"],
    ["http://:secret@localhost", "a password alone"],
    ["http://user:secret@localhost", "credentials, which would be printed"]
  ])("refuses %j: %s", (input) => {
    assert.isUndefined(parseOrigin(input))
  })
})

describe("an origin", () => {
  it.each([
    ["http://a", "a", "http://a/up?x"],
    ["https://a:8443", "a:8443", "https://a:8443/up?x"],
    ["unix:/run/app.sock", "localhost", "http+unix://%2Frun%2Fapp.sock/up?x"]
  ])("%s has the authority %s and the URL %s", (origin, authority, url) => {
    assert.deepStrictEqual([authorityOf(origin), urlOf(origin, "/up?x")], [authority, url])
  })
})

describe("Origin", () => {
  it("accepts only the form that parseOrigin returns", () => {
    assert.isTrue(accepts(Origin, "http://localhost:3001"))
    assert.isFalse(accepts(Origin, "http://localhost:3001/"))
    assert.isFalse(accepts(Origin, "http://example.com:80"))
    assert.isFalse(accepts(Origin, "localhost"))
  })

  it("says of anything else that it could be a unix socket as well", () => {
    const { message } = Result.getOrThrow(Result.flip(Schema.decodeResult(Origin)("localhost")))
    assert.include(message, "such as http://localhost:3001, or unix:/path/of/a.sock")
  })

  it.each([
    ["postgres://db-1:5432", true],
    ["redis+tls://[::1]", true],
    ["postgres://db-1:5432/users", false],
    ["postgres://admin:secret@db-1", false],
    ["postgres://", false],
    ["localhost:5432", false]
  ])("takes %s for what is not HTTP: %s", (input, accepted) => {
    assert.strictEqual(accepts(Origin, input), accepted)
  })
})

describe("Weight", () => {
  it.each([[1, true], [1000, true], [0, false], [1001, false], [-1, false], [1.5, false], [Number.NaN, false]])(
    "%d: %s",
    (weight, accepted) => {
      assert.strictEqual(accepts(Weight, weight), accepted)
    }
  )
})

describe("make", () => {
  it("names a backend after its origin and gives it weight 1 and the first tier", () => {
    const backend = make("http://localhost:3001")
    assert.deepStrictEqual({ ...backend }, {
      id: "http://localhost:3001",
      origin: "http://localhost:3001",
      weight: 1,
      tier: 0
    })
    assert.instanceOf(backend, Backend)
  })

  it("takes an id and a weight", () => {
    const backend = make("http://localhost:3001", { id: "blue", weight: 7 })
    assert.strictEqual(backend.id, "blue")
    assert.strictEqual(backend.weight, 7)
  })

  it("takes an option that is undefined for one that is left out", () => {
    const options = { id: undefined, weight: undefined, tier: undefined, zone: undefined }
    assert.deepStrictEqual(make("http://localhost:3001", options), make("http://localhost:3001"))
  })

  it("throws a message that has the value and what was expected", () => {
    assert.throws(
      () => make("localhost:3001"),
      "expected a URL without a path, such as http://localhost:3001, or unix:/path/of/a.sock, " +
        "got \"localhost:3001\" (did you mean \"http://localhost:3001\"?)"
    )
  })
})

describe("decode", () => {
  it.each([
    ["http://10.0.0.1:80/", "http://10.0.0.1"],
    ["HTTP://Web-1:8080", "http://web-1:8080"],
    [" http://web-1\n", "http://web-1"],
    ["unix:///run/app.sock", "unix:/run/app.sock"],
    ["postgres://db-1:5432", "postgres://db-1:5432"]
  ])("takes %j for %s, as the configuration does, and names it so", (input, origin) => {
    assert.deepStrictEqual(decode(input), Result.succeed(make(origin)))
    assert.strictEqual(make(input).id, origin)
  })

  it("keeps what is said besides, and leaves out what is undefined", () => {
    const options: object = { id: "blue", weight: 3, tier: 1, zone: undefined }
    assert.deepStrictEqual(
      decode("http://a/", options),
      Result.succeed(Backend.make({ id: "blue", origin: "http://a", weight: 3, tier: 1 }))
    )
  })

  it.each([
    [
      "web-1:99999",
      {},
      "expected a URL without a path, such as http://localhost:3001, or unix:/path/of/a.sock, got \"web-1:99999\""
    ],
    [
      "http://ann:secret@a",
      {},
      "expected a URL without a path, such as http://localhost:3001, or unix:/path/of/a.sock, got \"http://***@a\""
    ],
    ["http://a", { id: "" }, "expected id to be a text that is not empty, got \"\""],
    ["http://a", { weight: 0 }, "expected weight to be a whole number from 1 to 1000, got 0"],
    ["http://a", { tier: 10 }, "expected tier to be a whole number from 0 to 9, got 10"],
    ["http://a", { zone: "a b" }, "expected zone to be a name of letters, digits and . _ - : /, got \"a b\""]
  ])("refuses %s with %j: %s", (origin, options, message) => {
    assert.deepStrictEqual(decode(origin, options), Result.fail(InvalidBackend.make({ message })))
  })

  it("refuses what is no text, as a registry may have it", () => {
    const origins: ReadonlyArray<string> = JSON.parse("[null, 3, {}]")
    assert.deepStrictEqual(origins.map((origin) => Result.isFailure(decode(origin))), [true, true, true])
  })
})
