/** What exchanges report to, what they keep of a try while another one is the current one, and how that one ends. */
import type * as Clock from "effect/Clock"
import type { AccessLog } from "../../services/AccessLog.ts"
import type { Balancer } from "../../services/Balancer.ts"
import type { Extract } from "../../services/HashKey.ts"
import type { Endpoint, Outcome } from "../../services/Load.ts"
import type { ResponseBody } from "../../services/Message.ts"
import { timedFrom, type Upload } from "./Upload.ts"

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
  /** Whether it has ended for the balancer. */
  readonly isEnded: boolean
}

/**
 * Ends a try of which the balancer knows no latency: the time to the response's head, or to the end of a try without
 * one. How long a client takes to send or to read a body says nothing of the backend.
 */
export const settle = (
  { balancer, clock }: Books,
  { answeredAt, endpoint, triedAt }: Aside,
  upload: Upload | undefined,
  outcome: Outcome,
  why: string | undefined
): void => {
  const now = clock.currentTimeMillisUnsafe()
  const at = answeredAt ?? now
  const since = timedFrom(triedAt, at, upload)
  if (since === undefined) balancer.end(endpoint, outcome, at - triedAt, why, "uploading")
  else balancer.end(endpoint, outcome, at - since, why, undefined, now - triedAt)
}
