/** When all has been well for a while, no request fails, everybody is up, nobody is in panic, and shares are fair. */
import * as Health from "../../src/services/Health.ts"
import type { Make } from "./Scene.ts"

export const recovery: Make = (scene, complain) => {
  const { backends, settings: { health: { kind }, strategy, subset, zone } } = scene.plan
  // Others leave some out for as long as they have reason to.
  const isForAll = strategy !== "first" && strategy !== "peak-ewma" && zone === undefined && subset.size === undefined
  return {
    onFinish: () => {
      const exchanges = [...scene.exchanges.values()].filter(({ startedAt }) => startedAt >= scene.calmFrom)
      for (const { completed, reply, request: { method, number } } of exchanges) {
        if (reply?.status !== 200) complain(`${method} /${number} failed: ${completed?.status} ${completed?.reason}`)
      }
      const { members, panic } = scene.state()
      if (panic) complain("the panic does not end")
      if (members.length !== backends.length) complain(`there are ${members.length} members`)
      const first = Math.min(...backends.map(({ tier }) => tier))
      const sum = backends.filter(({ tier }) => tier === first).reduce((sum, { weight }) => sum + weight, 0)
      for (const { endpoint: { backend: { id, tier, weight } }, health } of members) {
        const share = exchanges.filter(({ tries }) => tries.includes(id)).length / exchanges.length
        const status = Health.status(health)
        // Without requests and checks nobody can show that he is well.
        const isUp = status === "Up" || (status === "Trial" && share === 0) || (status === "Checking" && kind === "off")
        if (!isUp) complain(`${id} is ${status}`)
        if (tier !== first && share > 0) complain(`${id} gets ${share}, and is not needed`)
        // Very roughly, as many strategies draw.
        if (tier === first && isForAll && share < weight / sum / 6) complain(`${id} gets ${share}`)
      }
    }
  }
}
