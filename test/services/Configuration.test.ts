import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { schema } from "../../src/services/Configuration.ts"
import { optionsOf } from "../../src/services/configuration/Setting.ts"
import { golden } from "../golden/Golden.ts"

const settings = schema(["first", "second"], "second")
const options = optionsOf(settings)

describe("the settings", () => {
  it("are all in the list, with their names, defaults and descriptions", () => {
    const lines = options.map(({ defaultText, description, flag, isList, key, variable }) =>
      `${key}${isList ? "[]" : ""} --${flag} ${variable} = ${defaultText} - ${description}`
    )
    assert.deepStrictEqual(lines, golden("configuration/settings.txt"))
  })

  it("have names that follow from where they stand", () => {
    for (const { flag, key, path, variable } of options) {
      assert.strictEqual(key, path.join("."))
      assert.strictEqual(flag, key.replace(".", "-").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`))
      assert.strictEqual(variable, `EVENKEEL_${flag.toUpperCase().replaceAll("-", "_")}`)
    }
    assert.strictEqual(new Set(options.map(({ flag }) => flag)).size, options.length)
  })

  it("each say what they expect", () => {
    for (const { description, expected, key, placeholder } of options) {
      for (const text of [description, expected, placeholder]) {
        assert.isTrue(text !== "" && text !== "undefined", `${key}: ${text}`)
      }
    }
  })

  it("take the strategies from whoever has them", () => {
    assert.strictEqual(Schema.decodeSync(settings)({}).strategy, "second")
    assert.strictEqual(Schema.decodeSync(settings)({ strategy: "first" }).strategy, "first")
    assert.throws(() => Schema.decodeUnknownSync(settings)({ strategy: "third" }))
    assert.deepStrictEqual(options.find(({ key }) => key === "strategy")?.choices, ["first", "second"])
  })

  it("have a default each, in a group of which only one is given, too", () => {
    const { accessLog, health, timeout } = Schema.decodeSync(settings)({ health: { rise: 7 } })
    assert.strictEqual(health.rise, 7)
    assert.strictEqual(health.fall, 1)
    assert.deepStrictEqual(timeout.shutdown, Duration.seconds(30))
    assert.strictEqual(accessLog, undefined)
  })

  it("can be written as they are read", () => {
    const input = {
      listen: "127.0.0.1:80",
      to: [{ url: "http://a:1", weight: 2 }],
      trustedProxies: ["10.0.0.0/8"],
      timeout: { idle: "1m 30s" },
      accessLog: "json"
    }
    const decoded = Schema.decodeUnknownSync(settings)(input)
    assert.deepStrictEqual(Schema.decodeSync(settings)(Schema.encodeSync(settings)(decoded)), decoded)
  })
})
