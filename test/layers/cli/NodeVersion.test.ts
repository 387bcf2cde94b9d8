import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { complaint, minimum } from "../../../src/layers/cli/NodeVersion.ts"

describe("the version of Node.js", () => {
  it.each(["v22.19.0", "v22.20.1", "v24.0.0", "v26.10.0", "v100.0.0", "v22.19.0-nightly"])("may be %s", (version) => {
    assert.strictEqual(complaint(version), undefined)
  })

  it.each(["v20.20.2", "v22.18.9", "v22.2.0", "v8.99.0"])("may not be %s, which is said in one line", (version) => {
    assert.strictEqual(complaint(version), `evenkeel needs Node.js 22.19 or newer; this is ${version}`)
  })

  it("is the one that package.json asks for", () => {
    const manifest: unknown = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"))
    assert.deepInclude(manifest, { engines: { node: `>=${minimum}` } })
  })
})
