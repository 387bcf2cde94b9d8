/** For random heads: nothing of one connection is forwarded, everything else is, unchanged and in order. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { FieldLines } from "../../src/services/Fields.ts"
import { type Client, toBackend, toClient } from "../../src/services/HeaderFields.ts"

type Line = readonly [name: string, value: string]

const linesOf = (fields: FieldLines): ReadonlyArray<Line> =>
  fields.flatMap((part, i): Array<Line> => (i % 2 === 0 ? [[part, fields[i + 1]!]] : []))

// -----------------------------------------------------------------------------
// Random heads, in which the special names are as common as others
// -----------------------------------------------------------------------------

const hopByHop = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings"
]
const requestOnly = ["expect", "proxy-authorization", "proxy"]
const responseOnly = ["proxy-authenticate", "proxy-authentication-info"]
const claims = [
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-real-ip",
  "forwarded"
]
const aliases = ["x_forwarded_for", "x.forwarded.host", "x-forwarded_proto", "x_real_ip"]
const plain = [
  "accept",
  "cookie",
  "x-hop",
  "x-other",
  "__proto__",
  "constructor",
  "authorization",
  "via",
  "0",
  "a_b",
  "x.y"
]
const framing = ["content-length", "host"]

const randomCase = (name: string): fc.Arbitrary<string> =>
  fc.array(fc.boolean(), { minLength: name.length, maxLength: name.length }).map((upper) =>
    Array.from(name, (char, i) => (upper[i] ? char.toUpperCase() : char)).join("")
  )

const name = fc.constantFrom(
  ...hopByHop,
  ...requestOnly,
  ...responseOnly,
  ...claims,
  ...aliases,
  ...plain,
  ...plain,
  ...framing
).chain(randomCase)

const option = fc.constantFrom(...plain, ...claims, ...framing, "close", "keep-alive").chain(randomCase)

const connection = fc.array(option, { minLength: 1, maxLength: 4 }).chain((options) =>
  fc.constantFrom(", ", ",", " ,\t").map((separator) => options.join(separator))
)

const valueOf = (name: string): fc.Arbitrary<string> => {
  switch (name.toLowerCase()) {
    case "connection":
      return connection
    case "host":
      return fc.constantFrom("example.com", "a:80", "[::1]")
    case "content-length":
      return fc.nat().map(String)
    case "transfer-encoding":
      return fc.constantFrom("chunked", "Chunked", "gzip")
    default:
      return fc.string({ unit: "grapheme-ascii", maxLength: 12 })
  }
}

const line: fc.Arbitrary<Line> = name.chain((name) => valueOf(name).map((value): Line => [name, value]))

const head = fc.array(line, { maxLength: 14, size: "max" }).map((lines) => lines.flat())

const client: fc.Arbitrary<Client> = fc.record({
  address: fc.constantFrom("203.0.113.9", "::1", undefined),
  protocol: fc.constantFrom("http", "https"),
  trusted: fc.boolean()
})

const target = fc.constantFrom("/", "//a/b?c", "http://example.com/a", "http://example.com")

/** The names in Connection, said once more and in another way than in the source. */
const namedIn = (lines: ReadonlyArray<Line>): ReadonlyArray<string> =>
  lines.filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) => value.toLowerCase().match(/[^,\s]+/g) ?? [])

// -----------------------------------------------------------------------------

describe("toBackend", () => {
  it("forwards exactly what it should, in order, and adds its own at the end", () => {
    let accepted = 0
    fc.assert(
      fc.property(target, head, client, (target, fields, client) => {
        const before = [...fields]
        const result = toBackend("GET", target, fields, client)
        assert.deepStrictEqual(fields, before)
        if (result._tag === "Refusal") return
        accepted++
        const lines = linesOf(fields)
        const named = namedIn(lines)
        const rewritten = ["host", "x-forwarded-for"]
        const kept = lines.filter(([name]) => {
          const lower = name.toLowerCase()
          if (lower === "content-length") return true
          if (claims.includes(lower)) return client.trusted && !rewritten.includes(lower)
          return ![...hopByHop, ...requestOnly, ...aliases, ...rewritten, ...named].includes(lower)
        })
        const sent = linesOf(result.fields)
        assert.deepStrictEqual(sent.slice(0, kept.length), kept)

        const added = sent.slice(kept.length)
        for (const [name] of added) assert.match(name, /^X-Forwarded-(?:For|Proto|Host)$/)
        assert.strictEqual(new Set(added.map(([name]) => name)).size, added.length)
        assert.strictEqual(sent.some(([name]) => name.toLowerCase() === "x-forwarded-proto"), true)
        for (const [name] of sent) assert.notInclude([...hopByHop, ...requestOnly, "host"], name.toLowerCase())
      }),
      { numRuns: 2_000 }
    )
    assert.isAbove(accepted, 500)
  })

  it("ends X-Forwarded-For with the address at the other end, and believes nothing before it from a stranger", () => {
    fc.assert(
      fc.property(target, head, client, (target, fields, client) => {
        const result = toBackend("GET", target, fields, client)
        if (result._tag === "Refusal" || client.address === undefined) return
        const values = linesOf(result.fields).filter(([name]) => name.toLowerCase() === "x-forwarded-for")
        assert.strictEqual(values.length, 1)
        if (client.trusted) assert.isTrue(values[0]![1].endsWith(client.address))
        else assert.strictEqual(values[0]![1], client.address)
      }),
      { numRuns: 1_000 }
    )
  })

  it("never lets two framings through", () => {
    fc.assert(
      fc.property(head, client, (fields, client) => {
        const result = toBackend("POST", "/", fields, client)
        if (result._tag === "Refusal") return
        const names = linesOf(fields).map(([name]) => name.toLowerCase())
        const lengths = names.filter((name) => name === "content-length").length
        const codings = names.filter((name) => name === "transfer-encoding").length
        assert.isAtMost(lengths + codings, 1)
        if (codings === 1) assert.isTrue(result.hasBody)
        if (codings + lengths === 0) assert.isFalse(result.hasBody)
      }),
      { numRuns: 1_000 }
    )
  })
})

describe("toClient", () => {
  it("forwards exactly what it should, in order, and adds nothing", () => {
    fc.assert(
      fc.property(fc.constantFrom(200, 204, 304, 500), head, (status, fields) => {
        const lines = linesOf(fields)
        // `Connection` cannot name what frames the message.
        const named = [...namedIn(lines)].filter((name) => name !== "content-length")
        const dropped = [...hopByHop, ...responseOnly, ...named]
        const isChunked = lines.some(([name]) => name.toLowerCase() === "transfer-encoding")
        if (isChunked || status === 204) dropped.push("content-length")
        assert.deepStrictEqual(
          linesOf(toClient(status, fields)),
          lines.filter(([name]) => !dropped.includes(name.toLowerCase()))
        )
      }),
      { numRuns: 2_000 }
    )
  })

  it("changes nothing the second time", () => {
    fc.assert(fc.property(head, (fields) => {
      const once = toClient(200, fields)
      assert.deepStrictEqual(toClient(200, once), once)
    }))
  })
})
