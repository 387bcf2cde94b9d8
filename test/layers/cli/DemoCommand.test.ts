import { assert, describe, it } from "@effect/vitest"
import * as DemoCommand from "../../../src/layers/cli/DemoCommand.ts"
import * as Configuration from "../../../src/layers/Configuration.ts"

const demoOf = (input: Configuration.Input) =>
  DemoCommand.withBackends({ settings: Configuration.make(input), warnings: ["one"] })

describe("the demo", () => {
  it("says that it does not use the backends of the environment or a file", () => {
    const { settings, warnings } = demoOf({ to: ["http://a:1"], strategy: "random" })
    assert.deepStrictEqual(
      settings,
      Configuration.make({
        to: ["http://localhost:3001", "http://localhost:3002", "http://localhost:3003"],
        strategy: "random"
      })
    )
    assert.deepStrictEqual(warnings, ["one", "to has no effect in the demo, which has backends of its own"])
  })

  it("says nothing of backends where none are given", () => {
    assert.deepStrictEqual(demoOf({}), { settings: Configuration.make(), warnings: ["one"] })
  })
})
