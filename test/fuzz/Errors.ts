/** The errors of the balancer's own, as a client sees them. */
import { meaningOf, type Reason } from "../../src/services/Reason.ts"
import type { Message } from "./Reader.ts"

/** What cannot happen to what clients send here. */
const impossible: ReadonlySet<string> = new Set(
  [
    "client_aborted",
    "draining",
    "expectation_failed",
    "headers_too_large",
    "internal_error",
    "not_implemented",
    "reset_mid_body",
    "target_too_long",
    "tunnel_idle",
    "version_not_supported"
  ] satisfies ReadonlyArray<Reason>
)

const known: ReadonlyMap<string, number> = new Map(
  Object.entries(meaningOf).map(([reason, { status }]) => [reason, status])
)

/** The reason that an error names. */
export const reasonIn = ({ body }: Message): string | undefined =>
  /^\d{3} [A-Za-z ]+\n.+\nreason: ([a-z_]+)\n$/.exec(body.toString("latin1"))?.[1]

/** Whether this reason has this status, and may be the one. */
export const isReason = (reason: string, status: number): boolean =>
  known.get(reason) === status && !impossible.has(reason)
