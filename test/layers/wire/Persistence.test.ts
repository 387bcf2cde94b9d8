/** What heads say about their connection. */
import { assert, describe, it } from "@effect/vitest"
import * as Framing from "../../../src/layers/wire/Framing.ts"
import { Malformed } from "../../../src/layers/wire/Grammar.ts"
import * as Persistence from "../../../src/layers/wire/Persistence.ts"
import { connectionOptions } from "../../../src/services/HeaderFields.ts"

const optionsOf = (...values: ReadonlyArray<string>) =>
  connectionOptions(values.flatMap((value) => ["Connection", value]))

describe("a connection", () => {
  it.each<readonly [version: 0 | 1, values: ReadonlyArray<string>, stays: boolean]>([
    [1, [], true],
    [1, ["close"], false],
    [1, ["Close"], false],
    [1, ["keep-alive"], true],
    [1, ["x, close"], false],
    [1, ["x", "close"], false],
    [1, ["keep-alive, close"], false],
    [1, ["closed"], true],
    [1, ["\xa0close"], true],
    [1, [" , close\t"], false],
    [0, [], false],
    [0, ["keep-alive"], true],
    [0, ["Keep-Alive"], true],
    [0, ["keep-alive, close"], false],
    [0, ["x"], false]
  ])("of HTTP/1.%s with %j stays: %s (RFC 9112 §9.3)", (version, values, stays) => {
    assert.strictEqual(Persistence.isLastRequest(optionsOf(...values), { method: "GET", version }), !stays)
  })

  it("ends with a CONNECT, because nobody knows what follows it (RFC 9110 §9.3.6)", () => {
    assert.isTrue(Persistence.isLastRequest(undefined, { method: "CONNECT", version: 1 }))
  })
})

describe("the time that a server announces", () => {
  it.each<readonly [value: string | undefined, millis: number]>([
    [undefined, Infinity],
    ["timeout=5", 4_000],
    ["timeout=5, max=100", 4_000],
    ["max=100, timeout=5", 4_000],
    ["max=100,timeout=5", 4_000],
    ["Timeout=5", 4_000],
    ["timeout=1", 0],
    ["timeout=0", 0],
    ["timeout=", Infinity],
    ["timeout=x", Infinity],
    ["notimeout=5", Infinity]
  ])("as %j is kept for %s ms", (value, millis) => {
    const fields = value === undefined ? [] : ["Keep-Alive", value]
    assert.strictEqual(Persistence.announcedKeepAlive(fields), millis)
  })
})

describe("a protocol to go on with", () => {
  it.each<readonly [version: 0 | 1, connection: string, upgrade: string | undefined, expected: string | undefined]>([
    [1, "upgrade", "websocket", "websocket"],
    [1, "Upgrade, keep-alive", "websocket", "websocket"],
    [1, "keep-alive", "websocket", undefined],
    [1, "upgrade", undefined, undefined],
    [1, "upgrade", "", undefined],
    [1, "upgrade", "h2c", undefined],
    [1, "upgrade", "websocket, h2c", undefined],
    [0, "upgrade", "websocket", undefined]
  ])(
    "in HTTP/1.%s with Connection %j and Upgrade %j is %j (RFC 9110 §7.8)",
    (version, connection, upgrade, expected) => {
      const fields = upgrade === undefined ? [] : ["Upgrade", upgrade]
      assert.strictEqual(Persistence.upgradeOf(optionsOf(connection), fields, version), expected)
    }
  )

  it.each<readonly [agreed: string, asked: string, isAmong: boolean]>([
    ["websocket", "websocket", true],
    ["WebSocket", "websocket", true],
    ["b", "a, b", true],
    ["b, a", "a, b", true],
    ["c", "a, b", false],
    ["a, c", "a, b", false],
    ["", "a", false]
  ])("%j answers %j: %s", (agreed, asked, isAmong) => {
    assert.strictEqual(Persistence.isAmong(["Upgrade", agreed], asked), isAmong)
  })
})

describe("trailers", () => {
  it.each<readonly [connection: ReadonlyArray<string>, te: ReadonlyArray<string>, isAccepted: boolean]>([
    [["te"], ["trailers"], true],
    [["x, TE"], ["gzip;q=0.5, Trailers"], true],
    [["te"], ["gzip", "trailers;q=1"], true],
    [["te"], ["gzip"], false],
    [["te"], ["xtrailers"], false],
    [["te"], [], false],
    // It was meant for another connection.
    [["keep-alive"], ["trailers"], false],
    [[], ["trailers"], false]
  ])("with Connection %j and TE %j are understood: %s (RFC 9110 §10.1.4)", (connection, te, isAccepted) => {
    const fields = te.flatMap((value) => ["TE", value])
    assert.strictEqual(Persistence.acceptsTrailers(optionsOf(...connection), fields), isAccepted)
  })
})

describe("a client", () => {
  it.each<readonly [version: 0 | 1, fields: ReadonlyArray<string>, waits: boolean]>([
    [1, ["Expect", "100-continue"], true],
    [1, [], false],
    [1, ["Expect", ""], false],
    // It does not know of interim responses.
    [0, ["Expect", "100-continue"], false]
  ])("of HTTP/1.%s with %j waits for a 100: %s (RFC 9110 §10.1.1)", (version, fields, waits) => {
    const request = { method: "POST", target: "/", version, fields }
    assert.strictEqual(Persistence.expectsContinue(request), waits)
  })
})

describe("a response", () => {
  const endsConnection = (version: 0 | 1, status: number, ...fields: ReadonlyArray<string>): boolean => {
    const framing = Framing.ofResponse("GET", status, fields, version)
    assert(!(framing instanceof Malformed))
    return Persistence.endsConnection({ status, statusText: "", version, fields }, framing)
  }

  it("ends a connection whose end is its own, or that it says to end (RFC 9112 §9.3, §9.6)", () => {
    assert.isTrue(endsConnection(1, 200))
    assert.isTrue(endsConnection(1, 200, "Content-Length", "5", "Connection", "close"))
    assert.isTrue(endsConnection(0, 200, "Content-Length", "5"))
    assert.isFalse(endsConnection(1, 200, "Content-Length", "5"))
    assert.isFalse(endsConnection(0, 200, "Content-Length", "5", "Connection", "keep-alive"))
  })

  it("ends a connection on which a body may follow that there must not be (RFC 9112 §6.1)", () => {
    assert.isTrue(endsConnection(1, 204, "Content-Length", "5"))
    assert.isTrue(endsConnection(1, 204, "Transfer-Encoding", "chunked"))
    assert.isFalse(endsConnection(1, 204, "Content-Length", "0"))
    assert.isFalse(endsConnection(1, 204))
    assert.isFalse(endsConnection(1, 304, "Content-Length", "5"))
  })
})
