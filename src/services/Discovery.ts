/**
 * The seam for finding out which backends there are.
 *
 * Owns the interface; the sources are in `layers/discovery`, one file each. A source says what the full set is, every
 * time that it changes, and knows nothing of health.
 */
import * as Context from "effect/Context"
import type * as Stream from "effect/Stream"
import type { Backend } from "./Backend.ts"

/** A source of backends. */
export class Discovery extends Context.Service<Discovery, {
  /** For the log. */
  readonly name: string
  /** The full set of backends, first as it is now and again whenever it changes. */
  readonly backends: Stream.Stream<ReadonlyArray<Backend>>
}>()("evenkeel/services/Discovery") {}
