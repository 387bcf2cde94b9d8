/**
 * How busy a backend is: the live numbers beside the frozen snapshots of the pool.
 *
 * Owns the counters that `Balancer` writes and strategies read. One object per backend id serves every snapshot, so that
 * what was learned survives a change of weight, of strategy or of the configuration. It is a bag of numbers on purpose:
 * it never decides anything and can be copied to another process.
 */
import type { Backend } from "./Backend.ts"

/** What became of one try. `aborted` says nothing about the backend: the client left, or what it sent was wrong. */
export type Outcome = "success" | "failure" | "aborted"

/** The counters of one backend. All are written by `Balancer` only. */
export interface Load {
  /** Tries that have begun and not ended. */
  inFlight: number
  /** Tries that have begun, since the backend joined. */
  total: number
  /** Tries that ended in failure, since the backend joined. */
  failed: number
  /** Failures since the last success. */
  consecutiveFailures: number
}

/** The load of a backend that has just joined. */
export const make = (): Load => ({ inFlight: 0, total: 0, failed: 0, consecutiveFailures: 0 })

/** A backend together with its live load: what a strategy picks. */
export interface Endpoint {
  readonly backend: Backend
  readonly load: Load
}

/** Counts the begin of a try. */
export const begin = (load: Load): void => {
  load.inFlight++
  load.total++
}

/** Counts the end of a try. */
export const end = (load: Load, outcome: Outcome): void => {
  load.inFlight--
  if (outcome === "success") {
    load.consecutiveFailures = 0
  } else if (outcome === "failure") {
    load.failed++
    load.consecutiveFailures++
  }
}
