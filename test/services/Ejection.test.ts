import { assert, describe, it } from "@effect/vitest"
import { defaultPolicy, verdict } from "../../src/services/Ejection.ts"
import * as Load from "../../src/services/Load.ts"

/** The load after these tries, one each second: `+` for a success, `-` for a failure, `x` for a client that left. */
const after = (tries: string): readonly [load: Load.Load, now: number] => {
  const load = Load.make()
  const outcomes = { "+": "success", "-": "failure", x: "aborted" } as const
  let now = 0
  for (const sign of tries) {
    if (sign !== "+" && sign !== "-" && sign !== "x") continue
    Load.begin(load)
    Load.end(load, outcomes[sign], 20, now += 1_000)
  }
  return [load, now]
}

describe("a backend is ejected", () => {
  it.each([
    ["-----", "5 failures in a row"],
    ["++++++-----", "5 failures in a row"],
    ["------", "6 failures in a row"],
    ["-x-x--x-", "5 failures in a row"],
    ["+++-".repeat(5), "only 75% of 20 requests succeeded"]
  ])("after %s: %s", (tries, why) => assert.strictEqual(verdict(...after(tries), defaultPolicy), why))

  it.each(["", "----", "----+----", "xxxxxxxxxxxx", "+++-".repeat(4), "++++-".repeat(5)])(
    "but not after %j",
    (tries) => assert.isUndefined(verdict(...after(tries), defaultPolicy))
  )

  it("not for what was long ago", () => {
    const [load, now] = after("+++-".repeat(5))
    assert.isUndefined(verdict(load, now + 20_000, defaultPolicy))
  })
})
