/** Another strategy while clients ask without a pause. */
import * as Struct from "effect/Struct"
import { strategies } from "../../../src/layers/strategies/index.ts"
import { assert, onEachEngine } from "../support/Lab.ts"
import { outcomes, Stage } from "./support/Stage.ts"

onEachEngine("another strategy under load", (test, engine) => {
  const note = outcomes(`Another strategy under load, on real sockets, 200 requests per second, ${engine} engine`)

  test("each in turn, twice: no request fails, whatever its method, and nothing learned is lost", async (lab) => {
    const stage = await Stage.start(lab, { strategy: "round-robin" })
    const { clients, lb } = stage
    await clients.sent(30)
    const names = Struct.keys(strategies)
    const loads = lb.members.map(({ endpoint }) => endpoint.load)
    for (const name of [...names, ...names]) {
      await lb.use(name)
      const others = loads.slice(1).map(({ total }) => total)
      await clients.sent(10)
      if (name === "first") assert.deepStrictEqual(loads.slice(1).map(({ total }) => total), others, "not in use")
    }
    assert.isTrue(lb.members.every(({ endpoint }, i) => endpoint.load === loads[i]), "what was learned is lost")
    note("all strategies in turn, twice", await stage.end())
  })
})
