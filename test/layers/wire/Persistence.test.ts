/** What heads say about their connection. */
import { assert, describe, it } from "@effect/vitest"
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
