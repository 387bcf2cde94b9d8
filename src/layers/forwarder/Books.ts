/** What exchanges report to, and what they keep of a try while another one is the current one. */
import type * as Clock from "effect/Clock"
import type { AccessLog } from "../../services/AccessLog.ts"
import type { Balancer } from "../../services/Balancer.ts"
import type { Extract } from "../../services/HashKey.ts"
import type { Endpoint } from "../../services/Load.ts"
import type { ResponseBody } from "../../services/Message.ts"

/** What an exchange reports to. */
export interface Books {
  readonly balancer: Balancer["Service"]
  readonly log: AccessLog["Service"]
  readonly clock: Clock.Clock
  readonly hashKey: Extract
}

/** A try beside the current one: it has an answer that nobody wants yet, or it has none yet. */
export interface Aside {
  readonly endpoint: Endpoint
  readonly triedAt: number
  readonly answeredAt: number | undefined
  readonly status: number | undefined
  readonly body: ResponseBody | undefined
}
