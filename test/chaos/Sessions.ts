/** Sticky sessions: who has a cookie goes to its backend as long as that can be used, and it names who has answered. */
import { memberOf } from "../../src/services/Pool.ts"
import { gatewayErrors } from "../../src/services/Reason.ts"
import { idOf } from "./Backends.ts"
import { tagOf } from "./Lab.ts"
import type { Make } from "./Scene.ts"

const cookieOf = (id: string): string => Buffer.from(tagOf(id).subarray(0, 16)).toString("base64url")

export const sessions: Make = (scene, complain) => {
  if (scene.plan.settings.sticky.cookie === undefined) return {}
  const ids = new Map(scene.plan.backends.map(({ id }) => [cookieOf(id), id]))
  return {
    onTry: ({ cookie = "", request: { number }, startedAt, tries }, id) => {
      const pinned = ids.get(cookie)
      const member = memberOf(scene.state(), pinned ?? "")
      if (tries.length > 1 || member === undefined || id === pinned) return
      const { endpoint: { load }, health: { circuit, mode, probe } } = member
      // What a cookie says is read when the request comes.
      const wasMember = scene.loads.get(load)! < startedAt
      const isUsable = mode !== "Disabled" && circuit._tag === "Closed" && probe.state !== "Failing" &&
        probe.state !== "Unproven"
      if (wasMember && isUsable && load.inFlight < load.limit) complain(`/${number} went to ${id} and not to ${pinned}`)
    },
    onFinish: () => {
      for (const { completed, cookie, reply, request: { number } } of scene.exchanges.values()) {
        const [line] = reply?.setCookie ?? []
        if (completed === undefined || reply === undefined || line === undefined) continue
        const set = line.slice("lb=".length).split(";", 1)[0]
        const isAnswer = completed.reason === undefined && !gatewayErrors.has(reply.status)
        if (
          isAnswer && completed.backend !== undefined && set === cookieOf(idOf(completed.backend)) && set !== cookie
        ) continue
        complain(`/${number} got the cookie of ${ids.get(set ?? "")} with ${reply.status} of ${completed.backend}`)
      }
    }
  }
}
