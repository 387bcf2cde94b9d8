/**
 * The seam for one active health check.
 *
 * Owns the interface of a check. When checks are made is `HealthChecker`'s business, and what their results mean is
 * `Health`'s.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Backend } from "./Backend.ts"

/**
 * The check failed. `message` is the cause in words, such as `Connection refused` or `status: 500`; `answered` if there was an
 * answer, which was not the right one.
 */
export class ProbeFailed extends Schema.TaggedError<ProbeFailed>()("ProbeFailed", {
  message: Schema.String,
  answered: Schema.optionalKey(Schema.Boolean)
}) {}

/** What HTTP checks say in `User-Agent`, so that backends can tell them from traffic. */
export const probeUserAgent = "evenkeel-health-check"

/** Checks a backend once. */
export class Probe extends Context.Service<Probe, {
  /** Succeeds with what was seen, such as `status: 200`. Must end by itself, within a time limit of its own. */
  readonly check: (backend: Backend) => Effect.Effect<string, ProbeFailed>
}>()("evenkeel/services/Probe") {}
