/**
 * The seam for one active health check.
 *
 * Owns the interface of a check. When checks are made, and how long they may take, is `HealthChecker`'s business, and
 * what their results mean is `Health`'s.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { authorityOf, type Backend, isUnixSocket } from "./Backend.ts"
import type { TransportFailure } from "./Failure.ts"

/**
 * The check failed. `message` is the cause in words, such as `Connection refused` or `status: 500`; `answered` if there
 * was an answer, which was not the right one; `silent` if there was none, but a request may get one all the same, which
 * it would not where the check was refused.
 */
export class ProbeFailed extends Schema.TaggedError<ProbeFailed>()("ProbeFailed", {
  message: Schema.String,
  answered: Schema.optional(Schema.Boolean),
  silent: Schema.optional(Schema.Boolean)
}) {}

/**
 * The check could not be made for a lack of this process, such as of file descriptors: nothing was learned about the
 * backend, and its health stays as it is.
 */
export class ProbeSkipped extends Schema.TaggedError<ProbeSkipped>()("ProbeSkipped", { message: Schema.String }) {}

const timeouts: ReadonlySet<TransportFailure["reason"]> = new Set(["connect_timeout", "headers_timeout"])

/**
 * A check of a backend at this place, as it failed. Where the traffic goes elsewhere, that says little of it, and the
 * cause says where: it was not the backend that has refused a connection.
 */
export const fromFailure = (
  { message, reason }: TransportFailure,
  place: Place,
  origin: string
): ProbeFailed | ProbeSkipped => {
  if (reason === "overloaded") return ProbeSkipped.make({ message })
  const checked = originToCheck(origin, place)
  const isElsewhere = checked !== origin
  return ProbeFailed.make({
    message: isElsewhere ? `${message} at ${checked}` : message,
    silent: isElsewhere || timeouts.has(reason)
  })
}

/** What HTTP checks say in `User-Agent`, so that backends can tell them from traffic. */
export const probeUserAgent = "evenkeel-health-check"

/**
 * Whether a request is a health check. An engine sends it even when all connections that it may have to the backend are
 * in use, or a backend that is busy would fail its checks.
 */
export const IsCheck = Context.Reference<boolean>("evenkeel/services/Probe/IsCheck", { defaultValue: () => false })

/** Where checks connect to, as far as it is not where the traffic goes. */
export interface Place {
  /** A host name or an address, IPv6 in brackets. */
  readonly address?: string | undefined
  readonly port?: number | undefined
}

/**
 * The origin that is checked for a backend. One on a unix socket has no port of its own: it is checked where it is unless
 * a port is given, then on `localhost`, or at the address.
 */
export const originToCheck = (origin: string, { address, port }: Place): string => {
  if (port === undefined && (address === undefined || isUnixSocket(origin))) return origin
  const url = new URL(isUnixSocket(origin) ? `http://${authorityOf(origin)}` : origin)
  if (address !== undefined) url.hostname = address
  if (port !== undefined) url.port = String(port)
  // `URL.origin` is `null` for schemes that the web does not know.
  return `${url.protocol}//${url.host}`
}

/** Statuses from the first to the last. */
export interface StatusRange {
  readonly first: number
  readonly last: number
}

/** Checks a backend once. */
export class Probe extends Context.Service<Probe, {
  /**
   * Succeeds with what was seen, such as `status: 200`. One that does not end has failed when the time of the timetable
   * is over; a defect says nothing of the backend, as `ProbeSkipped` does, and is logged.
   */
  readonly check: (backend: Backend) => Effect.Effect<string, ProbeFailed | ProbeSkipped>
}>()("evenkeel/services/Probe") {}
